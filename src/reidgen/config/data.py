"""The knobs of rendering, reading, pairing and augmenting crops."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_between, check_counts, check_seed, check_size, require
from reidgen.config.folders import FolderConfig
from reidgen.errors import option


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


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """Which cameras are paired.

    Attributes:
        source: Camera whose pairs are counted; None counts those of every camera.
        target: The other camera; None takes every one. Both ways between two cameras are counted.
        split: Crops that count.
        seed: Not used: counting draws nothing.
    """

    source: int | None = None
    target: int | None = None
    split: Literal["train", "all"] = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)


Dataset = Literal[
    "market1501", "msmt17", "cuhk03", "folder", "reidgen",
    "cuhk01", "grid", "ilids", "mars", "occluded-reid", "pku-reid", "prid", "viper",
]  # fmt: skip
OF_FOLDER = ("pattern", "labels", "split_names", "camera_map", "skip_unmatched")
SPLIT_THEMSELVES = ("market1501", "msmt17", "cuhk03", "reidgen")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig(FolderConfig):
    """Which dataset is read and what is done with the files that the audit finds bad.

    Attributes:
        dataset: Name of the reader; "folder" reads any folder of crops, "reidgen" one that reidgen wrote.
        variant: CUHK03 only: which boxes.
        bad_files: "keep" only lists unreadable and absurd images, "drop" leaves them out of the written table.
        size: None writes the files as they are; otherwise crops are resized to (height, width).
        pictures: "as-shown" turns crops as their EXIF asks and lays their transparent parts over white, and writes
            these as JPEG; None leaves pixels as they are stored.
        expect_counts: "check" compares the published counts of a set, "any" accepts a part of it.
        origin: What the crops are: "real" people who were recorded, "rendered" ones, or "generated" by another program.
            extend adds generated ones; what made them is then unknown (column generator). A folder that reidgen wrote
            says its origin itself.
    """

    dataset: Dataset = "market1501"
    variant: Literal["detected", "labeled"] = "detected"
    bad_files: Literal["keep", "drop"] = "keep"
    size: tuple[int, int] | None = None
    pictures: Literal["as-shown"] | None = None
    expect_counts: Literal["check", "any"] = "check"
    origin: Literal["real", "rendered", "generated"] = "real"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in OF_FOLDER:
            require(
                not getattr(self, name) or self.dataset == "folder",
                f"{option(name)} goes with {option(dataset='folder')} only.",
                got=option(dataset=self.dataset),
                allowed=option(dataset="folder"),
                fix=f"leave {option(name)} out, or {option(dataset='folder')}",
            )
        require(
            self.split is None or self.dataset not in SPLIT_THEMSELVES,
            f"{option('train_share')} and {option('split_by')} make a split, and {self.dataset} has one.",
            got=self.split,
            allowed=f"{option(dataset='folder')}, or a set without a published split",
            fix=f"leave them out, or {option(dataset='folder')}",
        )
        require(
            self.origin == "real" or self.dataset != "reidgen",
            f"{option('origin')} does not go with {option(dataset='reidgen')}, whose tables say it themselves.",
            got=option(origin=self.origin),
            allowed="a dataset as it was downloaded, or any folder of crops",
            fix=f"leave {option('origin')} out",
        )
        check_seed(self.seed)
        if self.size is not None:
            check_size("size", self.size)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to a training batch, drawn per sample.

    Attributes:
        flip: Probability of a horizontal flip.
        pad: Pixels of zero padding on each side before a random crop back to size; 0 switches it off.
        erase: Probability of random erasing (Zhong et al. 2020).
        erase_area: Smallest and largest erased share of the area.
        erase_aspect: Smallest and largest height / width of the erased box.
        translate: Probability of random 2D translation: the crop is enlarged by an eighth and a random part of the old
            size is taken (as torchreid does).
        jitter: Strength of brightness, contrast and saturation jitter: factors in [1 - jitter, 1 + jitter]; 0 is off.
        grey: Probability of a grey patch (Gong et al. 2021); its area and aspect are those of the erased box.
    """

    flip: float = 0.5
    pad: int = 10
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_aspect: tuple[float, float] = (0.3, 3.33)
    translate: float = 0.0
    jitter: float = 0.0
    grey: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "translate", "grey"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{option('augment')}.{name} is a probability.", got=value, allowed="0 to 1")
        require(self.pad >= 0, f"{option('augment.pad')} must not be negative.", got=self.pad, allowed=">= 0")
        low, high = self.erase_area
        require(
            0 < low <= high < 1,
            f"{option('augment.erase_area')} must be a range of shares.",
            got=f"{low} {high}",
            allowed="two numbers between 0 and 1, the smaller first",
            fix=option(**{"augment.erase_area": (0.02, 0.4)}),
        )
        low, high = self.erase_aspect
        require(
            0 < low <= high,
            f"{option('augment.erase_aspect')} must be a range.",
            got=f"{low} {high}",
            allowed="two positive numbers, the smaller first",
            fix=option(**{"augment.erase_aspect": (0.3, 3.33)}),
        )
        require(
            0 <= self.jitter < 1,
            f"{option('augment.jitter')} is out of range.",
            got=self.jitter,
            allowed="0 <= jitter < 1",
        )
