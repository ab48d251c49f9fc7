"""Hair and hats: shells of the scalp, falls behind the head, knots, domes and brims."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.mesh import Mesh
from reidgen.render.bodies.wardrobe import SLOTS, Outfit
from reidgen.render.clothes.cloth import hang, profile, ring_hull, ring_points, round_off, shell
from reidgen.render.clothes.tailor import HEAD, TORSO, Tailor

Array = NDArray[np.floating[Any]]
THICKNESS = {
    "buzz": 0.006,
    "short": 0.02,
    "full": 0.032,
    "bob": 0.026,
    "long": 0.022,
    "ponytail": 0.012,
    "bun": 0.012,
    "afro": 0.07,
}


class Head:
    """Landmarks of a head at rest, in metres."""

    def __init__(self, tailor: Tailor) -> None:
        points = tailor.model.keypoints @ tailor.body.vertices
        self.nose, self.eye, self.ear = points[0], 0.5 * (points[1] + points[2]), 0.5 * (points[3] + points[4])
        self.eye_half = float(0.5 * (points[1, 0] - points[2, 0]))
        skull = tailor.body.vertices[tailor.model.limb == HEAD]
        skull = skull[skull[:, 2] > self.ear[2] - 0.02]
        self.top = float(skull[:, 2].max())
        self.back, self.front = float(skull[:, 1].max()), float(skull[:, 1].min())
        self.centre = (0.0, 0.5 * (self.back + self.front))
        self.points = skull


def hairline(head: Head, points: Array, low: float) -> Array:
    """Positive (metres) above the line forehead - temple - ear - nape; the nape lies `low` metres below the ear."""
    y = [head.front, head.eye[1] + 0.025, head.ear[1] - 0.005, head.ear[1] + 0.02, head.back]
    z = [head.eye[2] + 0.068, head.eye[2] + 0.045, head.ear[2] + 0.005, head.ear[2] - 0.02, head.ear[2] - low]
    return (points[:, 2] - np.interp(points[:, 1], y, z)).astype(np.float32)


def hair_parts(tailor: Tailor, outfit: Outfit, rng: np.random.Generator) -> list[Mesh]:
    """All meshes of a haircut."""
    cut = outfit.hair
    if cut == "bald" or outfit.hat == "hood":
        return []
    head = Head(tailor)
    thick = THICKNESS[cut] * float(rng.uniform(0.75, 1.3))
    if outfit.hat in ("cap", "beanie", "brim"):
        thick = min(thick, 0.012)
    field = hairline(head, tailor.soft, 0.075 if cut in ("buzz", "short", "full") else 0.1)
    edge = np.clip(field / 0.045, 0, 1)
    lift = 1 + 0.35 * np.clip((tailor.soft[:, 2] - head.eye[2]) / 0.12, 0, 1)
    wave = 0.12 * np.sum([np.sin(tailor.soft @ rng.normal(0, 55, 3) + rng.uniform(0, 6)) for _ in range(4)], axis=0)
    offset = (0.003 + thick * edge * lift * (1 + wave)).astype(np.float32)
    part = shell(
        tailor, (tailor.model.limb == HEAD) & (field > -0.03), offset, "hair", smoothing=3 if cut == "buzz" else 8
    )
    part = msh.clip(part, hairline(head, part.vertices, 0.075 if cut in ("buzz", "short", "full") else 0.1))
    parts = [_centred(part, head)]
    if cut in ("bob", "long"):
        bottom = head.ear[2] - (0.09 if cut == "bob" else 0.12 + outfit.hair_length)
        parts.append(_fall(tailor, head, bottom, thick, rng))
    if cut == "ponytail":
        parts.append(_tail(tailor, head, outfit.hair_length))
    if cut == "bun":
        points, faces = msh.superellipsoid((0.045, 0.04, 0.042), power=2.0)
        at = np.array([0, head.back + 0.015, head.top - rng.uniform(0.03, 0.1)], np.float32)
        parts.append(_centred(_on_head(tailor, points + at, faces, "hair"), head))
    return parts


def _centred(part: Mesh, head: Head) -> Mesh:
    """Cloth coordinates about the head, so that strands run down."""
    return replace(
        part,
        cloth=(part.vertices - np.array([0, head.centre[1], head.ear[2]], np.float32))
        * np.array([1, -1, 1], np.float32),
    )


def _on_head(tailor: Tailor, points: Array, faces: NDArray[np.integer[Any]], slot: str) -> Mesh:
    return msh.build(points, faces, msh.bound_to(tailor.model.bones, len(points), head=1.0), slot=SLOTS.index(slot))


def _fall(tailor: Tailor, head: Head, bottom: float, thick: float, rng: np.random.Generator) -> Mesh:
    """Hair that falls from the crown over ears and back: part of a surface of revolution."""
    top = head.top - 0.03
    rows, columns = 22, 40
    heights = np.linspace(top, bottom, rows, dtype=np.float32)
    step = float(heights[0] - heights[1])
    grid = round_off(profile(head.points, heights, head.centre, columns))
    grid[heights < head.ear[2] - 0.03] = 0
    grid = hang(grid + 0.6 * thick, step, 0.16)
    near = tailor.soft[(tailor.model.limb == TORSO) & (np.abs(tailor.soft[:, 0]) < 0.13)]
    body = round_off(profile(near, heights, head.centre, columns))
    grid = np.clip(np.maximum(grid, body + 0.022), 0.05, 0.15)
    angle = np.arange(columns) * 2 * np.pi / columns
    grid += 0.005 * np.cos(9 * angle + rng.uniform(0, 6)) * np.linspace(0, 1, rows)[:, None]
    points = ring_points(round_off(grid.astype(np.float32), 1), heights, head.centre)
    share = np.clip((points[:, 2] - tailor.neck + 0.02) / (head.ear[2] - tailor.neck), 0, 1)
    weights = msh.bound_to(tailor.model.bones, len(points), head=share, spine01=1 - share)
    part = msh.build(points, msh.grid_faces(rows, columns, closed=True), weights, slot=SLOTS.index("hair"))
    around = np.abs(np.arctan2(points[:, 0], -(points[:, 1] - head.centre[1])))
    opening = np.interp(points[:, 2], [bottom, head.ear[2], head.eye[2] + 0.03, head.top], [2.0, 1.3, 1.05, 0.3])
    ends = points[:, 2] - bottom - 0.02 - 0.006 * np.sin(11 * around) - 0.05 * np.clip(around - 2.2, -1, 0) ** 2
    return _centred(msh.clip(part, np.minimum(around - opening, ends).astype(np.float32)), head)


def _tail(tailor: Tailor, head: Head, length: float) -> Mesh:
    """A ponytail: a bent, tapering tube behind the head."""
    rows, columns = 9, 10
    t = np.linspace(0, 1, rows)
    centre = np.stack(
        [
            0 * t,
            head.back + 0.01 + 0.055 * np.sin(np.pi * np.minimum(t * 1.3, 1)),
            head.top - 0.07 - t * (0.1 + length),
        ],
        1,
    )
    radius = 0.012 + 0.03 * np.sin(np.pi * np.clip(t * 0.9 + 0.1, 0, 1))
    angle = np.arange(columns) * 2 * np.pi / columns
    rings = centre[:, None] + radius[:, None, None] * np.stack([np.sin(angle), -np.cos(angle), 0 * angle], 1)[None]
    points = rings.reshape(-1, 3).astype(np.float32)
    share = np.repeat(np.clip(1.2 - t, 0.3, 1), columns).astype(np.float32)
    weights = msh.bound_to(tailor.model.bones, len(points), head=share, spine01=1 - share)
    return _centred(
        msh.build(points, msh.grid_faces(rows, columns, closed=True), weights, slot=SLOTS.index("hair")), head
    )


def hat_parts(tailor: Tailor, outfit: Outfit) -> list[Mesh]:
    """A cap, a beanie, a hat with a brim or the hood of the garment pulled up."""
    if outfit.hat == "none":
        return []
    head = Head(tailor)
    if outfit.hat == "hood":
        return [_hood(tailor, head)]
    brow = head.eye[2] + {"cap": 0.05, "beanie": 0.045, "brim": 0.045}[outfit.hat]
    tall = {"cap": 0.018, "beanie": 0.035, "brim": 0.03}[outfit.hat]
    dome = _dome(head, brow, tall, 0.016)
    parts = [_on_head(tailor, dome, msh.grid_faces(10, 28, closed=True), "hat")]
    if outfit.hat == "cap":
        parts.append(_on_head(tailor, *_brim(head, brow, 0.085, front_only=True), "hat"))
    if outfit.hat == "brim":
        parts.append(_on_head(tailor, *_brim(head, brow, 0.075, front_only=False), "hat"))
    return parts


def _at_brow(head: Head, brow: float) -> Array:
    """Radii around the head at a hat's edge, (28,)."""
    heights = np.linspace(brow + 0.03, brow - 0.03, 3).astype(np.float32)
    return ring_hull(profile(head.points[head.points[:, 2] > brow - 0.02], heights, head.centre, 28)).max(0)


def _dome(head: Head, brow: float, tall: float, off: float) -> Array:
    t = np.linspace(1, 0, 10)
    heights = (brow + (head.top + tall - brow) * np.sin(0.5 * np.pi * t)).astype(np.float32)
    base = _at_brow(head, brow)
    grid = (base + off)[None] * np.cos(0.5 * np.pi * t)[:, None] ** 0.8
    return ring_points(np.maximum(grid, 1e-3).astype(np.float32), heights, head.centre)


def _brim(head: Head, brow: float, width: float, *, front_only: bool) -> tuple[Array, NDArray[np.integer[Any]]]:
    base = _at_brow(head, brow)
    angle = np.arange(28) * 2 * np.pi / 28
    reach = width * np.maximum(np.cos(angle), 0) ** 0.7 if front_only else np.full(28, width)
    inner, outer = base + 0.012, base + 0.014 + reach
    rings = (([inner, outer], [brow + 0.012, brow - 0.006]), ([outer, inner], [brow - 0.008, brow + 0.004]))
    points = np.concatenate(
        [ring_points(np.stack(r).astype(np.float32), np.array(z, np.float32), head.centre) for r, z in rings]
    )
    return points, np.concatenate([msh.grid_faces(2, 28, closed=True), 56 + msh.grid_faces(2, 28, closed=True)])


def _hood(tailor: Tailor, head: Head) -> Mesh:
    """The hood of a garment over the head, open to the front."""
    rows, columns = 16, 32
    heights = np.linspace(head.top + 0.03, tailor.neck - 0.01, rows, dtype=np.float32)
    step = float(heights[0] - heights[1])
    grid = hang(round_off(profile(head.points, heights, head.centre, columns)) + 0.028, step, 0.02)
    grid[0] *= 0.35
    grid[1] *= 0.8
    points = ring_points(np.clip(grid, 0.01, 0.16), heights, head.centre)
    share = np.clip((points[:, 2] - tailor.neck) / 0.1, 0, 1)
    part = msh.build(
        points,
        msh.grid_faces(rows, columns, closed=True),
        msh.bound_to(tailor.model.bones, len(points), head=share, spine01=1 - share),
        slot=SLOTS.index("hat"),
    )
    around = np.abs(np.arctan2(points[:, 0], -(points[:, 1] - head.centre[1])))
    opening = np.where(points[:, 2] > head.eye[2] + 0.06, 0.0, 0.8)
    return msh.clip(part, (around - opening + 1e-4).astype(np.float32))
