"""The naked body: anny's mesh and skeleton, and the pose that bends them.

Axes at rest: x to the person's left, -y to the front, z up, metres, soles at z = 0.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from reidgen.errors import importing

Array = NDArray[np.floating[Any]]
COCO = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
LIMBS = ("torso", "head", "arm.L", "arm.R", "leg.L", "leg.R")


@dataclass(frozen=True, eq=False)
class BodyModel:
    """What all people share: topology, skeleton, skinning weights.

    Attributes:
        model: The anny model; gives the rest shape of a phenotype.
        faces: Triangles, int32 (F, 3).
        bones: Index of each bone by its name.
        parents: Parent of each bone, -1 for the root; a parent comes before its children.
        weights: Skinning weights (V, bones), rows sum to one.
        keypoints: COCO regressor (17, V).
        limb: For each vertex the index into `LIMBS` of the limb it moves with.
        part: For each vertex the name's index in `bones` of its heaviest bone.
    """

    model: Any
    faces: NDArray[np.integer[Any]]
    bones: dict[str, int]
    parents: NDArray[np.integer[Any]]
    weights: scipy.sparse.csr_matrix
    keypoints: scipy.sparse.csr_matrix
    limb: NDArray[np.integer[Any]]
    part: NDArray[np.integer[Any]]

    def rest(self, phenotype: dict[str, float]) -> "RestBody":
        """The body of a phenotype (anny's sliders, each 0 to 1) in its rest pose."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums in one order whatever the number of cores: same seed, same bytes
        try:
            with torch.no_grad():
                values = {k: torch.tensor([v], dtype=torch.float64) for k, v in phenotype.items()}
                out = self.model.get_rest_model(self.model.get_phenotype_blendshape_coefficients(**values))
        finally:
            torch.set_num_threads(threads)
        vertices, heads = (out[k][0].numpy() for k in ("rest_vertices", "rest_bone_heads"))
        sole = np.array([0.0, 0.0, vertices[:, 2].min()])
        return RestBody((vertices - sole).astype(np.float32), (heads - sole).astype(np.float32))


@dataclass(frozen=True, eq=False)
class RestBody:
    """One person's body at rest: vertices (V, 3) and bone heads (bones, 3)."""

    vertices: Array
    heads: Array


def load_anny() -> Any:
    """Import anny.

    Raises:
        MissingExtraError: It, or warp-lang, is not installed.
        ConfigError: One is there and cannot be imported.
    """
    with importing("warp-lang", extra="render", purpose="Rendering people", module="warp"):
        import warp

        setattr(warp.config, "quiet", True)  # noqa: B010 - mypy sees no attribute
        setattr(warp.config, "log_level", 30)  # noqa: B010 - warnings and above: what later versions have in place of quiet
    with importing("anny", extra="render", purpose="Rendering people"):
        import anny
    return anny


@functools.cache
def body_model() -> BodyModel:
    """The body model, loaded once a process (the first use on a machine takes about ten seconds more)."""
    anny = load_anny()
    model = anny.Anny()
    bones = {name: i for i, name in enumerate(model.bone_labels)}
    vertices = len(model.template_vertices)
    rows = np.repeat(np.arange(vertices), model.vertex_bone_indices.shape[1])
    entries = (model.vertex_bone_weights.numpy().ravel(), (rows, model.vertex_bone_indices.numpy().ravel()))
    weights = scipy.sparse.csr_matrix(entries, shape=(vertices, len(bones)), dtype=np.float32)
    weights.eliminate_zeros()
    coco = anny.KeypointsRegressor.coco(model, labels=list(COCO)).regression_weights.numpy()
    dense = np.asarray(weights.todense())
    groups = np.array([_limb(name) for name in model.bone_labels])
    limb = np.stack([dense[:, groups == i].sum(1) for i in range(len(LIMBS))], 1).argmax(1)
    return BodyModel(
        model,
        model.faces.numpy().astype(np.int32),
        bones,
        np.array(model.bone_parents, np.int64),
        weights,
        scipy.sparse.csr_matrix(coco.astype(np.float32)),
        limb,
        dense.argmax(1),
    )


def _limb(bone: str) -> int:
    side = bone[-1]
    if bone.startswith(("upperarm", "lowerarm", "wrist", "finger", "metacarpal")):
        return LIMBS.index(f"arm.{side}")
    if bone.startswith(("upperleg", "lowerleg", "foot", "toe")):
        return LIMBS.index(f"leg.{side}")
    return LIMBS.index("head" if bone.startswith(("head", "eye", "neck02", "neck03")) else "torso")


def pose_bones(model: BodyModel, heads: Array, rotations: dict[str, Array]) -> Array:
    """Transforms that carry each bone from rest to a pose.

    Args:
        model: Gives the tree of bones.
        heads: Bone heads at rest (bones, 3).
        rotations: Rotation vector (3,) in radians about the rest axes for each bone that turns relative to its parent.

    Returns:
        float32 (bones, 4, 4), to be applied to points at rest.
    """
    names = list(model.bones)
    out = np.empty((len(names), 4, 4), np.float64)
    for i, parent in enumerate(model.parents):
        base = np.eye(4) if parent < 0 else out[parent]
        if names[i] not in rotations:
            out[i] = base
            continue
        turn = rotation_matrix(rotations[names[i]])
        local = np.eye(4)
        local[:3, :3] = turn
        local[:3, 3] = heads[i] - turn @ heads[i]
        out[i] = base @ local
    return out.astype(np.float32)


def rotation_matrix(vector: Array) -> NDArray[np.floating[Any]]:
    """Rodrigues' formula: the rotation (3, 3) by |vector| radians about vector."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = np.asarray(vector, np.float64) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def skin(vertices: Array, weights: scipy.sparse.csr_matrix, bones: Array) -> Array:
    """Linear blend skinning: vertices (V, 3) at rest to the pose of `bones` (bones, 4, 4)."""
    blend = (weights @ bones[:, :3].reshape(len(bones), 12)).reshape(-1, 3, 4)
    return np.einsum("vij,vj->vi", blend[:, :, :3], vertices) + blend[:, :, 3]
