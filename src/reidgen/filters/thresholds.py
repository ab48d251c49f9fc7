"""Thresholds that are learned from real crops."""

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from reidgen.errors import ConfigError, DataError, option

QUANTILE = 0.05  # of reference crops, which an open threshold rejects


class QuantileFilter:
    """What all filters share whose open threshold is the 5 % quantile of real crops' scores; frozen dataclasses.

    Attributes:
        name: The filter's.
        by_hand: The option that sets the threshold, with a value.
        needs: What the reference must have for a score.
        compares: Whether the filter needs a reference even where its threshold is given.
        threshold: None while it is open.
    """

    name: ClassVar[str]
    by_hand: ClassVar[str]
    needs: ClassVar[str]
    compares: ClassVar[bool] = False
    threshold: float | None

    def calibrated(self, reference_scores: np.ndarray | None) -> Self:
        """The filter with a threshold: its own, or the 5 % quantile of the reference crops' scores.

        Raises:
            ConfigError: There is no reference, and no threshold or a filter that needs one in any case.
            DataError: No reference crop has a score.
        """
        if self.compares:
            needs_reference(self.name, reference_scores)
        if self.threshold is not None:
            return self
        if reference_scores is None:
            raise ConfigError(
                f"The {self.name} filter has no threshold, and no reference crops to take one from.",
                got="threshold None, reference None",
                allowed="one of the two",
                fix=f"{option(reference='DIR')} (real crops), or {self.by_hand}",
            )
        known = reference_scores[np.isfinite(reference_scores)]
        if not known.size:
            raise DataError(
                f"The reference crops give no threshold for the {self.name} filter.",
                got=f"{len(reference_scores):,} crops, none with a score",
                allowed=self.needs,
                fix=f"{option('reference')} with the whole train split, or {self.by_hand}",
            )
        return replace(self, threshold=float(np.quantile(known, QUANTILE)))  # type: ignore[type-var]

    @property
    def cut(self) -> str:
        """The threshold in words."""
        return "the 5 % quantile of real crops" if self.threshold is None else f"{self.threshold:.4f}"

    def rejected(self, scores: np.ndarray) -> list[str | None]:
        """The filter's name below the threshold, None else."""
        assert self.threshold is not None, "calibrated() comes first"
        return [self.name if below else None for below in scores < self.threshold]


def needs_reference(name: str, given: object) -> None:
    """Raise `ConfigError` where a filter that compares with real crops gets none."""
    if given is None:
        raise ConfigError(
            f"The {name} filter compares crops with real ones, and there are none.",
            got="reference None",
            allowed="a table of real crops",
            fix=option(reference="DIR"),
        )
