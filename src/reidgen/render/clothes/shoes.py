"""Shoes, built from slices of the foot."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.mesh import Mesh
from reidgen.render.bodies.wardrobe import SLOTS
from reidgen.render.clothes.cloth import borrowed_weights, shell
from reidgen.render.clothes.tailor import LEGS, Tailor

Array = NDArray[np.floating[Any]]


def shoes(tailor: Tailor, style: str) -> list[Mesh]:
    """Both shoes; a boot also has a shaft, a sandal leaves the foot bare."""
    ankle = float(tailor.joints["foot.L"][2])
    cut = {"sneaker": 0.95, "shoe": 0.8, "boot": 1.05, "sandal": 0.3}[style] * ankle
    parts = [_shoe(tailor, side, cut, 0.8 if style == "shoe" else 1.0) for side in "LR"]
    if style == "boot":
        legs = np.isin(tailor.model.limb, list(LEGS.values()))
        z = tailor.soft[:, 2]
        shaft = shell(
            tailor,
            legs & (z < 3.1 * ankle) & (z > 0.4 * ankle),
            np.full(len(z), 0.012, np.float32),
            "shoes",
            smoothing=6,
        )
        shaft = replace(shaft, cloth=shaft.cloth[:, :3] * np.float32(0) + np.array([0, 0, 1], np.float32))
        parts.append(
            msh.clip(shaft, np.minimum(2.5 * ankle - shaft.vertices[:, 2], shaft.vertices[:, 2] - 0.7 * ankle))
        )
    return parts


def _shoe(tailor: Tailor, side: str, cut: float, slim: float) -> Mesh:
    """A shoe around the slices of a foot, from heel to toe."""
    model, points = tailor.model, tailor.body.vertices
    mine = (model.limb == LEGS[side]) & (points[:, 2] < tailor.joints["foot.L"][2] + 0.03)
    foot = points[
        mine & np.isin(model.part, [i for name, i in model.bones.items() if name.startswith(("foot", "toe"))])
    ]
    toe, heel = foot[foot[:, 1].argmin()], foot[foot[:, 1].argmax()]
    forward = (toe - heel)[:2] / np.linalg.norm((toe - heel)[:2])
    across = np.array([-forward[1], forward[0]])
    s, w = (foot[:, :2] - heel[:2]) @ forward, (foot[:, :2] - heel[:2]) @ across
    stations = np.linspace(-0.01, float(s.max()) + 0.012, 13)
    near = [np.abs(s - np.clip(t, 0.012, s.max() - 0.012)) < 0.014 for t in stations]
    left, right, high = (np.array([f(v[n]) for n in near]) for f, v in ((np.min, w), (np.max, w), (np.max, foot[:, 2])))
    high = np.minimum(high + 0.01, np.interp(stations / stations[-1], [0, 0.3, 0.55, 1], [cut, cut, 0.075, 0.05]))
    middle, half, high = (
        np.convolve(np.pad(v, 1, mode="edge"), (0.25, 0.5, 0.25), "valid")
        for v in (0.5 * (left + right), 0.5 * (right - left) + 0.007 * slim, high)
    )
    ends = np.ones(13)
    ends[[0, 1, -2, -1]] = 0.45, 0.86, 0.88, 0.5
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7
    z = np.where(np.sin(angle) >= 0, np.abs(np.sin(angle)) ** 0.8, 0)
    lateral = middle[:, None] + (half * ends)[:, None] * x
    height = np.where(np.sin(angle) < -0.1, -0.014, np.maximum(high * np.sqrt(ends), 0.02)[:, None] * z - 0.002)
    ground = heel[:2] + stations[:, None, None] * forward + lateral[..., None] * across
    rings = np.concatenate([ground, height[..., None]], -1)
    rings = np.concatenate(
        [rings[:1].mean(1, keepdims=True).repeat(16, 1), rings, rings[-1:].mean(1, keepdims=True).repeat(16, 1)]
    )
    vertices = rings.reshape(-1, 3).astype(np.float32)
    cloth = np.stack(
        [vertices[:, 0], np.repeat(np.r_[0, stations, stations[-1]] / stations[-1], 16), vertices[:, 2] + 0.014], 1
    )
    weights = borrowed_weights(tailor, vertices, limbs=(LEGS[side],), neighbours=12)
    return msh.build(vertices, msh.grid_faces(15, 16, closed=True), weights, slot=SLOTS.index("shoes"), cloth=cloth)
