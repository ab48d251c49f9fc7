"""The person filter: a crop in which a detector finds no person is rejected.

Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, section 3.2, and Alvarez-Gonzalez,
thesis, section 5.1: YOLOv4-tiny on the crop in a border of 150 pixels, stretched to 416x416; score 0.6, overlap 0.3.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reidgen.config import Device
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.blocks import BLOCK, ScoreFolder, in_blocks
from reidgen.errors import ConfigError
from reidgen.filters.detection.detectors import HOG, TINY, Detector, detector_hash, open_detector
from reidgen.filters.sizes import SizedFilter
from reidgen.metrics.boxes import suppress

SOURCE_THRESHOLD = 0.6
HOG_THRESHOLD = 0.0  # a support vector machine's own cut
SOURCE_PADDING = 150
SOURCE_OVERLAP = 0.3


@dataclass(frozen=True)
class DetectorFilter(SizedFilter):
    """Rejects crops in which the best person that a detector finds does not score above the threshold.

    Attributes:
        model: "yolov4-tiny" (downloaded the first time), a Darknet `.weights` file, a YOLO-style `.onnx` file, or
            "hog", OpenCV's people detector. The last two need the extra `detect`.
        threshold: A person must score above it. None: 0.6, as published, and 0 for "hog", whose score is the
            margin of a support vector machine.
        cfg: Darknet's `.cfg` file, or "yolov4-tiny"; None takes the one of the weights' name.
        score: "product" of objectness and class probability, which is what OpenCV gives as class score, or the
            probability of the "class" alone. ONNX files give the product where they have an objectness.
        person: Number of the class person; None: 0, or by its name where the file has names.
        overlap: Of two boxes that overlap more (intersection over union), `detect` drops the lower one.
        padding: Width of the coloured border, crop pixels; "hog" does not use it.
        size: (height, width) at which crops are shown, also those of other sizes and the reference crops; None takes
            the size of the table's first crop.
        batch: Crops a forward pass.
        device: Where a Darknet network runs.
        name: The scores' column is `score_<name>`: with another name, two detectors can be compared in one table.
    """

    model: str = TINY
    threshold: float | None = None
    cfg: str | None = None
    score: Literal["product", "class"] = "product"
    person: int | None = None
    overlap: float = SOURCE_OVERLAP
    padding: int = SOURCE_PADDING
    size: tuple[int, int] | None = None
    batch: int = 16
    device: Device = "auto"
    name: str = "detector"

    def __post_init__(self) -> None:
        if self.threshold is None:
            object.__setattr__(self, "threshold", HOG_THRESHOLD if self.model == HOG else SOURCE_THRESHOLD)
        _check(self)

    @property
    def rule(self) -> str:
        """Which crops are rejected, in words and numbers."""
        size = "their own size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        what = "" if self.model == HOG else f"{self.score} score, border of {self.padding} pixels, "
        return f"no person above {self.threshold:.4f} found by {self.model} ({what}at {size})"

    def calibrated(self, reference_scores: np.ndarray | None) -> "DetectorFilter":
        """The filter itself: its threshold is never open."""
        return self

    def inputs(self) -> dict[str, str]:
        """SHA-256 of the detector's files, which YOLOv4-tiny downloads here.

        Raises:
            WeightsError: A file is missing, or cannot be downloaded.
        """
        return {"model": detector_hash(self.model, self.cfg)}

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,): score of the best person in each crop, 0 (for "hog", the lowest number) where there is none.

        Suppressing boxes that overlap a better one cannot change the best, so it is left out here.

        Args:
            table: The crops, decoded through the store's cache and read in blocks, so that memory stays bounded.
            reference: Not used.
            kept: Where finished blocks are kept.

        Raises:
            WeightsError: The detector's files are missing, damaged or not supported.
            MissingExtraError: The detector needs a package that is not installed.
        """
        if not len(table):
            return np.empty(0)
        size = self.prepared(table).size
        assert size is not None
        detector = self._open()
        images = CropStore.open(table, size=size).images

        def score(part: slice) -> np.ndarray:
            starts = range(part.start, part.stop, self.batch)
            found = [detector.find(images[start : min(start + self.batch, part.stop)]) for start in starts]
            return np.array([scores.max(initial=0 if self.model != HOG else -np.inf) for b in found for _, scores in b])

        return in_blocks(self.name, len(table), score, kept=kept, block=self.batch * max(1, BLOCK // self.batch))

    def detect(self, crops: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The people above the threshold, of each overlapping group the best.

        Args:
            crops: uint8 (N, H, W, 3), RGB.

        Returns:
            For each crop boxes (n, 4) of left, top, width, height in crop pixels, and scores (n,), best first.
        """
        detector = self._open()
        people = []
        for start in range(0, len(crops), self.batch):
            for boxes, scores in detector.find(crops[start : start + self.batch]):
                above = scores > self.threshold
                best = suppress(boxes[above], scores[above], self.overlap)
                people.append((boxes[above][best], scores[above][best]))
        return people

    def rejected(self, scores: np.ndarray) -> list[str | None]:
        """The filter's name where the score is not above the threshold, None else."""
        return [None if above else self.name for above in scores > self.threshold]

    def _open(self) -> Detector:
        return open_detector(
            self.model,
            cfg=self.cfg,
            score=self.score,
            person=self.person,
            padding=self.padding,
            device=self.device,
        )


def _check(filter_: DetectorFilter) -> None:
    counts = {"batch": (filter_.batch, 1), "padding": (filter_.padding, 0), "person": (filter_.person or 0, 0)}
    for name, (value, lowest) in counts.items():
        if value < lowest:
            raise ConfigError(f"DetectorFilter's {name} is out of range.", got=value, allowed=f">= {lowest}")
    if filter_.score not in ("product", "class"):
        raise ConfigError("DetectorFilter's score is not known.", got=filter_.score, allowed="product or class")
    if filter_.cfg is not None and (filter_.model == HOG or filter_.model.endswith(".onnx")):
        raise ConfigError("DetectorFilter's cfg belongs to Darknet weights.", got=filter_.model, allowed="no cfg")
    if not 0 <= filter_.overlap <= 1:
        raise ConfigError("DetectorFilter's overlap must be a share.", got=filter_.overlap, allowed="0 to 1")
    if filter_.model != HOG and not 0 <= (filter_.threshold or 0) < 1:
        raise ConfigError("DetectorFilter's threshold must be a probability.", got=filter_.threshold, allowed="0 to 1")
    if not filter_.name.isidentifier():
        raise ConfigError("DetectorFilter's name cannot name a column.", got=filter_.name, allowed="letters and _")
