"""Which crops lack which columns, and on which the methods are measured."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from reidgen.config.annotate import USUAL, AnnotateConfig, What
from reidgen.data.table import ReidTable


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be found out.

    Attributes:
        made: For each column bool (N,): the crops for which it is made.
        checked: For each column bool (N,): rendered crops whose column is the truth, and stays.
        rows: The crops of either, int64, in order.
    """

    made: dict[What, np.ndarray]
    checked: dict[What, np.ndarray]
    rows: np.ndarray

    @classmethod
    def of(cls, table: ReidTable, config: AnnotateConfig) -> "Wanted":
        """What a config asks for."""
        true = {what: _true(table, what) if what in config.what else np.zeros(len(table), bool) for what in USUAL}
        true["body"] = np.zeros(len(table), bool)
        made = {what: ~one if what in config.what else np.zeros(len(table), bool) for what, one in true.items()}
        known = np.flatnonzero(np.any(list(true.values()), axis=0))
        drawn = np.random.default_rng(config.seed).permutation(known)[: config.checked]
        among = np.isin(np.arange(len(table)), drawn)
        checked = {what: one & among for what, one in true.items()}
        rows = np.flatnonzero(np.any([*made.values(), *checked.values()], axis=0))
        return cls(made, checked, rows)

    def asks(self, what: What, row: int) -> bool:
        """Whether a column of a crop is to be found out, to be kept or to be compared."""
        return bool(self.made[what][row] or self.checked[what][row])

    def any(self, what: What) -> bool:
        """Whether it is for any crop."""
        return bool((self.made[what] | self.checked[what]).any())

    def needs_model(self, config: AnnotateConfig, *, by_function: bool) -> bool:
        """Whether the pose-landmark model has to be there."""
        masks = config.masks == "mediapipe" and not by_function and self.any("mask")
        return masks or (config.yaw_from == "both" and self.any("yaw"))


def _true(table: ReidTable, column: str) -> np.ndarray:
    """Rendered crops whose column is filled, bool (N,)."""
    if column not in table.rows.columns:
        return np.zeros(len(table), bool)
    filled = table.rows.select((pl.col("origin") == "rendered") & pl.col(column).is_not_null())
    return filled.to_series().to_numpy()
