"""A fitted body as the table's column `body` has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reidgen.annotate.bodies.fit import CAMERA, Fitted, posed, seen
from reidgen.annotate.bodies.skeleton import BONES, Array, Skeleton
from reidgen.annotate.yaw import wrap
from reidgen.errors import DataError

PLACED = 6  # pitch, yaw, scale, stretch, x, y
LENGTH = PLACED + 3 * len(BONES)
DIGITS = 3


@dataclass(frozen=True, eq=False)
class Body:
    """How a body of mean shape stands, and how its camera sees it in weak perspective.

    Attributes:
        pitch: Degrees that the camera looks down.
        yaw: Degrees, 0 faces the camera, 90 looks to the right of the picture.
        scale: (right, down): pixels of the crop a metre.
        place: Where the head of the bone root is, about which the body turns: pixels (x, y) of the crop.
        angles: Rotation vector of each bone of `Skeleton.names`, degrees, (B, 3).
    """

    pitch: float
    yaw: float
    scale: tuple[float, float]
    place: tuple[float, float]
    angles: Array

    @classmethod
    def of(cls, values: Sequence[float], name: str) -> "Body":
        """From the numbers of the column; `name` is the crop's, for errors.

        Raises:
            DataError: They are not so many, or not numbers, or a scale is not above 0.
        """
        numbers = np.array(values, np.float64)
        if len(numbers) != LENGTH or not np.isfinite(numbers).all() or numbers[2] <= 0 or numbers[3] <= 0:
            raise DataError(
                f"The body of {name} is none.",
                got=f"{len(numbers)} numbers" if len(numbers) != LENGTH else "what no camera can see",
                allowed=f"{LENGTH} numbers, as annotate writes them",
                fix="reidgen annotate --data DIR --what body --out DIR",
            )
        pitch, yaw, *rest = numbers[:PLACED].tolist()
        return cls(pitch, yaw, (rest[0], rest[1]), (rest[2], rest[3]), numbers[PLACED:].reshape(-1, 3))

    def axes(self, turn: float = 0.0) -> Array:
        """Right, down and forward of the camera, (3, 3), as a body that is turned by so many degrees sees them."""
        state = np.array([[np.radians(self.yaw + turn), 0, 0, 0, 0]])
        flat = seen(np.zeros((1, 1, 3)), state, np.radians([self.pitch]), np.zeros(3))[2][0]
        return np.vstack([flat, np.cross(*flat)])


def as_rows(fitted: Fitted, pitch: Array) -> Array:
    """Fitted bodies as rows of numbers (N, LENGTH), rounded."""
    camera = fitted.camera
    yaw = [wrap(one) for one in np.degrees(camera[:, 0])]
    scale = np.exp(camera[:, 1:2] + camera[:, 2:3] * [[1.0, -1.0]])
    rows = np.column_stack([pitch, yaw, scale, camera[:, 3:CAMERA], np.degrees(fitted.angles)])
    return rows.round(DIGITS)


def points_of(rows: Array, skeleton: Skeleton) -> Array:
    """Where COCO's points of bodies (N, LENGTH) are on their crops, pixels (N, 17, 2)."""
    state = np.column_stack(
        [
            np.radians(rows[:, 1]),
            np.log(rows[:, 2] * rows[:, 3]) / 2,
            np.log(rows[:, 2] / rows[:, 3]) / 2,
            rows[:, 4:PLACED],
        ]
    )
    body, _ = posed(np.radians(rows[:, PLACED:]), skeleton)
    return seen(body, state, np.radians(rows[:, 0]), skeleton.heads[0])[0]


def error_of(rows: Array, points: Array, skeleton: Skeleton) -> Array:
    """Mean distance of bodies (N, LENGTH) from key points (N, 17, 3), weighted by score, in shares of their height."""
    apart = np.linalg.norm(points_of(rows, skeleton) - points[..., :2], axis=-1)
    return (apart * points[..., 2]).sum(1) / points[..., 2].sum(1).clip(1e-6) / (rows[:, 3] * skeleton.height)
