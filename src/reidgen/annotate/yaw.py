"""Which way a person faces: people who stand and walk, turned until they fit the key points best."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidgen.engine.foreign.state_dicts import read_weights

WALKERS = Path(__file__).parents[1] / "assets" / "pose" / "walkers.safetensors"
STEP_DEG = 10
PITCHES_DEG = (0.0, 12.0)  # of the camera, downwards
NOISE = 0.03  # of a point with score 1, in the unit of the walkers; of others it is divided by the score
LEAST_SCORE = 0.05
STRETCH = 0.1  # how far the scales in x and y differ
SCALE = 0.2  # how far the scale is from what the points' heights say
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Views:
    """Key points of people who stand and walk, as a normal distribution, seen from all around.

    Attributes:
        yaws: Degrees, (V,): every heading, for each pitch of the camera.
        means: Mean points on the picture, x to the right and y down, (V, 34).
        spreads: Their covariance, (V, 34, 34).
    """

    yaws: Array
    means: Array
    spreads: Array

    @classmethod
    def load(cls) -> "Views":
        """Those of the shipped walkers."""
        tensors, _ = read_weights(WALKERS)
        return cls.of(tensors["mean"].double().numpy(), tensors["spread"].double().numpy())

    @classmethod
    def of(cls, mean: Array, spread: Array) -> "Views":
        """From points in space.

        Args:
            mean: (17, 3), to the person's left, back and up; the unit is the standard deviation of the heights.
            spread: Covariance (51, 51).
        """
        angles = [(pitch, yaw) for pitch in PITCHES_DEG for yaw in range(-180, 180, STEP_DEG)]
        cameras = np.stack([np.kron(np.eye(len(mean)), camera(*np.radians(angle))) for angle in angles])
        yaws = np.array([yaw for _, yaw in angles], np.float64)
        return cls(yaws, cameras @ mean.ravel(), cameras @ spread @ cameras.transpose(0, 2, 1))


def camera(pitch: float, yaw: float) -> Array:
    """From a person's left, back and up to a picture's right and down, (2, 3); angles in radians.

    At yaw 0 the person faces the camera, at 90 degrees it looks to the right of the picture.
    """
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    down: Array = np.array([[1, 0, 0], [0, -np.sin(pitch), -np.cos(pitch)]]) @ turned
    return down


def yaw_of(points: Array, views: Views) -> float:
    """The yaw at which the points are likeliest, in degrees from -180 to 180.

    A view's points are scaled (in x and y on their own, but nearly alike) and moved by generalised least squares; the
    yaw with the highest posterior density on a grid is refined by a parabola through its neighbours.

    Args:
        points: (17, 3): x, y and a score from 0 to 1.
        views: What people look like.
    """
    weights = np.maximum(points[:, 2], LEAST_SCORE)
    centred = points[:, :2] - np.average(points[:, :2], axis=0, weights=weights)
    unit = np.sqrt(np.average(centred[:, 1] ** 2, weights=weights))
    if unit == 0:
        return 0.0
    energies = _energies((centred / unit).ravel(), np.repeat((NOISE / weights) ** 2, 2), views)
    energies = energies.reshape(len(PITCHES_DEG), -1).min(0)
    best = int(energies.argmin())
    before, here, after = energies[best - 1], energies[best], energies[(best + 1) % len(energies)]
    bend = before - 2 * here + after
    moved = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return wrap(float(views.yaws[best] + moved * STEP_DEG))


def _energies(points: Array, noise: Array, views: Views) -> Array:
    """Minus the logarithm of the posterior density of each view, but for a constant: (V,)."""
    count, numbers = views.means.shape
    root = np.linalg.cholesky(views.spreads + np.diag(noise))
    design = np.zeros((count, numbers, 5))  # scale in x, scale in y, shift in x, shift in y; the points
    design[:, 0::2, 0], design[:, 1::2, 1] = views.means[:, 0::2], views.means[:, 1::2]
    design[:, 0::2, 2] = design[:, 1::2, 3] = 1
    design[:, :, 4] = points
    whitened = np.linalg.solve(root, design)
    prior = np.array(
        [[1 / STRETCH, -1 / STRETCH, 0, 0, 0], [1 / SCALE, 0, 0, 0, 1 / SCALE], [0, 1 / SCALE, 0, 0, 1 / SCALE]]
    )
    rows = np.concatenate([whitened, np.broadcast_to(prior, (count, *prior.shape))], axis=1)
    known, wanted = rows[..., :4], rows[..., 4:]
    fitted = np.linalg.solve(known.transpose(0, 2, 1) @ known, known.transpose(0, 2, 1) @ wanted)
    squares = ((wanted - known @ fitted) ** 2).sum((1, 2))
    out: Array = 0.5 * squares + np.log(np.einsum("vii->vi", root)).sum(1)
    return out


def middle(first: float, second: float) -> float:
    """The mean of two yaws within 90 degrees of each other; otherwise the first."""
    between = wrap(second - first)
    return wrap(first + between / 2) if abs(between) <= 90 else first


def wrap(degrees: float) -> float:
    """An angle from -180 to 180 degrees."""
    return (degrees + 180) % 360 - 180
