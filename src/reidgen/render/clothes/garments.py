"""Clothes for the upper body and the legs, cut clean at neck, cuffs and hem. All at rest; `figure` bends the result."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.mesh import Mesh
from reidgen.render.bodies.wardrobe import SLOTS, Garment
from reidgen.render.clothes.cloth import COLUMNS, panel, shell, soft_max, tube, with_folds
from reidgen.render.clothes.tailor import ARMS, CHARTS, LEGS, TORSO, Tailor, hem_height, neck_field, torso_axis

Array = NDArray[np.floating[Any]]


def upper_shell(tailor: Tailor, garment: Garment, slot: str = "upper") -> Mesh:
    """Shoulders, chest and sleeves in one, not cut yet; cloth coordinates about all limbs (V, 15)."""
    limb, along = tailor.model.limb, tailor.along
    arms = np.isin(limb, list(ARMS.values()))
    low = float(tailor.joints["spine02"][2]) - 0.02
    fit = np.where(arms, 0.75 * garment.ease, garment.ease).astype(np.float32)
    loose = np.clip(along / max(garment.sleeve, 0.2), 0, 1) * garment.flare
    hanging = soft_max(tailor.reach + fit, np.float32(0.048 if garment.ease > 0.02 else 0.03)) - tailor.reach
    offset = np.where(arms, np.where(along > 0.25, hanging, fit) + loose, fit).astype(np.float32)
    if garment.sleeve > 0.9:
        offset = np.where(arms & (along > 0.93), np.minimum(offset, 0.45 * garment.ease + 0.004), offset)
    opening = neck_field(tailor, tailor.soft, garment.collar)
    chosen = (limb == TORSO) & (tailor.soft[:, 2] > low - 0.06) & (opening > -0.05) | arms & (
        along < garment.sleeve + 0.12
    )
    return msh.subdivide(shell(tailor, chosen, offset.astype(np.float32), slot))


def upper_garment(
    tailor: Tailor, garment: Garment, rng: np.random.Generator, slot: str = "upper", *, over: float = 0.0
) -> list[Mesh]:
    """A garment for the upper body, its hem and its collar; it hangs at least `over` metres off the hips."""
    join_at = float(tailor.joints["spine02"][2]) - 0.02
    bottom = hem_height(tailor, garment)
    tight = garment.ease * 0.6 if garment.cut in ("hoodie", "jacket") and garment.flare < 0 else 0.0
    waisted = {"dress": 0.3, "tank": 0.3, "longsleeve": 0.22}.get(garment.cut, float(rng.uniform(0.02, 0.14)))
    flare = max(garment.flare, 0) * 0.5 if garment.cut not in ("coat", "dress") else 0.0
    body = tube(
        tailor,
        join_at + 0.012,
        bottom,
        garment.ease + 0.001,
        slot,
        flare=max(flare, over - garment.ease),
        cling=waisted,
        tight_hem=tight,
    )
    whole = upper_shell(tailor, garment, slot)
    whole = _meet(whole, body.vertices[:COLUMNS], torso_axis(tailor), seam=float(tailor.joints["upperarm01.L"][0]))
    rest = whole.cloth[:, :3] * np.array([1, -1, 1], np.float32) + np.array(
        [0, torso_axis(tailor)[1], tailor.neck], np.float32
    )
    seam = float(tailor.joints["upperarm01.L"][0]) * 0.97
    torso = np.minimum(
        neck_field(tailor, rest, garment.collar), np.minimum(seam - np.abs(rest[:, 0]), whole.vertices[:, 2] - join_at)
    )
    top = [panel(whole, torso, TORSO)]
    upper_arm, fore = (
        float(np.linalg.norm(tailor.joints[f"{b}.L"] - tailor.joints[f"{a}.L"]))
        for a, b in (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist"))
    )
    for side, sign in (("L", 1), ("R", -1)):
        if garment.sleeve > 0.05:
            at = 3 * CHARTS.index(ARMS[side])
            cuff = garment.sleeve * (upper_arm + fore) - (upper_arm - whole.cloth[:, at + 2])
            top.append(panel(whole, np.minimum(sign * rest[:, 0] - seam, cuff), ARMS[side]))
    body = msh.subdivide(body)
    amplitude = 0.004 + 0.24 * garment.ease
    parts = [with_folds(part, _fold_height(part, amplitude, join_at - tailor.neck), rng) for part in [*top, body]]
    if garment.open_front > 0:
        parts = [_open(part, garment.open_front, tailor) for part in parts]
    return parts + collar_parts(tailor, garment, slot)


def _meet(mesh: Mesh, ring: Array, centre: tuple[float, float], *, seam: float) -> Mesh:
    """Draw the chest out to the first ring of the tube below it, so that no step shows."""
    offset = mesh.vertices[:, :2] - np.asarray(centre, np.float32)
    radius = np.linalg.norm(offset, axis=1)
    radii = np.linalg.norm(ring[:, :2] - np.asarray(centre, np.float32), axis=1)
    turn = np.arctan2(offset[:, 0], -offset[:, 1]) / (2 * np.pi) % 1
    target = np.interp(turn, np.arange(len(radii) + 1) / len(radii), np.r_[radii, radii[0]])
    share = np.clip(1 - (mesh.vertices[:, 2] - ring[0, 2]) / 0.13, 0, 1) * np.clip(
        (seam + 0.03 - np.abs(mesh.vertices[:, 0])) / 0.04, 0, 1
    )
    grown = radius + share * share * (3 - 2 * share) * np.maximum(target - radius, 0)
    moved = mesh.vertices.copy()
    moved[:, :2] = np.asarray(centre, np.float32) + offset * (grown / np.maximum(radius, 1e-6))[:, None]
    return replace(mesh, vertices=moved.astype(np.float32))


def _fold_height(mesh: Mesh, amplitude: float, join_at: float) -> Array:
    """Folds fade out on the shoulders and deepen towards elbows and hem; none at the seams."""
    v = mesh.cloth[:, 2]
    if len(mesh.charts) and mesh.charts[0] != TORSO:
        return (amplitude * (0.5 + 0.9 * np.exp(-((v / 0.1) ** 2))) * np.clip((0.26 - v) / 0.06, 0, 1)).astype(
            np.float32
        )
    return (
        amplitude * np.clip((-v - 0.08) / 0.3, 0.0, 1.15) * np.clip(np.abs(v - join_at - 0.006) / 0.05, 0, 1)
    ).astype(np.float32)


def _open(mesh: Mesh, gap: float, tailor: Tailor) -> Mesh:
    """Cut an open front, wider towards the hem."""
    centre = torso_axis(tailor)[1]
    down = np.clip(tailor.neck - mesh.vertices[:, 2], 0, 1)
    front = (mesh.vertices[:, 1] < centre) & (np.abs(mesh.vertices[:, 0]) < 0.2)
    if len(mesh.charts) and mesh.charts[0] != TORSO:
        return mesh
    field = np.where(front, np.abs(mesh.vertices[:, 0]) - gap * (0.45 + 1.1 * down), 1.0)
    return msh.clip(mesh, field.astype(np.float32))


def collar_parts(tailor: Tailor, garment: Garment, slot: str) -> list[Mesh]:
    """A collar around the neck, or a hood on the back."""
    if garment.collar not in ("collar", "stand", "hood"):
        return []
    base = tailor.joints["neck01"]
    if garment.collar == "hood":
        points, faces = msh.superellipsoid((0.125, 0.05, 0.075), power=2.6)
        points = points + np.array([0, base[1] + 0.062, base[2] - 0.018], np.float32)
        points[:, 1] -= 0.9 * np.abs(points[:, 0]) ** 1.3
        weights = msh.bound_to(tailor.model.bones, len(points), spine01=1.0)
        return [
            msh.build(
                points,
                faces,
                weights,
                slot=SLOTS.index(slot),
                cloth=points * np.array([1, -1, 1]) - np.array([0, 0, base[2]]),
            )
        ]
    near = (np.abs(tailor.soft[:, 2] - base[2] - 0.03) < 0.03) & (
        np.hypot(tailor.soft[:, 0], tailor.soft[:, 1] - base[1]) < 0.1
    )
    radius = float(np.median(np.hypot(tailor.soft[near, 0], tailor.soft[near, 1] - base[1]))) if near.any() else 0.06
    height = 0.035 if garment.collar == "collar" else 0.055
    rows = np.linspace(height, -0.035, 5)
    angle = np.arange(20) * 2 * np.pi / 20
    tilt = 0.5 * np.cos(angle)
    gap = 0.35 if garment.open_front > 0 else 0.0
    rings = [
        np.stack(
            [
                (radius + 0.014 + 0.25 * max(-r, 0)) * np.sin(angle),
                base[1] - 0.005 - (radius + 0.014 + 0.25 * max(-r, 0)) * np.cos(angle),
                base[2] + 0.012 + r - tilt * (radius + 0.01) - gap * 0.1 * (np.cos(angle) > 0.9),
            ],
            1,
        )
        for r in rows
    ]
    points = np.concatenate(rings).astype(np.float32)
    weights = msh.bound_to(tailor.model.bones, len(points), spine01=0.6, neck01=0.4)
    cloth = points * np.array([1, -1, 1], np.float32) - np.array([0, 0, base[2]], np.float32)
    return [msh.build(points, msh.grid_faces(5, 20, closed=True), weights, slot=SLOTS.index(slot), cloth=cloth)]


def lower_garment(tailor: Tailor, garment: Garment, rng: np.random.Generator) -> list[Mesh]:
    """Trousers, shorts or leggings (a skirt hangs in the pose: see `drape`)."""
    limb, along, z = tailor.model.limb, tailor.along, tailor.soft[:, 2]
    legs = np.isin(limb, list(LEGS.values()))
    wide = np.clip((along - 0.12) / 0.4, 0, 1) * garment.flare
    target = {"trousers": 0.074, "jeans": 0.066, "wide": 0.085, "leggings": 0.0, "shorts": 0.085}.get(garment.cut, 0.0)
    ramp = np.clip((along - 0.1) / 0.25, 0, 1)
    fit = garment.ease * np.where(legs, 1.0, 0.8)
    if target:
        fit = (1 - ramp) * fit + ramp * (soft_max(tailor.reach + fit, np.float32(target)) - tailor.reach)
    foot = legs & (z < float(tailor.joints["foot.L"][2]) * 0.45)
    chosen = (legs & ~foot & (along < garment.hem + 0.1)) | ((limb == TORSO) & (z < tailor.waist + 0.05))
    part = shell(
        tailor, chosen, (fit + wide).astype(np.float32), "lower", smoothing=2 if garment.cut == "leggings" else 9
    )
    part = msh.subdivide(part)
    hip, ankle = float(tailor.joints["upperleg01.L"][2]), float(tailor.joints["foot.L"][2])
    hem = hip - garment.hem * (hip - ankle) - 0.02 * (garment.hem > 0.9)
    field = np.minimum(part.vertices[:, 2] - hem, tailor.waist - part.vertices[:, 2])
    amplitude = 0.0 if garment.cut == "leggings" else 0.004 + 0.2 * garment.ease + 0.06 * max(garment.flare, 0)
    pieces = [
        panel(part, np.minimum(field, sign * part.vertices[:, 0] + 1e-4), LEGS[side])
        for side, sign in (("L", 1), ("R", -1))
    ]
    return [with_folds(piece, amplitude * _leg_folds(tailor, piece.vertices), rng, stretch=1.6) for piece in pieces]


def _leg_folds(tailor: Tailor, points: Array) -> Array:
    """Folds gather at knee, ankle and groin; none at the seam between the legs."""
    height = points[:, 2]
    at = [float(tailor.joints[f"{b}.L"][2]) for b in ("upperleg01", "lowerleg01", "foot")]
    depth = (
        0.45
        + 0.8 * np.exp(-(((height - at[0] + 0.1) / 0.09) ** 2))
        + np.exp(-(((height - at[1]) / 0.09) ** 2))
        + 1.1 * np.exp(-(((height - at[2]) / 0.1) ** 2))
    )
    return (depth * np.clip(np.abs(points[:, 0]) / 0.03, 0, 1)).astype(np.float32)
