import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reidgen.report.statistics.spread import Difference, Spread, difference, paired_difference


def test_a_spread_is_mean_and_sample_deviation():
    assert Spread((0.70, 0.74, 0.78)).percent() == "74.00 ± 4.00"
    assert Spread((0.7426,)).percent() == "74.26"
    assert Spread((0.7426,)).sd is None


def test_the_paired_interval_by_hand():
    """Differences 1, 2, 3 points: mean 2, sd 1, error 1/sqrt(3), t(0.975, 2) = 4.302653: 2 +- 2.484138."""
    told = difference({0: 0.10, 1: 0.20, 2: 0.30}, {0: 0.11, 1: 0.22, 2: 0.33})
    assert told.test == "paired"
    assert (told.low, told.high) == (
        pytest.approx(0.02 - 0.02484138, abs=1e-8),
        pytest.approx(0.02 + 0.02484138, abs=1e-8),
    )
    assert told.verdict == "noise"
    assert told.interval() == "−0.48 to +4.48"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
def test_the_paired_interval_is_that_of_a_one_sample_t_test(pairs):
    gaps = np.array([b - a for a, b in pairs])
    told = difference({i: a for i, (a, _) in enumerate(pairs)}, {i: b for i, (_, b) in enumerate(pairs)})
    if gaps.std() > 1e-6:
        expected = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
        assert (told.low, told.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_lost_seed_leaves_the_others_paired():
    """Seeds differ more than sides do: without seed 3 of one side the difference is that of seeds 0 to 2."""
    a, b = {0: 0.30, 1: 0.40, 2: 0.50, 3: 0.60}, {0: 0.31, 1: 0.42, 2: 0.51, 7: 0.9}
    told = difference(a, b)
    shared = [0, 1, 2]
    expected = stats.ttest_rel([b[s] for s in shared], [a[s] for s in shared])
    interval = expected.confidence_interval(0.95)
    assert (told.test, told.pairs, told.mean) == ("paired", 3, pytest.approx(0.04 / 3))
    assert (told.low, told.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert paired_difference(a, b) == told
    assert paired_difference(a, {2: 0.6}) == Difference(pytest.approx(0.1), None, None, "none", 1)
    assert paired_difference(a, {9: 0.6}) is None


def test_seeds_that_are_all_others_are_compared_by_welch():
    a, b = [0.30, 0.32, 0.31, 0.35], [0.36, 0.34, 0.39]
    told = difference(dict(enumerate(a)), dict(enumerate(b, start=4)))
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert told.test == "welch"
    assert (told.low, told.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_single_run_has_no_interval():
    told = difference({0: 0.3}, {0: 0.4, 1: 0.5})
    assert (told.verdict, told.interval(), told.points()) == ("single", None, "+15.00")


def test_verdicts_follow_the_interval():
    assert Difference(0.1, 0.01, 0.2, "paired").verdict == "up"
    assert Difference(-0.1, -0.2, -0.01, "paired").verdict == "down"
    assert Difference(0.1, 0.0, 0.2, "paired").verdict == "noise"
    assert difference({0: 0.3, 1: 0.4}, {0: 0.35, 1: 0.45}).verdict == "up"  # the same gain twice: no spread at all
