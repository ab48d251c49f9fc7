"""A body fitted to key points: angles, heading, scale and place at which they are likeliest."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reidgen.annotate.bodies.skeleton import Array, Skeleton
from reidgen.annotate.yaw import LEAST_SCORE, NOISE, STRETCH

STARTS_DEG = (0.0, 90.0, 180.0, -90.0)
STEPS = 14  # of Levenberg and Marquardt, from each start
DAMPING, EASIER, HARDER = 1e-2, 0.3, 5.0
LONGEST = 0.6  # step of an angle in radians
ROBUST = 4.0  # degrees of freedom of Student's distribution of a point's error
CAMERA = 5  # heading, logarithm of the scale, that of its stretch, shift to the right and down


@dataclass(frozen=True, eq=False)
class Fitted:
    """Bodies of some crops.

    Attributes:
        angles: Rotation vectors (N, 3 B), radians.
        camera: (N, 5): heading in radians, logarithms of the scale (pixels a metre) and of its stretch, the place of
            the body's axis at the height of its root in pixels.
        energy: Minus the logarithm of the posterior density, but for a constant, (N,).
    """

    angles: Array
    camera: Array
    energy: Array


def fit(points: Array, pitch: Array, skeleton: Skeleton) -> Fitted:
    """The likeliest body for the key points of each crop, of four starts all around.

    Errors of points have Student's distribution, whose scale is larger for lower scores; angles are spread as
    `Skeleton.spread` says. Each start is improved by Levenberg's and Marquardt's steps, reweighted.

    Args:
        points: (N, 17, 3): x, y in pixels and a score from 0 to 1.
        pitch: (N,), degrees that the camera looks down.
        skeleton: Who is fitted.
    """
    starts = len(STARTS_DEG)
    problem = _Problem.of(points.repeat(starts, axis=0), np.radians(pitch).repeat(starts), skeleton)
    state = problem.start(np.radians(np.tile(STARTS_DEG, len(points))))
    energy, gradient, bend = problem.look(state)
    damping = np.full(len(state), DAMPING)
    for _ in range(STEPS):
        moved = state + _step(gradient, bend, damping)
        there = problem.look(moved)
        better = there[0] < energy
        damping = np.where(better, damping * EASIER, damping * HARDER)
        state, energy = np.where(better[:, None], moved, state), np.where(better, there[0], energy)
        gradient = np.where(better[:, None], there[1], gradient)
        bend = np.where(better[:, None, None], there[2], bend)
    return _best(problem, state.reshape(len(points), starts, -1), energy.reshape(len(points), starts))


def _step(gradient: Array, bend: Array, damping: Array) -> Array:
    diagonal = np.einsum("nii->ni", bend)
    damped = bend + np.einsum("ni,ij->nij", damping[:, None] * diagonal, np.eye(bend.shape[1]))
    step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
    step[:, 0] = step[:, 0].clip(-LONGEST, LONGEST)
    return step


def _best(problem: "_Problem", state: Array, energy: Array) -> Fitted:
    best = np.arange(len(energy)), energy.argmin(1)
    angles = problem.skeleton.mean + state[best][:, CAMERA:] @ problem.skeleton.spread.T
    return Fitted(angles, state[best][:, :CAMERA], energy[best])


@dataclass(frozen=True, eq=False)
class _Problem:
    """Key points (n, 17, 2), what each is divided by (n, 17), pitches (n,), and first guess of scale and place (n, 3).

    A state is (n, 5 + M): the camera, and the angles' coordinates in `Skeleton.spread`.
    """

    points: Array
    noise: Array
    pitch: Array
    skeleton: Skeleton
    guess: Array

    @classmethod
    def of(cls, points: Array, pitch: Array, skeleton: Skeleton) -> "_Problem":
        weights = np.maximum(points[..., 2], LEAST_SCORE)
        share = (weights / weights.sum(1, keepdims=True))[..., None]
        middle = (points[..., :2] * share).sum(1)
        unit = np.sqrt((((points[..., 1] - middle[:, None, 1]) ** 2) * share[..., 0]).sum(1)).clip(1.0)
        still, _ = posed(skeleton.mean[None], skeleton)
        heights = still[0, :, 2]
        mean = (heights * share[..., 0]).sum(1)
        metres = np.sqrt((((heights - mean[:, None]) ** 2) * share[..., 0]).sum(1))
        scale = unit / metres
        at = mean - skeleton.heads[0, 2]
        guess = np.column_stack([np.log(scale), middle[:, 0], middle[:, 1] + scale * at])
        return cls(points[..., :2], NOISE * unit[:, None] / weights, pitch, skeleton, guess)

    def start(self, yaw: Array) -> Array:
        state = np.zeros((len(yaw), CAMERA + self.skeleton.spread.shape[1]))
        state[:, 0], state[:, 1], state[:, 3:CAMERA] = yaw, self.guess[:, 0], self.guess[:, 1:]
        return state

    def look(self, state: Array) -> tuple[Array, Array, Array]:
        """Energy (n,), its gradient (n, P), and the reweighted squares' second derivatives (n, P, P)."""
        angles = self.skeleton.mean + state[:, CAMERA:] @ self.skeleton.spread.T
        body, by_angle = posed(angles, self.skeleton)
        shown, by_camera, project = seen(body, state[:, :CAMERA], self.pitch, self.skeleton.heads[0])
        slope = np.concatenate([by_camera, np.einsum("nij,nkjp->nkip", project, by_angle @ self.skeleton.spread)], -1)
        error = (shown - self.points) / self.noise[..., None]
        squares = (error**2).sum(-1)
        weight = (ROBUST + 2) / (ROBUST + squares)
        slope = slope / self.noise[..., None, None]
        prior = np.ones(state.shape[1])
        prior[:CAMERA] = 0, 0, 1 / (STRETCH / 2) ** 2, 0, 0
        energy = 0.5 * (ROBUST + 2) * np.log1p(squares / ROBUST).sum(1) + 0.5 * (prior * state**2).sum(1)
        weighted = (slope * weight[..., None, None]).reshape(len(state), -1, state.shape[1]).transpose(0, 2, 1)
        gradient = (weighted @ error.reshape(len(state), -1, 1))[..., 0] + prior * state
        bend = weighted @ slope.reshape(len(state), -1, state.shape[1]) + np.diag(prior)
        return energy, gradient, bend


def posed(angles: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """COCO's points of bodies of some angles (n, 3 B).

    Returns:
        Points (n, 17, 3) in metres to the left, back and up, and their derivatives by the angles, (n, 17, 3, 3 B): of
        what hangs on a bone, the axis crossed with the arm to the bone's head.
    """
    vectors = angles.reshape(len(angles), -1, 3)
    turns, slopes = rotations(vectors)
    count = len(skeleton.names)
    frames, places, axes = (np.empty((len(angles), count, *shape)) for shape in ((3, 3), (3,), (3, 3)))
    for bone, (parent, head) in enumerate(zip(skeleton.parents, skeleton.heads, strict=True)):
        base = np.broadcast_to(np.eye(3), turns[:, 0].shape) if parent < 0 else frames[:, parent]
        shift = 0.0 if parent < 0 else places[:, parent]
        frames[:, bone] = base @ turns[:, bone]
        axes[:, bone] = base @ slopes[:, bone]
        at = base @ head + shift  # where the bone's head is
        places[:, bone] = at - frames[:, bone] @ head
    parts = np.einsum("nbij,kbj->nkbi", frames, skeleton.shares[..., :3]) + (
        places[:, None] * skeleton.shares[None, :, :, 3:]
    )
    points = parts.sum(2)
    hanging = np.einsum("cb,nkbi->nkci", skeleton.below, parts)
    mass = skeleton.shares[..., 3] @ skeleton.below.T
    heads = np.einsum("nbij,bj->nbi", frames, skeleton.heads) + places
    arms = hanging - mass[None, :, :, None] * heads[:, None]
    slope = np.cross(axes.transpose(0, 1, 3, 2)[:, None], arms[:, :, :, None])  # (n, 17, B, axis, xyz)
    return points, slope.reshape(*slope.shape[:2], -1, 3).transpose(0, 1, 3, 2)


def seen(body: Array, camera: Array, pitch: Array, root: Array) -> tuple[Array, Array, Array]:
    """Points (n, K, 3) of bodies on the picture of a camera in weak perspective, which turns them about their root.

    Args:
        body: Points in metres.
        camera: As `Fitted` has it, (n, 5).
        pitch: Radians, (n,).
        root: Head of the bone root, (3,).

    Returns:
        Pixels (n, K, 2), their derivatives by the camera (n, K, 2, 5), and by the points (n, 2, 3).
    """
    yaw, scale = camera[:, 0], np.exp(camera[:, 1])[:, None] * np.exp(camera[:, 2:3] * [[1.0, -1.0]])
    c, s, up, flat = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    none = np.zeros_like(c)
    view = np.stack([np.stack([c, -s, none], -1), np.stack([-flat * s, -flat * c, -up], -1)], 1)
    turned = np.stack([np.stack([-s, -c, none], -1), np.stack([-flat * c, flat * s, none], -1)], 1)
    project = view * scale[..., None]
    around = body - root
    offset = np.einsum("nij,nkj->nki", project, around)
    slope = np.zeros((*offset.shape, CAMERA))
    slope[..., 0] = np.einsum("nij,nkj->nki", turned * scale[..., None], around)
    slope[..., 1] = offset
    slope[..., 2] = offset * [1.0, -1.0]
    slope[..., 0, 3] = slope[..., 1, 4] = 1
    return offset + camera[:, None, 3:], slope, project


def rotations(vectors: Array) -> tuple[Array, Array]:
    """Rodrigues' rotations (..., 3, 3) of vectors (..., 3), and their left Jacobians.

    A small change d of the vector turns by (Jacobian d) after the rotation (Sola 2018, arXiv 1812.01537, equation 145).
    """
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    safe = np.maximum(angle, 1e-6)
    cross = np.zeros((*vectors.shape, 3))
    x, y, z = np.moveaxis(vectors, -1, 0)
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -z, y, -x
    cross -= np.swapaxes(cross, -1, -2)
    twice = cross @ cross
    a, b = np.sin(safe) / safe, (1 - np.cos(safe)) / safe**2
    c = np.where(angle < 1e-3, 1 / 6, (safe - np.sin(safe)) / safe**3)
    one: Any = np.eye(3)
    return one + a * cross + b * twice, one + b * cross + c * twice
