"""Bags and things in the hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.mesh import Mesh
from reidgen.render.bodies.wardrobe import SLOTS, Outfit
from reidgen.render.clothes.tailor import TORSO, Tailor

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Hanging:
    """Something that hangs plumb from a hand: vertices about the grip, the hand's bone."""

    vertices: Array
    faces: NDArray[np.integer[Any]]
    bone: str
    slot: str


def bag_parts(tailor: Tailor, outfit: Outfit) -> tuple[list[Mesh], list[Hanging]]:
    """The bag that a person carries: worn ones bend with the body, a handbag hangs from the hand."""
    width, depth, height = outfit.bag_size
    if outfit.bag == "none":
        return [], []
    if outfit.bag == "handbag":
        points, faces = msh.superellipsoid((0.055, 0.8 * width, 0.75 * width))
        hand = "wrist.L" if outfit.bag_side > 0 else "wrist.R"
        return [], [Hanging(points - np.array([0, 0, 0.75 * width + 0.16], np.float32), faces, hand, "bag")]
    loose = outfit.upper.ease
    if outfit.bag == "backpack":
        middle = 0.5 * (float(tailor.joints["spine02"][2]) + tailor.neck) - 0.09
        points, faces = msh.superellipsoid((width, depth, height), power=5)
        points[:, 1] *= 1 - 0.35 * np.clip(points[:, 2] / height, -1, 1)
        at = np.array([0, _surface(tailor, middle, 0.0) + loose + depth * 0.85, middle], np.float32)
        return [_worn(tailor, points + at, faces, middle, spine02=0.6, spine01=0.4)], []
    side = outfit.bag_side
    if outfit.bag == "crossbody":
        points, faces = msh.superellipsoid((0.05, 0.85 * width, 0.65 * width))
        middle = float(tailor.joints["spine05"][2])
        at = np.array([-side * (_flank(tailor, middle) + loose + 0.02), 0.03, middle], np.float32)
        return [_worn(tailor, points + at, faces, middle, root=1.0)], []
    points, faces = msh.superellipsoid((0.045, width, 1.1 * width))
    middle = float(tailor.joints["spine04"][2]) + 0.04
    at = np.array([side * (_flank(tailor, middle) + loose + 0.035), 0.06, middle], np.float32)
    return [_worn(tailor, points + at, faces, middle, spine03=1.0)], []


def _worn(tailor: Tailor, points: Array, faces: NDArray[np.integer[Any]], middle: float, **bones: float) -> Mesh:
    weights = msh.bound_to(tailor.model.bones, len(points), **bones)
    return msh.build(
        points, faces, weights, slot=SLOTS.index("bag"), cloth=(points - np.array([0, 0, middle], np.float32))
    )


def _surface(tailor: Tailor, height: float, x: float) -> float:
    near = (
        (tailor.model.limb == TORSO)
        & (np.abs(tailor.soft[:, 2] - height) < 0.08)
        & (np.abs(tailor.soft[:, 0] - x) < 0.1)
    )
    return float(tailor.soft[near, 1].max())


def _flank(tailor: Tailor, height: float) -> float:
    near = (np.abs(tailor.soft[:, 2] - height) < 0.06) & ~np.isin(tailor.model.limb, (2, 3))
    return float(tailor.soft[near, 0].max())


def held_parts(tailor: Tailor, outfit: Outfit) -> list[Mesh]:
    """A phone, sheet or cup in the right hand."""
    size = {"phone": (0.036, 0.008, 0.075), "paper": (0.11, 0.006, 0.15), "cup": (0.036, 0.036, 0.055)}.get(outfit.held)
    if size is None:
        return []
    points, faces = msh.superellipsoid(size, power=6, rings=5, columns=8)
    grip = tailor.joints["metacarpal2.R"] * 0.4 + tailor.joints["finger2-1.R"] * 0.6
    forward = tailor.joints["finger2-1.R"] - tailor.joints["wrist.R"]
    up = forward / np.linalg.norm(forward)
    across = np.cross(up, [1.0, 0, 0])
    across /= np.linalg.norm(across)
    frame = np.stack([np.cross(across, up), across, up])
    turned = (points @ frame + grip + 0.03 * across).astype(np.float32)
    weights = msh.bound_to(tailor.model.bones, len(points), wrist__R=1.0)
    return [msh.build(turned, faces, weights, slot=SLOTS.index("held"))]
