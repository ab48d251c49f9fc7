"""Figures over seeds, and what a difference between two groups of runs is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A figure over the runs of one group.

    Attributes:
        values: One a run.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over the runs; None for a single run."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def percent(self, digits: int = 2) -> str:
        """`74.26 ± 0.31` of a share, or `74.26` of a single run."""
        mean = f"{100 * self.mean:.{digits}f}"
        return mean if self.sd is None else f"{mean} ± {100 * self.sd:.{digits}f}"


@dataclass(frozen=True)
class Difference:
    """What the extended runs have more than the baseline.

    Attributes:
        mean: Difference of the means: over the seeds that both sides have where it is paired, over all runs otherwise.
        low, high: Ends of the 95 % confidence interval of the difference; None where there is no test.
        test: "paired" over runs of equal seeds, "welch" over runs of unequal ones, "none" without an interval.
        pairs: Seeds that both sides have, on which the difference rests; 0 where it rests on all runs.
    """

    mean: float
    low: float | None
    high: float | None
    test: str
    pairs: int = 0

    @property
    def verdict(self) -> str:
        """`single`, `noise` (the interval holds zero), `up` or `down`."""
        if self.low is None or self.high is None:
            return "single"
        return "up" if self.low > 0 else "down" if self.high < 0 else "noise"

    def points(self, digits: int = 2) -> str:
        """The difference in percentage points, with its sign."""
        return _signed(self.mean, digits)

    def interval(self, digits: int = 2) -> str | None:
        """`−0.41 to +1.93`, in percentage points."""
        if self.low is None or self.high is None:
            return None
        return f"{_signed(self.low, digits)} to {_signed(self.high, digits)}"


def _signed(share: float, digits: int) -> str:
    return f"{100 * share:+.{digits}f}".replace("-", "−")


def difference(baseline: dict[int, float], extended: dict[int, float]) -> Difference:
    """The difference extended - baseline with its 95 % confidence interval (Student's t).

    Where both sides have two seeds or more in common, the runs of these are compared pair by pair and the others are
    left out: with a run that is lost or failed, all its seed stands for would otherwise count as a difference.

    Args:
        baseline: Seed -> figure.
        extended: Seed -> figure.

    >>> difference({0: 0.20, 1: 0.30}, {0: 0.25, 1: 0.35}).pairs
    2
    """
    told = paired_difference(baseline, extended)
    if told is not None and told.pairs > 1:
        return told
    mean = float(np.mean(list(extended.values())) - np.mean(list(baseline.values())))
    if min(len(baseline), len(extended)) < 2:
        return Difference(mean, None, None, "none")
    return _interval(mean, *_welch(list(baseline.values()), list(extended.values())), "welch")


def paired_difference(baseline: dict[int, float], extended: dict[int, float]) -> Difference | None:
    """The difference extended - baseline over the seeds that both sides have; None where they have none in common.

    Args:
        baseline: Seed -> figure.
        extended: Seed -> figure.

    Returns:
        Its mean, and with two pairs or more its 95 % confidence interval (Student's t on the differences).
    """
    gaps = [extended[seed] - baseline[seed] for seed in baseline if seed in extended]
    if not gaps:
        return None
    mean = float(np.mean(gaps))
    if len(gaps) < 2:
        return Difference(mean, None, None, "none", len(gaps))
    return _interval(mean, *_paired(gaps), "paired", len(gaps))


def _interval(mean: float, error: float, freedom: float, test: str, pairs: int = 0) -> Difference:
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Difference(mean, mean - reach, mean + reach, test, pairs)


def _paired(differences: Sequence[float]) -> tuple[float, float]:
    """Standard error and degrees of freedom of the mean of paired differences."""
    return float(np.std(differences, ddof=1)) / len(differences) ** 0.5, len(differences) - 1


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Standard error and Welch's degrees of freedom of the difference of two means."""
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (a, b)]
    total = sum(parts)
    if total == 0:
        return 0.0, min(len(a), len(b)) - 1
    return total**0.5, total**2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (a, b), strict=True))
