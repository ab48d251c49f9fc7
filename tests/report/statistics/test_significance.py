import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reidgen.report.statistics.significance import holm, paired_t, seeds_needed, sign_flip, smallest_p

differences = st.lists(st.integers(-50, 50), min_size=1, max_size=7)


def test_sign_flips_by_hand():
    """Sums of +-1 +-2 +-3: 6, 4, 2, 0, 0, -2, -4, -6. Two of eight are as far from zero as 6, four as far as 4."""
    assert sign_flip([1, 2, 3]) == 2 / 8
    assert sign_flip([-1, 2, 3]) == 4 / 8
    assert sign_flip([1, -1]) == 1
    assert sign_flip([]) is None and sign_flip([1.0] * 17) is None


@given(differences)
def test_sign_flips_are_the_slow_count(values):
    patterns = list(itertools.product((-1, 1), repeat=len(values)))
    far = sum(abs(sum(s * v for s, v in zip(p, values, strict=True))) >= abs(sum(values)) for p in patterns)
    assert sign_flip(values) == far / len(patterns)
    assert sign_flip(values) >= smallest_p(len(values)) or len(values) == 1


def test_what_few_seeds_can_say():
    assert (smallest_p(1), smallest_p(3), smallest_p(5), smallest_p(6)) == (1, 0.25, 0.0625, 0.03125)
    assert seeds_needed(0.05) == 6


def test_paired_t_is_students():
    values = [0.01, 0.03, 0.02, -0.005]
    assert paired_t(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert paired_t([0.01]) is None
    assert paired_t([0.01, 0.01]) == 0 and paired_t([0, 0]) == 1


def test_holm_by_hand():
    """Sorted .01 .02 .04: times 3, 2, 1 are .03 .04 .04; None does not count."""
    assert holm([0.04, None, 0.01, 0.02]) == [pytest.approx(0.04), None, pytest.approx(0.03), pytest.approx(0.04)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_helps(values):
    corrected = holm(values)
    assert all(p <= c <= 1 for p, c in zip(values, corrected, strict=True))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff([corrected[i] for i in order]) >= 0)
