"""What is fitted: the bones that bend, COCO's points as sums over them, and how people usually hold themselves."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidgen.render.bodies.body import BodyModel, RestBody, body_model
from reidgen.render.bodies.poses import joint_rotations, sample_pose

Array = NDArray[np.float64]
SIDES = ("shoulder01", "upperarm01", "upperarm02", "lowerarm01", "upperleg01", "upperleg02", "lowerleg01", "foot")
MIDDLE = ("root", "spine04", "spine03", "spine02", "neck01", "neck03", "head")
BONES = (*MIDDLE, *(f"{bone}.{side}" for bone in SIDES for side in "LR"))
POSES = 600  # of the renderer, from which the usual angles are taken
MORE = 1.3  # how much wider real people's angles are spread than the renderer's
FREE_DEG = {"root": 2.0, "spine03": 3.0, "neck01": 6.0, "upperarm01": 12.0, "lowerarm01": 12.0, "upperleg01": 8.0}
FREE_DEG |= {"lowerleg01": 8.0, "foot": 3.0}  # and what is added to it, each axis by itself
LEAST_DEG = 1.0  # directions in which people bend less are left out


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A grown-up of mean shape, whose COCO points follow from its bones alone.

    Points are linear in vertices and skinning is linear in the bones' transforms, so each point is a sum over bones of
    a transform times a constant vector: no mesh is needed.

    Attributes:
        names: Bones that bend, parents before children.
        parents: Of each the nearest bone of them towards the root, -1 for the root.
        heads: Where each turns at rest, (B, 3) metres: to the left, back, up.
        shares: (17, B, 4): point k is the sum over bones of transform b times shares[k, b].
        below: Whether bone j hangs on bone b or is it, (B, B) of 0 and 1.
        mean: Usual rotation vectors (3 B) in radians about the rest axes.
        spread: Directions (3 B, M) in which people differ, each as long as its standard deviation.
        height: At rest, metres.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    heads: Array
    shares: Array
    below: Array
    mean: Array
    spread: Array
    height: float


@functools.cache
def mean_body() -> RestBody:
    """A body of mean phenotype at rest."""
    return body_model().rest({})


@functools.cache
def skeleton() -> Skeleton:
    """That of anny's body of mean phenotype.

    Raises:
        MissingExtraError: anny or warp is not installed.
    """
    model, body = body_model(), mean_body()
    every = list(model.bones)
    names = tuple(sorted(BONES, key=model.bones.__getitem__))
    nearest = _nearest(model, names)
    own = [model.bones[name] for name in names]
    parents = tuple(-1 if model.parents[bone] < 0 else nearest[model.parents[bone]] for bone in own)
    below = np.eye(len(names))
    for bone in reversed(range(1, len(names))):
        below[parents[bone]] += below[bone]
    mean, spread = _usual(model, body, names)
    shares = _shares(model, body, np.eye(len(names))[[nearest[bone] for bone in range(len(every))]])
    return Skeleton(
        names,
        parents,
        body.heads[own].astype(np.float64),
        shares,
        below,
        mean,
        spread,
        float(body.vertices[:, 2].max()),
    )


def _nearest(model: BodyModel, names: tuple[str, ...]) -> list[int]:
    """For each of the model's bones the one of the names that it follows."""
    found: list[int] = []
    for name, parent in zip(model.bones, model.parents, strict=True):
        found.append(names.index(name) if name in names else found[parent])
    return found


def _shares(model: BodyModel, body: RestBody, follows: Array) -> Array:
    """`Skeleton.shares`, where bone i of the model moves as bone j of ours if follows[i, j] is 1."""
    weights = model.weights @ follows
    corners = np.column_stack([body.vertices, np.ones(len(body.vertices))]).astype(np.float64)
    regressor = model.keypoints.astype(np.float64)
    return np.stack([regressor @ (weights * corner[:, None]) for corner in corners.T], axis=-1)


def _usual(model: BodyModel, body: RestBody, names: tuple[str, ...]) -> tuple[Array, Array]:
    """Mean of the renderer's rotation vectors, and principal directions of their widened spread."""
    rng = np.random.default_rng(0)
    bent = [joint_rotations(sample_pose(rng), body.heads, model.bones) for _ in range(POSES)]
    vectors = np.array([[pose[name] for name in names] for pose in bent], np.float64).reshape(POSES, -1)
    free = np.radians([FREE_DEG.get(name.partition(".")[0], 0.0) for name in names]).repeat(3)
    values, directions = np.linalg.eigh(MORE**2 * np.cov(vectors.T) + np.diag(free**2))
    kept = values > np.radians(LEAST_DEG) ** 2
    return vectors.mean(0), directions[:, kept] * np.sqrt(values[kept])
