"""The knobs of filtering."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, check_between, check_counts, check_not_negative, require
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which filters score the crops and from where on a crop is rejected.

    Attributes:
        filters: Names of the filters, in order. detector: is there a person? ssim: does the crop resemble the person's
            first one? identity: is it the person it claims to be? realism: does it lie where real crops lie? diversity:
            is it nearly an earlier crop of the person? copies: is it a copy of a real crop?
        detector: "yolov4-tiny" is the detector of Alvarez-Gonzalez et al. and is downloaded. A path is a Darknet
            .weights or a YOLO-style .onnx file. "hog" is OpenCV's people detector. An .onnx file and "hog" need the
            extra detect.
        detector_threshold: Score above which a person counts as found. None: 0.6, as Alvarez-Gonzalez et al. have it; 0
            for hog.
        detector_cfg: Darknet's .cfg file, or "yolov4-tiny". None: the one of the weights' name.
        detector_score: "product" of objectness and class probability, as OpenCV has it, or of the "class" alone.
        detector_person: Number of the class person. None: 0, or by its name where the file has names.
        detector_batch: Crops that the detector sees at once.
        ssim_threshold: Lowest SSIM to the person's first crop that is kept. None: the 5 % quantile of real crops
            against the first crop of the same person, which needs `reference`.
        ssim_range: Range of the pixel values in SSIM. "255" is right for 8-bit images. "4095" is what Alvarez-Gonzalez
            et al. computed with; their threshold 0.75 belongs to it.
        ssim_first: What crops are compared with. "any": the person's first crop, as Alvarez-Gonzalez et al. do. "kept":
            the first crop that the filters before this one kept.
        reid: Run folder of train-reid: the network of identity, and the features of realism, diversity and copies. It
            must not have learned from the crops that it judges.
        features: Other features for realism, diversity and copies: "inception" with the weights of the extra `fid`,
            "inception:FILE", or "reid:RUNFOLDER".
        feature_batch: Crops that a feature network sees at once.
        identity_threshold: Lowest score that is kept. The score is the cosine to the nearest crop of the own person,
            less that to the nearest crop of anybody else. None: the 5 % quantile of real crops; so too for the
            thresholds below.
        identity_people: Whom crops claim to be. "real": the reference's people of their pids. "new": people of the
            table itself. "auto": what the crops' parents say.
        identity_cameras: "other" compares with the person's crops by other cameras alone; "all" with all.
        realism_threshold: Lowest score that is kept: the ratio of a real crop's radius to the distance to it. 1 is the
            cut of precision (Kynkäänniemi et al. 2019).
        realism_neighbours: How many neighbours a radius reaches to.
        realism_among: "people" counts other people as neighbours, "crops" counts crops, as published.
        realism_balls: "all" keeps all balls, "half" leaves out the half with the largest radii.
        diversity_threshold: Lowest distance to an earlier crop of the person that is kept.
        copies_threshold: Lowest ratio that is kept: the distance to the nearest real crop, over the distance from that
            one to its own nearest.
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
