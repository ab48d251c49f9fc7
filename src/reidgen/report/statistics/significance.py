"""Whether a difference over seeds is real: Student's paired t, the exact sign-flip test, many comparisons at once."""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL = 0.05
MOST_FLIPPED = 16  # differences whose sign patterns are all tried; 65,536


def paired_t(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's t test that the mean of paired differences is zero.

    It takes the differences for normally distributed, which a few seeds cannot show.

    Args:
        differences: One a seed.

    Returns:
        p; 0 where all differences are equal and not zero, 1 where all are zero, None for fewer than two.
    """
    if len(differences) < 2:
        return None
    if np.ptp(differences) < 1e-12:
        return 0.0 if abs(differences[0]) > 1e-12 else 1.0
    return float(stats.ttest_1samp(differences, 0).pvalue)


def sign_flip(differences: Sequence[float]) -> float | None:
    """Exact two-sided p of the permutation test that flips the signs of paired differences (Fisher 1935).

    If generated people did nothing, each difference would be as likely with the other sign. p is the share of all sign
    patterns whose sum is at least as far from zero. It assumes no distribution, and can never be below 2 / 2^n.

    Args:
        differences: One a seed, at most 16.

    Returns:
        p, or None for no difference or more than 16.

    >>> sign_flip([1.0, 2.0, 3.0])
    0.25
    """
    if not 0 < len(differences) <= MOST_FLIPPED:
        return None
    values = np.asarray(differences, dtype=np.float64)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(values))))
    sums = np.abs(signs @ values)
    return float((sums >= abs(values.sum()) - 1e-12 * np.abs(values).sum()).mean())


def smallest_p(seeds: int) -> float:
    """The smallest p that the sign-flip test can have with so many seeds.

    >>> smallest_p(3), smallest_p(6)
    (0.25, 0.03125)
    """
    return min(1.0, 2.0 / 2.0**seeds)


def seeds_needed(level: float = LEVEL) -> int:
    """With how many seeds the sign-flip test can come below a level.

    >>> seeds_needed(0.05)
    6
    """
    return next(n for n in range(1, MOST_FLIPPED + 1) if smallest_p(n) < level)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number (Holm 1979): the chance that any of them is below a level by luck.

    Args:
        values: One a comparison; None stays None and does not count.

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    known = sorted((p, i) for i, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[i] = largest
    return corrected
