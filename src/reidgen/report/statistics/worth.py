"""How many labelled people a figure is worth, by a curve that was measured over their number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reidgen.report.statistics.spread import CONFIDENCE


@dataclass(frozen=True)
class Worth:
    """The number of labelled people with which the baseline reaches a figure.

    Attributes:
        people: The number; 0 stands for fewer, infinity for more, than any that was measured. None is not determined:
            the baseline's curve does not rise from place to place.
        low, high: Ends of the 95 % interval, likewise; None for a single seed.
        least, most: The numbers between which the baseline was measured.
    """

    people: float | None
    low: float | None
    high: float | None
    least: float
    most: float

    @property
    def told(self) -> bool:
        """Whether the runs tell anything: the interval leaves out some number that was measured."""
        return self.low is not None and (self.low > 0 or self.high != math.inf)

    def words(self) -> str:
        """`143`, `more than 767`, `fewer than 48` or `not determined`."""
        return "not determined" if self.people is None else self._number(self.people)

    def interval(self) -> str | None:
        """`96 to 210`, `fewer than 48 to 210`, or `more than 767` where both ends are; None for a single seed."""
        if self.low is None or self.high is None:
            return None
        ends = dict.fromkeys((self._number(self.low), self._number(self.high)))
        return " to ".join(ends)

    def _number(self, people: float) -> str:
        if people == 0:
            return f"fewer than {self.least:,.0f}"
        return f"more than {self.most:,.0f}" if math.isinf(people) else f"{people:,.0f}"


def worth(people: Sequence[float], baseline: Sequence[Sequence[float]], figures: Sequence[float]) -> Worth:
    """Invert the baseline's curve: straight in the logarithm of the people between measured places, none outside them.

    The number is where the mean curve has the mean figure. The interval holds every number of people at which the
    paired difference over seeds, figure less curve, may be zero by Student's t (Fieller 1954, *Some problems in
    interval estimation*, for each piece of the curve); of a curve that crosses the figure more than once it goes from
    the first such number to the last. The curve between two places is taken to be known.

    Args:
        people: Labelled people of each place, above 0 and ascending, two or more.
        baseline: The figure of each seed at each place, (S, P).
        figures: The figure of each of the same seeds that is to be expressed in people, (S,).

    >>> worth([10, 100], [[0.1, 0.3], [0.1, 0.3]], [0.15, 0.25]).words()
    '32'
    >>> worth([10, 100], [[0.1, 0.3]], [0.4]).words()
    'more than 100'
    """
    curve, at = np.asarray(baseline, dtype=np.float64), np.log(np.asarray(people, dtype=np.float64))
    gaps = np.asarray(figures, dtype=np.float64)[:, None] - curve
    where = _crossing(at, curve.mean(axis=0), float(np.mean(figures)))
    found = None if where is None else math.exp(where)
    low, high = (None, None) if len(gaps) < 2 else _interval(at, gaps, where)
    return Worth(found, low, high, people[0], people[-1])


def _crossing(at: np.ndarray, curve: np.ndarray, figure: float) -> float | None:
    """Where a mean curve has a figure; infinities outside what was measured, None where it does not rise."""
    if figure > curve.max():
        return math.inf
    if figure < curve.min():
        return -math.inf
    return float(np.interp(figure, curve, at)) if (np.diff(curve) > 0).all() else None


def _interval(at: np.ndarray, gaps: np.ndarray, where: float | None) -> tuple[float, float]:
    """The hull of all places at which the mean of the gaps may be zero, as numbers of people."""
    count = len(gaps)
    factor = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) ** 2 / count
    mean, far = gaps.mean(axis=0), factor * gaps.var(axis=0, ddof=1)
    above, below = mean[0] > 0 and mean[0] ** 2 > far[0], mean[-1] < 0 and mean[-1] ** 2 > far[-1]
    inside = [place for i in range(len(at) - 1) for place in _touching(at[i : i + 2], gaps[:, i : i + 2], factor)]
    inside += at[mean**2 <= far].tolist() + ([where] if where is not None and math.isfinite(where) else [])
    low = min(inside, default=math.inf) if above else -math.inf
    high = max(inside, default=-math.inf) if below else math.inf
    return math.exp(low), math.exp(high)


def _touching(at: np.ndarray, gaps: np.ndarray, factor: float) -> list[float]:
    """Places within a piece at which t is just at its limit: mean^2 = factor variance, with gaps straight between.

    At a share x of the piece the gaps are (1 - x) a + x b, so both sides are polynomials of the second degree in x.
    """
    start, rise = gaps[:, 0], gaps[:, 1] - gaps[:, 0]
    (saa, sar), (_, srr) = np.cov(start, rise, ddof=1)
    a, r = start.mean(), rise.mean()
    roots = np.roots([r**2 - factor * srr, 2 * (a * r - factor * sar), a**2 - factor * saa])
    real = roots.real[np.abs(roots.imag) < 1e-6]  # where the seeds agree the two roots are one, but for rounding
    return [float(at[0] + x * (at[1] - at[0])) for x in real if 0 <= x <= 1]
