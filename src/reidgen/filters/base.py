"""What a filter is: a score for each crop, and a rule that turns scores into verdicts."""

from typing import Protocol, Self, runtime_checkable

import numpy as np

from reidgen.data.table import ReidTable
from reidgen.engine.blocks import ScoreFolder


class Filter(Protocol):
    """A filter is a frozen dataclass; its fields are what run.json says of it.

    It is used in this order: `prepared` with the crops, `scores` of the reference, `calibrated` with them, `scores` of
    the crops, `rejected` with those.
    """

    @property
    def name(self) -> str:
        """Short name: the scores' column is `score_<name>` and verdicts begin with it."""

    @property
    def threshold(self) -> float | None:
        """Where the rule cuts; None until it is calibrated on reference crops."""

    @property
    def rule(self) -> str:
        """In words and numbers, which crops are rejected; part of every table that counts them."""

    def prepared(self, table: ReidTable) -> Self:
        """The same filter with what it takes from the crops it will score, such as their size."""

    def calibrated(self, reference_scores: np.ndarray | None) -> Self:
        """The same filter with its open threshold set from the scores of reference crops.

        Raises:
            ConfigError: The threshold is open and there are no reference crops.
        """

    def inputs(self) -> dict[str, str]:
        """Files that the filter reads, as name -> hash: with others it is another run.

        Raises:
            WeightsError: A file is missing.
        """

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,): the score of each row, NaN where the filter has nothing to say.

        With `kept`, finished blocks are kept there and not scored again (`blocks.in_blocks`).
        """

    def rejected(self, scores: np.ndarray) -> list[str | None]:
        """For each score None, or the verdict that `rejected_by` shall name: the filter's name, or `name:reason`."""


@runtime_checkable
class PointingFilter(Protocol):
    """A filter that can say which crop a rejected one is like."""

    def pointed(
        self, verdicts: list[str | None], table: ReidTable, reference: ReidTable | None = None
    ) -> list[str | None]:
        """The verdicts of `rejected` for all crops of a table, with a file name each (`verdict_about`)."""


def verdict_about(verdict: str, file_name: str) -> str:
    """`name:reason=file_name`, a comma in the name as %2C: commas stand between verdicts."""
    return f"{verdict}={file_name.replace(',', '%2C')}"
