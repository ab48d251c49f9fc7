"""The knobs of filtering."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, check_between, check_counts, check_not_negative, require
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which filters score the crops and from where on a crop is rejected.

    Attributes:
        filters: Names of the filters, in order: detector (is there a person?), ssim (does the crop resemble the
            person's first one?), identity (is it the person it claims to be?), realism (does it lie where real crops
            lie?), diversity (is it nearly an earlier crop of the person?), copies (is it a copy of a real crop?).
        detector: "yolov4-tiny" downloads the sources' detector; or a Darknet .weights or YOLO-style .onnx file, or
            "hog", OpenCV's people detector (extra: detect for the last two).
        detector_threshold: Score above which a person counts as found. None: 0.6, the sources' choice; 0 for hog.
        detector_cfg: Darknet's .cfg file, or "yolov4-tiny". None: the one of the weights' name.
        detector_score: "product" of objectness and class probability, as OpenCV has it, or of the "class" alone.
        detector_person: Number of the class person. None: 0, or by its name where the file has names.
        detector_batch: Crops that the detector sees at once.
        ssim_threshold: Lowest SSIM to the person's first crop that is kept. None: the 5 % quantile of real crops
            against the first crop of the same person, which needs `reference`.
        ssim_range: "255" is SSIM of 8-bit images as published; "4095" reproduces the sources' setting, under which
            their threshold 0.75 has its meaning.
        ssim_first: Whether a person's first crop is the first of "any", as the sources had it, or the first "kept" by
            the filters before this one.
        reid: Run folder of train-reid: the network of identity, and the features of realism, diversity and copies. It
            must not have learned from the crops that it judges.
        features: Other features for realism, diversity and copies: "inception" with the weights of the extra `fid`,
            "inception:FILE", or "reid:RUNFOLDER".
        feature_batch: Crops that a feature network sees at once.
        identity_threshold: Lowest difference of cosines (own person less anybody else) that is kept. None: the 5 %
            quantile of real crops; so too for the thresholds below.
        identity_people: "real": crops claim to be the reference's people of their pids; "new": people are those of the
            table; "auto": by the crops' parents.
        identity_cameras: "other" compares with the person's crops by other cameras alone; "all" with all.
        realism_threshold: Lowest ratio of a real crop's radius to the distance that is kept; 1 is precision.
        realism_neighbours: How many neighbours a radius reaches to.
        realism_among: "people" counts other people as neighbours, "crops" counts crops, as published.
        realism_balls: "all" keeps all balls, "half" leaves out the half with the largest radii.
        diversity_threshold: Lowest distance to an earlier crop of the person that is kept.
        copies_threshold: Lowest distance to a real crop, over that one's to the next, that is kept.
        calibrate: Draw the histogram of the scores on real crops (`reference`) and the share that each threshold
            rejects.
    """

    filters: tuple[Literal["detector", "ssim", "identity", "realism", "diversity", "copies"], ...] = ("ssim",)
    detector: str = "yolov4-tiny"
    detector_threshold: float | None = None
    detector_cfg: str | None = None
    detector_score: Literal["product", "class"] = "product"
    detector_person: int | None = None
    detector_batch: int = 16
    ssim_threshold: float | None = None
    ssim_range: Literal["255", "4095"] = "255"
    ssim_first: Literal["any", "kept"] = "any"
    reid: str | None = None
    features: str | None = None
    feature_batch: int = 64
    identity_threshold: float | None = None
    identity_people: Literal["auto", "real", "new"] = "auto"
    identity_cameras: Literal["other", "all"] = "other"
    realism_threshold: float | None = None
    realism_neighbours: int = 3
    realism_among: Literal["people", "crops"] = "people"
    realism_balls: Literal["half", "all"] = "all"
    diversity_threshold: float | None = None
    copies_threshold: float | None = None
    calibrate: bool = False
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "detector_batch", "feature_batch", "realism_neighbours")
        check_not_negative(self, "detector_person", "realism_threshold", "diversity_threshold", "copies_threshold")
        cut = self.detector_threshold
        require(
            cut is None or self.detector == "hog" or 0 <= cut < 1,
            f"{option('detector_threshold')} must be a probability.",
            got=cut,
            allowed="0 to 1",
        )
        check_between(self, -2, 2, "identity_threshold")
        self._check_network()
        check_between(self, -1, 1, "ssim_threshold")

    def _check_network(self) -> None:
        lacking = "identity" in self.filters and self.reid is None
        network = self.reid is None and self.features is None
        needed = [name for name in self.filters if name in ("realism", "diversity", "copies")]
        require(
            not lacking and not (needed and network),
            f"The {'identity' if lacking else needed[0] if needed else ''} filter needs a network.",
            got=f"no {option('reid')}" if lacking else f"neither {option('reid')} nor {option('features')}",
            allowed=f"the {option('out')} of reidgen train-reid",
            fix=option(reid="runs/reid")
            if lacking
            else f"{option(reid='runs/reid')}, or {option(features='inception')}",
        )
