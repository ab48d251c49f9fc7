"""A dressed person: all parts joined once, then bent into each pose."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.body import BodyModel, RestBody, pose_bones, rotation_matrix, skin
from reidgen.render.bodies.hair import Head, hair_parts, hairline, hat_parts
from reidgen.render.bodies.mesh import Mesh
from reidgen.render.bodies.poses import Pose, joint_rotations
from reidgen.render.bodies.wardrobe import SLOTS, Garment, Outfit
from reidgen.render.clothes.accessories import Hanging, bag_parts, held_parts
from reidgen.render.clothes.drapes import Drape, drape
from reidgen.render.clothes.garments import lower_garment, upper_garment
from reidgen.render.clothes.shoes import shoes
from reidgen.render.clothes.tailor import ARMS, HEAD, LEGS, TORSO, Tailor, hem_height, measure, neck_field

Array = NDArray[np.floating[Any]]
LOOSE = ("trousers", "jeans", "wide", "shorts")  # what a coat has to clear


@dataclass(frozen=True, eq=False)
class Figure:
    """A person ready to be posed.

    Attributes:
        model, body, outfit: Who it is.
        mesh: All parts that bend with the bones.
        normals: Vertex normals of `mesh` at rest, along which folds lift the cloth.
        drapes, hanging: What falls or hangs anew in every pose.
        faces, slots, charts, cloth: Of the whole, drapes and hanging things after `mesh`.
        around: `mesh.incidence` of the whole.
        materials: Rows for the kernel (slots, columns).
        legs: Body vertices that a drape falls over.
    """

    model: BodyModel
    body: RestBody
    outfit: Outfit
    mesh: Mesh
    normals: Array
    drapes: list[Drape]
    hanging: list[Hanging]
    faces: NDArray[np.integer[Any]]
    slots: NDArray[np.integer[Any]]
    charts: NDArray[np.integer[Any]]
    cloth: Array
    around: scipy.sparse.csr_matrix
    materials: Array
    legs: NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Posed:
    """Vertices and normals (V, 3) and COCO key points (17, 3) in metres, soles on z = 0, facing -y."""

    vertices: Array
    normals: Array
    keypoints: Array


def dress(model: BodyModel, outfit: Outfit, rng: np.random.Generator) -> Figure:
    """Build a person's meshes; `rng` shapes folds and hair."""
    body = model.rest(outfit.phenotype)
    tailor = measure(model, body)
    parts, drapes = _clothes(tailor, outfit, rng)
    bags, hanging = bag_parts(tailor, outfit)
    parts += [msh.keep_faces(_skin_mesh(tailor), ~covered(tailor, outfit)[model.faces].all(1))]
    parts += hair_parts(tailor, outfit, rng) + hat_parts(tailor, outfit) + bags + held_parts(tailor, outfit)
    mesh = msh.join(parts)
    return _assemble(model, body, outfit, tailor, mesh, drapes, hanging)


def _clothes(tailor: Tailor, outfit: Outfit, rng: np.random.Generator) -> tuple[list[Mesh], list[Drape]]:
    upper, lower = outfit.upper, outfit.lower
    parts: list[Mesh] = []
    drapes: list[Drape] = []
    hem = hem_height(tailor, upper)
    belt = float(tailor.joints["upperleg01.L"][2]) + 0.03
    if upper.cut in ("coat", "dress"):
        parts += upper_garment(tailor, replace(upper, hem=_share(tailor, belt - 0.02)), rng)
        drapes.append(
            drape(
                tailor,
                upper,
                "upper",
                rng,
                top=belt + 0.01,
                bottom=min(hem, belt - 0.2),
                clear=0.024 if lower.cut in LOOSE else 0.006,
            )
        )
    else:
        parts += upper_garment(tailor, upper, rng, over=lower.ease + 0.35 * max(lower.flare, 0) + 0.012)
    if outfit.inner:
        parts += upper_garment(tailor, Garment("tshirt", 0.006, 0.16, 0.2), rng, "inner")
    if lower.cut == "skirt":
        hip, ankle = float(tailor.joints["upperleg01.L"][2]), float(tailor.joints["foot.L"][2])
        drapes.append(
            drape(tailor, lower, "lower", rng, top=tailor.waist - 0.01, bottom=hip - lower.hem * (hip - ankle))
        )
    elif lower.cut != "none":
        parts += lower_garment(tailor, lower, rng)
    return parts + shoes(tailor, outfit.shoes), drapes


def _share(tailor: Tailor, height: float) -> float:
    hip, ankle = float(tailor.joints["upperleg01.L"][2]) + 0.06, float(tailor.joints["foot.L"][2])
    return (hip - height) / (hip - ankle)


def _skin_mesh(tailor: Tailor) -> Mesh:
    """The naked body: head, arms with hands and chest, legs."""
    model = tailor.model
    slot_of_limb = np.array([SLOTS.index(s) for s in ("arms", "head", "arms", "arms", "legs", "legs")])
    limb = np.sort(model.limb[model.faces], 1)[:, 1]
    mesh = msh.build(tailor.body.vertices, model.faces.astype(np.int64), model.weights, slot=0)
    return replace(mesh, slots=slot_of_limb[limb])


def covered(tailor: Tailor, outfit: Outfit) -> NDArray[np.bool_]:
    """Body vertices (V,) that lie well under cloth and can be left out."""
    limb, along, z = tailor.model.limb, tailor.along, tailor.body.vertices[:, 2]
    arms, legs = np.isin(limb, list(ARMS.values())), np.isin(limb, list(LEGS.values()))
    upper, lower = outfit.upper, outfit.lower
    collar = "crew" if outfit.inner else upper.collar
    hem = hem_height(tailor, upper)
    out = (
        (limb == TORSO)
        & (
            neck_field(tailor, tailor.soft, collar)
            > np.clip(0.03 - 0.8 * (np.abs(tailor.soft[:, 0]) - 0.08), -0.02, 0.03)
        )
        & (z > hem + 0.05)
    )
    out |= arms & (along < upper.sleeve - 0.09)
    if lower.cut not in ("skirt", "none"):
        hip, ankle = float(tailor.joints["upperleg01.L"][2]), float(tailor.joints["foot.L"][2])
        out |= (legs | (limb == TORSO)) & (z < tailor.waist - 0.04) & (z > hip - lower.hem * (hip - ankle) + 0.015)
    if outfit.shoes != "sandal":
        cut = {"sneaker": 0.95, "shoe": 0.8, "boot": 2.5}[outfit.shoes]
        out |= legs & (z < cut * float(tailor.joints["foot.L"][2]) - 0.03)
    if outfit.hair != "bald" or outfit.hat != "none":
        head = Head(tailor)
        out |= (
            (limb == HEAD)
            & (hairline(head, tailor.soft, 0.075) > 0.035)
            & (outfit.hat == "none" or outfit.hair != "bald")
        )
    return out


def _assemble(
    model: BodyModel,
    body: RestBody,
    outfit: Outfit,
    tailor: Tailor,
    mesh: Mesh,
    drapes: list[Drape],
    hanging: list[Hanging],
) -> Figure:
    faces, slots, charts, cloth = [mesh.faces], [mesh.slots], [mesh.charts], [mesh.cloth]
    start = len(mesh.vertices)
    legs = np.flatnonzero(
        (np.isin(model.limb, list(LEGS.values())) & (tailor.along < 0.9))
        | ((model.limb == TORSO) & (tailor.soft[:, 2] < tailor.waist + 0.1))
    )
    extra = [(d.faces(), SLOTS.index(d.slot), _drape_cloth(d, tailor, legs)) for d in drapes]
    extra += [(h.faces, SLOTS.index(h.slot), h.vertices) for h in hanging]
    for part, slot, coordinates in extra:
        faces.append(part + start)
        slots.append(np.full(len(part), slot))
        charts.append(np.zeros(len(part), np.int64))
        cloth.append(coordinates)
        start += len(coordinates)
    all_faces = np.concatenate(faces).astype(np.int32)
    normals = msh.vertex_normals(mesh.vertices, mesh.faces, msh.incidence(mesh.faces, len(mesh.vertices)))
    return Figure(
        model,
        body,
        outfit,
        mesh,
        normals,
        drapes,
        hanging,
        all_faces,
        np.concatenate(slots).astype(np.int32),
        np.concatenate(charts).astype(np.int32),
        np.concatenate(cloth).astype(np.float32),
        msh.incidence(all_faces, start),
        _materials(tailor, outfit),
        legs,
    )


def _drape_cloth(part: Drape, tailor: Tailor, legs: NDArray[np.integer[Any]]) -> Array:
    points = part.fall(tailor.soft[legs])
    return points * np.array([1, -1, 1], np.float32) + np.array([0, part.centre[1], -part.neck], np.float32)


def _materials(tailor: Tailor, outfit: Outfit) -> Array:
    head = Head(tailor)
    rows = outfit.material_rows()
    rows[SLOTS.index("head"), 15:17] = head.eye_half, head.eye[2]
    return rows


def pose_figure(figure: Figure, pose: Pose, rng: np.random.Generator) -> Posed:
    """Bend a person into a pose; `rng` mixes the folds of the cloth."""
    bones = pose_bones(figure.model, figure.body.heads, joint_rotations(pose, figure.body.heads, figure.model.bones))
    mix = rng.normal(0, 0.75, 3).astype(np.float32)
    mesh = figure.mesh
    lifted = mesh.vertices + figure.normals * np.maximum(mesh.folds @ mix, -0.004)[:, None]
    parts = [skin(lifted, mesh.weights, bones)]
    if figure.drapes:
        frame = bones[figure.model.bones["root"]]
        legs = skin(figure.body.vertices[figure.legs], figure.model.weights[figure.legs], bones)
        local = (legs - frame[:3, 3]) @ frame[:3, :3]
        parts += [d.fall(local) @ frame[:3, :3].T + frame[:3, 3] for d in figure.drapes]
    for thing in figure.hanging:
        index = figure.model.bones[thing.bone]
        grip = bones[index][:3, :3] @ figure.body.heads[index] + bones[index][:3, 3]
        parts.append(
            thing.vertices @ rotation_matrix(np.array([0, 0, rng.normal(0, 0.25)])).T.astype(np.float32) + grip
        )
    vertices = np.concatenate(parts).astype(np.float32)
    body = skin(figure.body.vertices, figure.model.weights, bones)
    keypoints = figure.model.keypoints @ body
    floor = np.array([0, 0, parts[0][:, 2].min()], np.float32)
    return Posed(
        vertices - floor,
        msh.vertex_normals(vertices, figure.faces, figure.around),
        (keypoints - floor).astype(np.float32),
    )
