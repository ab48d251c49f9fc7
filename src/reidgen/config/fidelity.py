"""The knobs of measuring how near generated crops are to real ones."""

import math
from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, check_between, check_counts, check_seed, check_size, require
from reidgen.errors import option

Resize = Literal["tf1", "pytorch-fid", "clean-fid"]
REID = "reid:"  # features by a re-ID network: "reid:RUNFOLDER"
INCEPTION = "inception"


@dataclass(frozen=True, kw_only=True)
class FidelityConfig:
    """What is compared with what, and by which protocol.

    Attributes:
        fakes: Generated crops; None takes 50,000 where they are sampled from weights, and all where they are files.
        snapshots: "all" measures every snapshot of a training, for a curve in the report; "last" the final weights.
        split: Real crops to compare with.
        camera: Only crops of this camera, real ones and generated ones: translated crops beside those of their target.
        size: (height, width) that real and generated crops are brought to first; None takes the generated crops' own.
        features: "inception" with the weights of the extra `fid`; "inception:FILE" with the weight file of pytorch-fid
            or torch-fidelity; "reid:RUNFOLDER" is a re-ID network of your own, whose distance is a Re-ID-FID.
        resize: How crops get to Inception's 299x299: "tf1" as TensorFlow 1 and NVIDIA, "pytorch-fid" or "clean-fid".
        file_format: "jpeg" encodes sampled crops, and real ones that had to be resized, as the crops of a dataset are;
            "pixels" leaves them as they are.
        quality: JPEG quality.
        psi: Truncation of sampled crops; 1 is none.
        neighbours: k of precision and recall.
        kid_subsets: Random subsets for the spread of KID.
        kid_size: Crops in each subset.
        batch: Crops computed at once.
    """

    fakes: int | None = None
    snapshots: Literal["last", "all"] = "last"
    split: Literal["train", "query", "gallery", "all"] = "train"
    camera: int | None = None
    size: tuple[int, int] | None = None
    features: str = INCEPTION
    resize: Resize = "tf1"
    file_format: Literal["jpeg", "pixels"] = "jpeg"
    quality: int = 95
    psi: float = 1.0
    neighbours: int = 3
    kid_subsets: int = 100
    kid_size: int = 1000
    batch: int = 16
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "neighbours", "kid_subsets", "batch")
        check_seed(self.seed)
        if self.size is not None:
            check_size("size", self.size)
        for name in ("fakes", "kid_size"):
            value = getattr(self, name)
            require(value is None or value >= 2, f"{option(name)} is too small.", got=value, allowed=">= 2")
        require(
            math.isfinite(self.psi),
            f"{option('psi')} must be a number.",
            got=self.psi,
            allowed="0 to 1, or a little above",
        )
        check_between(self, 1, 100, "quality")
        kind, _, where = self.features.partition(":")
        require(
            kind in (INCEPTION, REID[:-1]) and (bool(where) or self.features == INCEPTION),
            f"{option('features')} names no feature network.",
            got=self.features,
            allowed="inception, inception:FILE, reid:RUNFOLDER",
            fix=option(features="inception"),
        )
        require(
            kind == INCEPTION or self.resize == "tf1",
            f"{option('resize')} is for Inception; a re-ID network resizes as its training did.",
            got=f"{option(features=self.features)} {option(resize=self.resize)}",
            allowed=option(features="inception"),
        )
