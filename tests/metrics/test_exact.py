"""What is cut at a k-th neighbour or a radius is the same in any order, any block and on any processor."""

import numpy as np
import pytest
import torch

from reidgen.metrics import exact
from reidgen.metrics.exact import exact_smallest, exact_squares, margin_of, smallest_in_order
from reidgen.metrics.fidelity import manifold
from reidgen.metrics.fidelity.manifold import precision_recall
from reidgen.metrics.neighbours import squares_to


@pytest.fixture
def features():
    """Far from the origin for how near they are to each other: products round worst there; some are twins."""
    made = 3 + 0.01 * torch.randn(60, 700, generator=torch.Generator().manual_seed(0))
    made[40:50] = made[:10]
    return made


def rounded_otherwise(asked, known):
    """Squared distances of a processor that rounds in another way, nearly as wrongly as `margin_of` allows."""
    noise = torch.rand(len(asked), len(known), generator=torch.Generator().manual_seed(1)) * 2 - 1
    exact = torch.cdist(asked.double(), known.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    return (exact + 0.8 * margin_of(asked, known) * noise).float()


def test_distances_there_and_back_are_the_same_bits(features):
    rows, columns = np.divmod(np.arange(60 * 60), 60)
    there = exact_squares(features, features, rows, columns)
    assert np.array_equal(there, exact_squares(features, features, columns, rows))
    one = np.concatenate([exact_squares(features, features, rows[i : i + 1], columns[i : i + 1]) for i in range(99)])
    assert np.array_equal(one, there[:99])
    wanted = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    np.testing.assert_allclose(there, wanted.numpy().ravel(), rtol=1e-12)


def test_neighbours_do_not_hang_on_how_the_product_rounds(features):
    exact = exact_squares(features, features, *np.divmod(np.arange(60 * 60), 60)).reshape(60, 60)
    order = np.argsort(exact, axis=1, kind="stable")[:, :5]
    for squares in (squares_to(features)(features), rounded_otherwise(features, features)):
        found, values = exact_smallest(features, features, squares, 5, margin_of(features))
        assert np.array_equal(found, order)
        assert np.array_equal(values, np.take_along_axis(exact, order, axis=1))
        found, values = smallest_in_order(features, features, squares, 5, margin_of(features))
        assert np.array_equal(found, order)
        np.testing.assert_allclose(values, np.take_along_axis(exact, order, axis=1), atol=margin_of(features))


def test_precision_and_recall_do_not_hang_on_blocks_and_order(features, monkeypatch):
    real, fake = features[:40], features[20:]  # half of the fakes are real ones, so that many lie on a rim
    whole = precision_recall(real, fake)
    swapped = precision_recall(fake, real)
    assert (whole.precision, whole.recall) == (swapped.recall, swapped.precision)
    monkeypatch.setattr(manifold, "BLOCK", 7)
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    assert precision_recall(real[shuffled], fake[shuffled]) == whole
    monkeypatch.setattr(manifold, "squares_to", lambda known: lambda asked: rounded_otherwise(asked, known))
    assert precision_recall(real, fake) == whole


def collapsed(spread, far=0):
    """What a collapsed generator's crops look like to a network: two sets that differ by little or nothing."""
    drawn = torch.Generator().manual_seed(4)
    made = 3 + torch.randn(1, 64, generator=drawn) + spread * torch.randn(400, 64, generator=drawn)
    made[:far] = torch.randn(far, 64, generator=drawn)
    return made[:200], made[200:]


@pytest.mark.parametrize("spread", [0, 1e-6, 1e-4])
@pytest.mark.parametrize("far", [0, 200])
def test_nearly_equal_features_cost_few_pairs_and_change_no_bit(spread, far, monkeypatch):
    real, fake = collapsed(spread, far)
    real[50:100] = real[:50]
    with monkeypatch.context() as patch:
        patch.setattr(exact, "are_many", lambda *_: False)
        patch.setattr(manifold, "are_many", lambda *_: False)
        patch.setattr(exact, "margin_of", lambda *_: np.inf)
        wanted = precision_recall(real, fake)
    pairs, compute = [], exact._squares_of_pairs
    monkeypatch.setattr(exact, "_squares_of_pairs", lambda *given: [pairs.append(len(given[2])), compute(*given)][1])
    assert precision_recall(real, fake) == wanted
    assert precision_recall(fake, real).recall == wanted.precision
    assert sum(pairs) < 2 * 40 * 400  # of 2 x 4 x 40,000


def test_a_product_in_float64_is_within_what_it_says():
    real, fake = collapsed(1e-3, far=100)
    rows, columns = np.divmod(np.arange(200 * 200), 200)
    values, margin = exact.sharper_squares(real, fake, rows, columns)
    away = np.abs(values - exact_squares(real, fake, rows, columns))
    assert 0 < away.max() <= margin < 1e-6 * values.max()


@pytest.mark.parametrize("count", [1, 3])
def test_pairs_that_do_not_count_hide_no_neighbour(count):
    """Long rows in which only the last columns, or only a few of one group, count."""
    features = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
    squares = torch.full((4, 1000), torch.inf)
    for row, places in enumerate([[997, 998, 999], [3, 18, 33], [0, 500, 999], range(1000)]):
        squares[row, list(places)] = squares_to(features)(features[row : row + 1])[0, list(places)]
    found, values = exact_smallest(features[:4], features, squares, count, margin_of(features))
    assert np.array_equal(found, np.argsort(squares.numpy(), axis=1, kind="stable")[:, :count])
    assert np.isfinite(values).all()


def test_what_is_far_apart_keeps_its_order_and_what_is_near_is_computed_anew():
    made = torch.randn(200, 8, generator=torch.Generator().manual_seed(3))
    made[100:] = made[:100] + 1e-4  # each has one that is nearly itself, and else others far apart
    exact = exact_squares(made, made, *np.divmod(np.arange(200 * 200), 200)).reshape(200, 200)
    order = np.argsort(exact, axis=1, kind="stable")[:, :9]
    for squares in (squares_to(made)(made), rounded_otherwise(made, made)):
        found, values = smallest_in_order(made, made, squares, 9, margin_of(made))
        assert np.array_equal(found, order)
        anew = values == np.take_along_axis(exact, order, axis=1)
        assert anew.any() and not anew.all()  # both kinds are among them
