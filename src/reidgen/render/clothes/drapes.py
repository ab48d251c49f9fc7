"""Cloth below the waist that falls anew in every pose: skirts, and the skirts of coats and dresses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.wardrobe import Garment
from reidgen.render.clothes.cloth import COLUMNS, hang, profile, ring_hull, ring_points, round_off
from reidgen.render.clothes.tailor import Tailor, torso_axis

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Drape:
    """Cloth below the waist that falls anew in every pose: a skirt, or the skirts of a coat or a dress.

    Attributes:
        heights: Of its rings at rest (rows,).
        centre: Axis.
        ease_top, ease, flare: Metres off the hips, off the legs, and wider at the hem.
        slot: Material.
        ripple: Folds (rows, columns), metres.
        neck: Height that cloth coordinates count from.
    """

    heights: Array
    centre: tuple[float, float]
    ease: float
    flare: float
    slot: str
    ripple: Array
    neck: float
    ease_top: float

    def faces(self) -> NDArray[np.integer[Any]]:
        """Triangles of its rings."""
        return msh.grid_faces(len(self.heights), COLUMNS, closed=True)

    def fall(self, legs: Array) -> Array:
        """Vertices (rows * columns, 3) over posed legs (N, 3), both in the frame of the pelvis."""
        grid = ring_hull(round_off(profile(legs, self.heights, self.centre, COLUMNS), 1))
        grid = (
            grid
            + self.ease_top
            + (self.ease - self.ease_top) * np.linspace(0, 2, len(grid), dtype=np.float32).clip(0, 1)[:, None]
        )
        step = float(self.heights[0] - self.heights[1])
        grid = np.minimum(hang(grid, step, 0.12), grid[:3].max() + 0.2)  # cloth slips off a leg that swings far
        down = np.linspace(0, 1, len(self.heights), dtype=np.float32)[:, None]
        return ring_points(round_off(grid + self.flare * down + self.ripple * down, 1), self.heights, self.centre)


def drape(
    tailor: Tailor,
    garment: Garment,
    slot: str,
    rng: np.random.Generator,
    *,
    top: float,
    bottom: float,
    clear: float = 0.0,
) -> Drape:
    """Cut a drape from a height down to another, `clear` metres wider below than at its top."""
    rows = max(6, round((top - bottom) / 0.03))
    angle = np.arange(COLUMNS) * 2 * np.pi / COLUMNS
    waves = np.sum([np.cos(k * angle + rng.uniform(0, 7)) for k in rng.integers(5, 12, 3)], axis=0)
    depth = 0.004 + 0.12 * garment.flare
    return Drape(
        np.linspace(top, bottom, rows, dtype=np.float32),
        torso_axis(tailor),
        garment.ease + clear,
        garment.flare,
        slot,
        np.broadcast_to((depth * waves).astype(np.float32), (rows, COLUMNS)),
        tailor.neck,
        garment.ease,
    )
