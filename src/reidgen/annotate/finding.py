"""What is found out about some crops, as rows of numbers; their masks become files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidgen.annotate.columns import MASKED, NUMBERS, OTHERS, OVERLAP, POINTS_AT, YAW
from reidgen.annotate.keypoints import KeypointFinder
from reidgen.annotate.landmarks import LandmarkModel, Landmarks, model_file
from reidgen.annotate.masks import MaskFolder, MaskFunction, called, place_mask, read_mask
from reidgen.annotate.truth import overlap
from reidgen.annotate.wanted import Wanted
from reidgen.annotate.yaw import Views, middle, yaw_of
from reidgen.config.annotate import AnnotateConfig, What
from reidgen.data.pixels.images import read_rgb
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import chosen
from reidgen.files import Crops
from reidgen.models.detector.movenet import POINTS

POINTED: tuple[What, ...] = ("keypoints", "yaw", "body")  # what is found by key points


@dataclass(frozen=True, eq=False)
class Finder:
    """The methods, opened.

    Attributes:
        config: Thresholds and choices.
        wanted: What is asked of each crop.
        keypoints: MoveNet, where points or yaws are asked.
        views: People from all around, where yaws are.
        model: The pose-landmark model, where it is needed.
        folder: Masks from files.
        function: Masks from a function.
    """

    config: AnnotateConfig
    wanted: Wanted
    keypoints: KeypointFinder | None
    views: Views | None
    model: LandmarkModel | None
    folder: MaskFolder | None
    function: MaskFunction | None

    @classmethod
    def of(
        cls, config: AnnotateConfig, wanted: Wanted, *, folder: MaskFolder | None, function: MaskFunction | None
    ) -> "Finder":
        """Open what is needed.

        Raises:
            MissingExtraError, WeightsError: It is not there.
        """
        pointed = any(wanted.any(what) for what in POINTED)
        modelled = wanted.needs_model(config, by_function=function is not None)
        return cls(
            config=config,
            wanted=wanted,
            keypoints=KeypointFinder(chosen(config.device)) if pointed else None,
            views=Views.load() if wanted.any("yaw") else None,
            model=LandmarkModel(model_file(config.pose_model)) if modelled else None,
            folder=folder,
            function=function,
        )

    def find(self, table: ReidTable, rows: np.ndarray, targets: dict[int, Path], crops: Crops) -> np.ndarray:
        """Numbers of some crops, float64 (n, NUMBERS); their masks are written, or compared where the truth is known.

        Args:
            table: All crops.
            rows: Which of them.
            targets: Where the mask of a row is written.
            crops: Whether mask files of a folder are linked or copied.

        Raises:
            DataError: A crop or a mask cannot be read, or a function gives no mask.
        """
        chosen = table.rows[rows.tolist()]
        paths = [Path(root) / name for root, name in chosen.select("root", "file_name").iter_rows()]
        pixels = [np.array(read_rgb(path)) for path in paths]
        values = np.full((len(rows), NUMBERS), np.nan)
        asked = [i for i, row in enumerate(rows) if any(self.wanted.asks(what, row) for what in POINTED)]
        if asked and self.keypoints is not None:
            values[asked, POINTS_AT] = self.keypoints.find([pixels[i] for i in asked]).reshape(len(asked), -1)
        for value, row, crop, known in zip(values, rows, pixels, chosen.iter_rows(named=True), strict=True):
            modelled = self.model.find(crop) if self.model is not None and self._modelled(row) else None
            if self.wanted.asks("mask", row):
                self._mask(value, crop, known, targets.get(int(row)), modelled, crops)
            if self.wanted.asks("yaw", row):
                value[YAW] = self._yaw(value[POINTS_AT].reshape(POINTS, 3), modelled)
        return values

    def _modelled(self, row: int) -> bool:
        by_model = self.folder is None and self.function is None and self.wanted.asks("mask", row)
        return by_model or (self.config.yaw_from == "both" and self.wanted.asks("yaw", row))

    def _mask(
        self,
        value: np.ndarray,
        crop: np.ndarray,
        known: dict[str, Any],
        target: Path | None,
        modelled: Landmarks | None,
        crops: Crops,
    ) -> None:
        """Find the mask of a crop; write it to its target, or compare it with the true one where it has no target."""
        file = None if self.folder is None else self.folder.file(known["file_name"])
        if self.function is not None:
            mask = called(self.function, crop, known["file_name"])
        elif self.folder is not None:
            mask = None if file is None else read_mask(file)
        else:
            sure = modelled is not None and modelled.presence >= self.config.mask_confidence
            mask = modelled.mask if modelled is not None and sure else None
            if target is not None and modelled is not None and mask is not None and self.model is not None:
                value[OTHERS] = self.model.others(crop, modelled)
        if target is None:
            unknown = self.folder is not None and file is None
            value[OVERLAP] = np.nan if unknown else overlap(mask, read_mask(Path(known["root"]) / known["mask"]))
        else:
            value[MASKED] = float(mask is not None and mask.any())
            if mask is not None and mask.any():
                place_mask(mask, file, target, crops)

    def _yaw(self, points: np.ndarray, modelled: Landmarks | None) -> float:
        assert self.views is not None, "opened where yaws are asked"
        fitted = yaw_of(points, self.views)
        both = modelled is not None and self.config.yaw_from == "both"
        return round(middle(fitted, modelled.yaw) if modelled is not None and both else fitted, 2)
