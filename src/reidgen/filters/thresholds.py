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
        found = quantile_threshold(self.name, reference_scores, by_hand=self.by_hand, needs=self.needs)
        return replace(self, threshold=found)  # type: ignore[type-var]


def quantile_threshold(name: str, reference_scores: np.ndarray | None, *, by_hand: str, needs: str) -> float:
    """The 5 % quantile of the reference crops' scores.

    Args:
        name: The filter's.
        reference_scores: float64 (N,), not finite where there is no score.
        by_hand: The option that sets the threshold by hand, with a value.
        needs: What the reference must have for a score.

    Raises:
        ConfigError: There is no reference.
        DataError: No reference crop has a score.
    """
    if reference_scores is None:
        raise ConfigError(
            f"The {name} filter has no threshold, and no reference crops to take one from.",
            got="threshold None, reference None",
            allowed="one of the two",
            fix=f"{option(reference='DIR')} (real crops), or {by_hand}",
        )
    known = reference_scores[np.isfinite(reference_scores)]
    if not known.size:
        raise DataError(
            f"The reference crops give no threshold for the {name} filter.",
            got=f"{len(reference_scores):,} crops, none with a score",
            allowed=needs,
            fix=f"{option('reference')} with the whole train split, or {by_hand}",
        )
    return float(np.quantile(known, QUANTILE))


def needs_reference(name: str, given: object) -> None:
    """Raise `ConfigError` where a filter that compares with real crops gets none."""
    if given is None:
        raise ConfigError(
            f"The {name} filter compares crops with real ones, and there are none.",
            got="reference None",
            allowed="a table of real crops",
            fix=option(reference="DIR"),
        )
