import math

import numpy as np
import pytest
from scipy import stats

from reidgen.report.statistics.worth import worth

PEOPLE = [10, 100, 1000]


def test_a_number_between_two_places_is_where_the_line_in_the_logarithm_has_the_figure():
    """.15 is a quarter of the way from .1 to .3, so 10 * 10^(1/4); .4 is half of the way from .3 to .5."""
    curve = [[0.1, 0.3, 0.5]] * 3
    assert worth(PEOPLE, curve, [0.15] * 3).people == pytest.approx(10 ** (1 + 1 / 4))
    assert worth(PEOPLE, curve, [0.4] * 3).people == pytest.approx(10**2.5)
    assert worth(PEOPLE, curve, [0.3] * 3).people == pytest.approx(100)
    assert worth(PEOPLE, curve, [0.10, 0.15, 0.20]).people == pytest.approx(10 ** (1 + 1 / 4))  # the mean counts


def test_beyond_what_was_measured_nothing_is_made_up():
    curve = [[0.1, 0.3, 0.5]] * 3
    more, fewer = worth(PEOPLE, curve, [0.51] * 3), worth(PEOPLE, curve, [0.09] * 3)
    assert (more.people, more.low, more.high) == (math.inf, math.inf, math.inf)
    assert (fewer.people, fewer.low, fewer.high) == (0, 0, 0)
    assert (more.words(), more.interval()) == ("more than 1,000", "more than 1,000")
    assert (fewer.words(), fewer.interval()) == ("fewer than 10", "fewer than 10")


def test_a_curve_that_falls_gives_an_interval_and_no_worth():
    """The seeds agree, so .25 is met exactly three times: at shares 3/4 up, 1/4 down, and 1/12 up."""
    curve = [[0.1, 0.3, 0.1, 1.9]] * 2
    found = worth([10, 100, 1000, 10000], curve, [0.25] * 2)
    assert found.people is None and found.words() == "not determined"
    assert found.low == pytest.approx(10**1.75) and found.high == pytest.approx(10 ** (3 + 1 / 12))
    above = worth([10, 100, 1000], [[0.1, 0.3, 0.2]] * 2, [0.4] * 2)
    assert above.people == math.inf  # above all that was measured is more than all, however the curve goes


def test_a_single_seed_has_no_interval():
    found = worth(PEOPLE, [[0.1, 0.3, 0.5]], [0.2])
    assert found.people == pytest.approx(10**1.5) and found.low is None and found.interval() is None


def test_the_interval_by_hand():
    """Two seeds on one piece from 10 to 100 with curves that are the same line: gaps g - 0.9 x with g = .46, .48.

    Mean .47 - .9 x, standard error .01 at every x, and t of one degree of freedom is 12.706: |.47 - .9 x| <= .12706.
    """
    found = worth([10, 100], [[0.0, 0.9]] * 2, [0.46, 0.48])
    assert found.people == pytest.approx(10 ** (1 + 0.47 / 0.9))
    assert found.low == pytest.approx(10 ** (1 + (0.47 - 0.12706) / 0.9), rel=1e-4)
    assert found.high == pytest.approx(10 ** (1 + (0.47 + 0.12706) / 0.9), rel=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_the_interval_holds_what_a_test_at_every_number_does_not_reject(seed):
    """Against Student's paired t test of scipy at 3,000 numbers of people: the hull of those with p >= .05."""
    draw = np.random.default_rng(seed)
    people = np.array([8, 16, 32, 64])
    curve = np.sort(draw.uniform(0, 1, 4)) + 0.1 * draw.standard_normal((5, 4))
    figures = draw.uniform(-0.1, 1.1) + 0.1 * draw.standard_normal(5)
    found = worth(people.tolist(), curve.tolist(), figures.tolist())
    at = np.linspace(math.log(8), math.log(64), 3000)
    gaps = figures[:, None] - np.array([np.interp(at, np.log(people), one) for one in curve])
    fits = stats.ttest_1samp(gaps, 0).pvalue >= 0.05
    low, high = (0.0, 0.0) if gaps[:, 0].mean() < 0 else (math.inf, math.inf)
    if fits.any():
        low, high = np.exp(at[fits][0]), np.exp(at[fits][-1])
        low, high = 0.0 if fits[0] or gaps[:, 0].mean() < 0 else low, math.inf if fits[-1] else high
        high = math.inf if gaps[:, -1].mean() > 0 else high
    step = 2 * (at[1] - at[0])  # the grid's own width
    for mine, theirs in ((found.low, low), (found.high, high)):
        assert mine == theirs or abs(math.log(mine / theirs)) <= step
    if found.people is not None:
        assert found.low <= found.people * (1 + 1e-12) and found.people <= found.high * (1 + 1e-12)


def test_the_interval_holds_the_true_number_as_often_as_it_says():
    """2,000 draws of five seeds with normal noise that baseline and arm share in part; the true number is 20.

    Between two places the true curve is the line, so the test inverted here is exact: 95 % of the draws, whose share
    has a deviation of .0049. Within four of these.
    """
    draw = np.random.default_rng(0)
    true, at = np.array([0.1, 0.3, 0.6]), np.log([8, 16, 32])
    figure = np.interp(math.log(20), at, true)
    held = 0
    for _ in range(2000):
        shared = draw.normal(0, 0.03, (5, 1))
        curve = true + shared + draw.normal(0, 0.02, (5, 3))
        found = worth([8, 16, 32], curve.tolist(), (figure + shared[:, 0] + draw.normal(0, 0.02, 5)).tolist())
        held += found.low <= 20 <= found.high
    assert abs(held / 2000 - 0.95) < 4 * 0.0049
