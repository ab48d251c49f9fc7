"""`reidgen annotate --what body`: a body for each crop whose points are seen, with one pitch a camera."""

import numpy as np

from reidgen.annotate.bodies.body import LENGTH, as_rows, error_of
from reidgen.annotate.bodies.fit import fit
from reidgen.annotate.bodies.skeleton import Array, skeleton
from reidgen.engine.blocks import ScoreFolder, in_blocks

BLOCK = 32  # crops fitted together
PITCHES_DEG = np.arange(0.0, 31.0, 10.0)
USUAL_DEG, AROUND_DEG = 12.0, 8.0  # of cameras
LOOKED_AT = 32  # crops of a camera that tell its pitch


def fit_bodies(points: Array, cameras: np.ndarray, *, kept: ScoreFolder) -> Array:
    """Bodies of crops, and how far they are from the points: (N, LENGTH + 1), see `Body` and `error_of`.

    All crops of a camera have the pitch at which evenly chosen ones of them are likeliest together. A body alone cannot
    tell a camera that looks down from a person who leans.

    Args:
        points: Key points (N, 17, 3) with scores.
        cameras: Of each crop.
        kept: Where finished blocks are.
    """
    known, camera = np.unique(cameras, return_inverse=True)
    pitches = in_blocks(
        "pitches of cameras",
        len(known),
        lambda part: np.array([camera_pitch(points[camera == one]) for one in range(part.start, part.stop)]),
        kept=kept.below("pitches"),
        block=1,
    )
    return in_blocks(
        "bodies", len(points), lambda part: _fitted(points[part], pitches[camera[part]]), kept=kept, block=BLOCK
    ).reshape(-1, LENGTH + 1)


def _fitted(points: Array, pitch: Array) -> Array:
    who = skeleton()
    rows = as_rows(fit(points, pitch, who), pitch)
    return np.column_stack([rows, error_of(rows, points, who).round(4)])


def camera_pitch(points: Array) -> float:
    """Degrees that a camera looks down: the likeliest for the key points (N, 17, 3) of its crops, by a parabola."""
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), LOOKED_AT)).astype(np.int64)]
    parts = [chosen[start : start + BLOCK] for start in range(0, len(chosen), BLOCK)]
    energies = [
        sum(float(fit(part, np.full(len(part), pitch), skeleton()).energy.sum()) for part in parts)
        + 0.5 * ((pitch - USUAL_DEG) / AROUND_DEG) ** 2
        for pitch in PITCHES_DEG
    ]
    middle = int(np.clip(np.argmin(energies), 1, len(energies) - 2))
    before, here, after = energies[middle - 1 : middle + 2]
    bend = before - 2 * here + after
    moved = 0.5 * (before - after) / bend if bend > 0 else 0.0
    step = PITCHES_DEG[1] - PITCHES_DEG[0]
    return round(float(np.clip(PITCHES_DEG[middle] + moved * step, PITCHES_DEG[0], PITCHES_DEG[-1])), 2)
