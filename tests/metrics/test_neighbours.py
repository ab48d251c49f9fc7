import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.errors import DataError
from reidgen.metrics import exact
from reidgen.metrics import neighbours as module
from reidgen.metrics.exact import margin_of
from reidgen.metrics.neighbours import (
    block_rows,
    checked_features,
    nearest_neighbours,
    pair_squares,
    refuse_equal,
    smallest,
    square_blocks,
)
from tests.metrics.slow_rerank import neighbour_lists, squares


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 40),
    share=st.floats(0, 1),
    block=st.integers(1, 50),
    group=st.integers(1, 5),
)
def test_equals_a_sort_of_all_distances_with_ties_by_index(seed, count, share, block, group):
    # Small whole numbers: products are exact, and ties and duplicates are everywhere.
    features = np.random.default_rng(seed).integers(-2, 3, (count, 3)).astype(np.float32)
    wanted = 1 + int(share * (count - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", 4 * count * block)
        patch.setattr(module, "LEAST_ROWS", 1)
        patch.setattr(exact, "GROUP", group)
        found = nearest_neighbours(torch.from_numpy(features), wanted)
    far = squares(features)
    np.testing.assert_array_equal(found.indices, [row[:wanted] for row in neighbour_lists(far)])
    np.testing.assert_array_equal(found.squares, np.take_along_axis(far, found.indices, axis=1))
    np.testing.assert_array_equal(found.farthest, far.max(axis=1))


@pytest.mark.parametrize("kind", ["random", "ties", "neighbours are next to each other", "all alike"])
def test_smallest_of_long_rows_equal_a_stable_sort(kind):
    rng = np.random.default_rng(0)
    rows = rng.random((7, 3001), dtype=np.float32)
    if kind == "ties":
        rows = np.floor(rows * 50)
    elif kind == "neighbours are next to each other":
        rows.sort(axis=1)
    elif kind == "all alike":
        rows[:] = 0.5
    columns, values = smallest(torch.from_numpy(rows), 9)
    expected = np.argsort(rows, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(rows, expected, axis=1))


def test_neighbours_do_not_hang_on_how_the_product_rounds(monkeypatch):
    features = 3 + 0.01 * torch.randn(60, 700, generator=torch.Generator().manual_seed(0))
    features[40:50] = features[:10]
    found = nearest_neighbours(features, 9)
    far = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    wanted = far.fill_diagonal_(-1).argsort(dim=1, stable=True)[:, :9]
    np.testing.assert_array_equal(found.indices, wanted)
    near = far.gather(1, wanted).clamp(min=0).numpy()  # -1 stood for itself
    np.testing.assert_allclose(found.squares, near, atol=margin_of(features))
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 60 * 7)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    again = nearest_neighbours(features, 9)
    np.testing.assert_array_equal(again.indices, found.indices)
    np.testing.assert_allclose(again.squares, found.squares, atol=margin_of(features))


def test_everything_is_its_own_nearest_among_twins():
    features = torch.ones(7, 4)
    found = nearest_neighbours(features, 3)
    assert found.indices[:, 0].tolist() == list(range(7))
    assert found.indices[5].tolist() == [5, 0, 1]
    assert not found.squares.any()


def test_all_blocks_of_squares_lie_in_one_place_and_are_never_a_few_rows(monkeypatch):
    assert block_rows(torch.empty(2**20, 1)) == module.LEAST_ROWS
    monkeypatch.setattr(module, "LEAST_ROWS", 1)
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 30 * 8)
    features = torch.from_numpy(np.random.default_rng(0).integers(-2, 3, (30, 5)).astype(np.float32))
    blocks = [(rows, found.clone(), found.data_ptr()) for rows, found in square_blocks(features[:20], features)]
    assert [rows for rows, _, _ in blocks] == [slice(0, 8), slice(8, 16), slice(16, 20)]
    assert len({place for _, _, place in blocks}) == 1
    np.testing.assert_array_equal(torch.cat([found for _, found, _ in blocks]), squares(features)[:20])


def test_squares_of_pairs():
    features = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    a, b = np.random.default_rng(1).integers(0, 30, (2, 500))
    found = pair_squares(torch.from_numpy(features), a, b)
    np.testing.assert_allclose(found, squares(features)[a, b], rtol=0, atol=margin_of(torch.from_numpy(features)))


@pytest.mark.parametrize("count", [0, 4])
def test_too_many_neighbours_are_told(count):
    with pytest.raises(DataError, match=r"not enough features.*\n  got: 3 features, . neighbours"):
        nearest_neighbours(torch.zeros(3, 2), count)


def test_features_keep_their_length_under_euclid_alone():
    features = np.array([[3.0, 4.0], [1e-30, 0.0]])
    np.testing.assert_array_equal(checked_features("given", features, "euclid"), features.astype(np.float32))
    np.testing.assert_allclose(checked_features("given", features, "cosine"), [[0.6, 0.8], [1, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("features", "metric", "message"),
    [
        ([[1.0, 2.0], [np.nan, 0.0]], "euclid", r"A query feature is not finite\.\n  got: row 1"),
        ([[np.inf, 2.0], [0.0, 0.0], [np.inf, 0]], "euclid", r"not finite\.\n  got: row 0 and 1 more"),
        ([[1.0, 2.0], [0.0, 0.0]], "cosine", r"A query feature is zero and so has no direction\.\n  got: row 1"),
        ([1.0, 2.0], "euclid", r"not a matrix\.\n  got: \(2,\)"),
        ([[1.0, 2.0]], "manhattan", "metric is unknown"),
    ],
)
def test_bad_features_are_told(features, metric, message):
    with pytest.raises(DataError, match=message):
        checked_features("query", np.array(features), metric)


def test_features_that_are_all_the_same_are_told():
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32)).repeat(20, 1)
    with pytest.raises(DataError, match="All features are the same"):
        refuse_equal(features)
    features[3, 5] += 1
    refuse_equal(features)


@pytest.mark.gpu
def test_a_cuda_device_finds_the_same():
    features = np.random.default_rng(0).integers(-2, 3, (200, 3)).astype(np.float32)
    here, there = (nearest_neighbours(torch.from_numpy(features).to(device), 9) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(here.indices, there.indices)
    np.testing.assert_array_equal(here.squares, there.squares)
    np.testing.assert_array_equal(here.farthest, there.farthest)
