"""The similarity filter: SSIM of each crop to the first crop of the same person.

Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, sections 3.3 and 4: "selecting an
image of a person and comparing it with the rest of the images of that same person"; a similarity of one counts as the
same image, and one below a threshold read off a histogram of real crops as a bad one.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import ConfigError, option
from reidgen.filters.sizes import SizedFilter
from reidgen.filters.thresholds import QuantileFilter
from reidgen.metrics.ssim import ssim

SOURCE_THRESHOLD = 0.75  # belongs to data range 4095
BATCH = 256


@dataclass(frozen=True)
class SSIMFilter(SizedFilter, QuantileFilter):
    """Rejects crops unlike the person's first crop (SSIM below the threshold) or equal to it (SSIM of 1).

    The first crop of a person in table order is what the others are compared with and has no score; nor have
    distractors and junk, which are not people. For generated people the first crop is the person itself. It may be one
    that another filter rejects, a detector say: then a person is judged by a crop without a person. `first` "kept"
    takes the first one that the filters before this one have left, where there is one.

    Attributes:
        threshold: Lowest SSIM that is kept. None: the 5 % quantile of the scores of reference crops.
        data_range: 255 for SSIM of 8-bit images; 4095 as published, to which the published threshold 0.75 belongs.
        size: (height, width) at which crops are compared; None takes the size of the table's first crop.
        first: "any" compares with a person's first crop, as published, "kept" with its first one that is kept.
    """

    name: ClassVar[str] = "ssim"
    by_hand: ClassVar[str] = option(ssim_threshold=0.3)
    needs: ClassVar[str] = "at least one person with two crops"
    threshold: float | None = None
    data_range: Literal[255, 4095] = 255
    size: tuple[int, int] | None = None
    first: Literal["any", "kept"] = "any"

    def __post_init__(self) -> None:
        if self.data_range not in (255, 4095):
            raise ConfigError("SSIMFilter's data_range is not known.", got=self.data_range, allowed="255 or 4095")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise ConfigError("SSIMFilter's threshold must be an SSIM.", got=self.threshold, allowed="-1 to 1, or None")

    @property
    def rule(self) -> str:
        """Which crops are rejected, in words and numbers."""
        size = "their own size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        which = "first" if self.first == "any" else "first kept"
        return f"SSIM to the person's {which} crop below {self.cut}, or 1 (data range {self.data_range}, at {size})"

    def inputs(self) -> dict[str, str]:
        """Nothing: the filter reads no files of its own."""
        return {}

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,): SSIM of each crop to the first of the same person; NaN for that one and for pids 0 and -1.

        Args:
            table: The crops, decoded through the store's cache and read in blocks, so that memory stays bounded.
            reference: Not used; each person is its own reference.
            kept: Where finished blocks are kept.
        """
        scores = np.full(len(table), np.nan)
        if not len(table):
            return scores
        size = self.prepared(table).size
        assert size is not None
        images = CropStore.open(table, size=size).images
        first = first_rows(table, among=self.first)
        rows = np.flatnonzero((first >= 0) & (first != np.arange(len(table))))

        def score(part: slice) -> np.ndarray:
            return ssim(images[rows[part]], images[first[rows[part]]], self.data_range)

        scores[rows] = in_blocks("SSIM", len(rows), score, kept=kept, block=BATCH)
        return scores

    def rejected(self, scores: np.ndarray) -> list[str | None]:
        """`ssim:duplicate` for a score of 1, `ssim` below the threshold, None else and where there is no score."""
        assert self.threshold is not None, "calibrated() comes first"
        duplicate, below = scores >= 1, scores < self.threshold
        return ["ssim:duplicate" if d else "ssim" if b else None for d, b in zip(duplicate, below, strict=True)]


def first_rows(table: ReidTable, *, among: Literal["any", "kept"] = "any") -> np.ndarray:
    """int64 (N,): the row of the first crop of each row's person, -1 for distractors and junk.

    Args:
        table: The crops.
        among: "kept" leaves out crops that another filter has rejected (`rejected_by`), unless it is all of a person's.
    """
    rejected = pl.lit(False)
    if among == "kept" and "rejected_by" in table.rows.columns:
        others = (
            pl.col("rejected_by").fill_null("").str.split(",").list.eval(~pl.element().str.contains("^(ssim(:.*)?)?$"))
        )
        rejected = others.list.any()
    rows = table.rows.with_row_index().with_columns(rejected=rejected)
    first = rows.select(pl.col("index").sort_by("rejected", maintain_order=True).first().over("pid"))
    return np.where(table.pids > 0, first.to_series().to_numpy().astype(int), -1)
