"""The knobs of rendering people."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_between, check_counts, check_seed, check_size


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """How many people are rendered, by how many cameras, and what is written beside each crop.

    Attributes:
        people: How many people.
        cameras: How many cameras; each has its own place, light, colours and background.
        images_per_camera: Crops of each person in each camera.
        size: Crop size (height, width) in pixels.
        train_people: How many of the people form the train split; the others are query and gallery. None: half of them.
        maps: Which maps are written as PNG beside each crop.
        workers: Processes that render; the result does not depend on it.
    """

    people: int = 60
    cameras: int = 4
    images_per_camera: int = 4
    size: tuple[int, int] = (128, 64)
    train_people: int | None = None
    maps: Literal["none", "mask", "all"] = "all"
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "people", "cameras", "images_per_camera", "workers")
        check_seed(self.seed)
        if self.train_people is not None:
            check_between(self, 0, self.people, "train_people")
        check_size("size", self.size)
