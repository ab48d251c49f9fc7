"""A body's measures: limbs, cloth coordinates, necklines and hems, from which the clothes are cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.body import LIMBS, BodyModel, RestBody
from reidgen.render.bodies.wardrobe import Garment

Array = NDArray[np.floating[Any]]
TORSO, HEAD = LIMBS.index("torso"), LIMBS.index("head")
ARMS = {"L": LIMBS.index("arm.L"), "R": LIMBS.index("arm.R")}
LEGS = {"L": LIMBS.index("leg.L"), "R": LIMBS.index("leg.R")}
CHARTS = (TORSO, ARMS["L"], ARMS["R"], LEGS["L"], LEGS["R"])
# how the neckline of a collar rises to the back, and how far it lies above the base of the neck, metres
NECKLINES = {
    "crew": (0.55, -0.012),
    "collar": (0.5, 0.0),
    "hood": (0.5, 0.0),
    "stand": (0.45, 0.01),
    "scoop": (0.85, -0.03),
}


@dataclass(frozen=True, eq=False)
class Tailor:
    """Measures of one body that the cuts are made from.

    Attributes:
        model, body: The body.
        soft: Vertices of the body without its fine relief (V, 3).
        normals: Of the soft body (V, 3).
        joints: Bone heads by name.
        along: For each vertex the share of its limb: 0 at shoulder or hip, 1 at wrist or ankle; torso and head 0.
        outward: Unit direction away from the limb's axis (V, 3).
        reach: Distance from the limb's axis, metres (V,).
        cloth: Pattern coordinates about the torso, each arm and each leg (V, 15), in the order of `CHARTS`.
    """

    model: BodyModel
    body: RestBody
    soft: Array
    normals: Array
    joints: dict[str, Array]
    along: Array
    outward: Array
    reach: Array
    cloth: Array

    @property
    def neck(self) -> float:
        """Height of the base of the neck."""
        return float(self.joints["neck01"][2])

    @property
    def waist(self) -> float:
        """Height at which trousers and skirts are worn."""
        return float(self.joints["spine05"][2] + 0.055)


def measure(model: BodyModel, body: RestBody) -> Tailor:
    """Take a body's measures."""
    vertices = len(body.vertices)
    soft = msh.smooth(body.vertices, msh.smoother(model.faces, vertices), 6)
    normals = msh.vertex_normals(soft, model.faces, msh.incidence(model.faces, vertices))
    joints = {name: body.heads[i] for name, i in model.bones.items()}
    axis = soft.copy()
    along = np.zeros(vertices, np.float32)
    middle = float(np.median(soft[model.limb == TORSO, 1]))
    torso = model.limb == TORSO
    cloth = [soft * np.array([1, -1, 1], np.float32) + np.array([0, middle, -joints["neck01"][2]], np.float32)]
    axis[torso, :2] = 0, middle
    for chain_of, limbs in (
        (("upperarm01", "lowerarm01", "wrist"), ARMS),
        (("upperleg01", "lowerleg01", "foot"), LEGS),
    ):
        for side in "LR":
            foot, share, coordinates = _about_limb(soft, [joints[f"{b}.{side}"] for b in chain_of])
            mine = model.limb == limbs[side]
            axis[mine], along[mine] = foot[mine], share[mine]
            cloth.append(coordinates)
    away = soft - axis
    reach = np.linalg.norm(away, axis=1)
    return Tailor(
        model,
        body,
        soft,
        normals,
        joints,
        along,
        (away / np.maximum(reach, 1e-6)[:, None]).astype(np.float32),
        reach.astype(np.float32),
        np.concatenate(cloth, 1).astype(np.float32),
    )


def _about_limb(points: Array, chain: list[Array]) -> tuple[Array, Array, Array]:
    """Nearest points on the axis of a limb with three joints, share along it, and cloth coordinates, for all points."""
    lengths = [float(np.linalg.norm(chain[i + 1] - chain[i])) for i in (0, 1)]
    best, where, foot = np.full(len(points), np.inf), np.zeros(len(points)), np.zeros(points.shape)
    for i in (0, 1):
        direction = (chain[i + 1] - chain[i]) / lengths[i]
        t = np.clip((points - chain[i]) @ direction, -0.2 if i == 0 else 0, lengths[i] if i == 0 else lengths[1] + 0.2)
        at = chain[i] + t[:, None] * direction
        distance = np.linalg.norm(points - at, axis=1)
        closer = distance < best - 1e-6
        best = np.where(closer, distance, best)
        where = np.where(closer, t + (lengths[0] if i else 0), where)
        foot = np.where(closer[:, None], at, foot)
    away = points - foot
    down = (chain[2] - chain[0]) / np.linalg.norm(chain[2] - chain[0])
    side = np.cross([0.0, -1.0, 0.0], down)
    side *= np.sign(side[0]) / np.linalg.norm(side)
    front = np.cross(side, down)
    front *= -np.sign(front[1])
    cloth = np.stack([away @ side, away @ front, lengths[0] - where], 1)  # 0 at knee or elbow
    return foot, where / sum(lengths), cloth


def neck_field(tailor: Tailor, points: Array, collar: str) -> Array:
    """How far points (V, 3) at rest lie below the neckline of a collar, metres; shoulders are always covered."""
    tilt, lift = NECKLINES[collar]
    base = tailor.joints["neck01"]
    line = base[2] + lift + tilt * (points[:, 1] - base[1])
    return np.maximum(line - points[:, 2], np.abs(points[:, 0]) - 0.11).astype(np.float32)


def torso_axis(tailor: Tailor) -> tuple[float, float]:
    """Where the vertical axis of the torso stands."""
    return 0.0, float(np.median(tailor.soft[tailor.model.limb == TORSO, 1]))


def hem_height(tailor: Tailor, garment: Garment) -> float:
    """Height of an upper garment's hem: `hem` is the share of the way from the hip joint to the ankle."""
    hip, ankle = float(tailor.joints["upperleg01.L"][2]) + 0.06, float(tailor.joints["foot.L"][2])
    return (
        hip - garment.hem * (hip - ankle)
        if garment.cut in ("coat", "dress")
        else hip - 0.42 * garment.hem * (hip - ankle)
    )
