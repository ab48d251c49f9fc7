import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.errors import DataError
from reidgen.metrics import neighbours, rerank
from reidgen.metrics.exact import margin_of
from reidgen.metrics.reranking import reciprocal
from reidgen.metrics.reranking.reciprocal import expanded_sets
from reidgen.metrics.reranking.rerank import Reranked
from tests.metrics.slow_rerank import clustered, expanded, neighbour_lists, slow_rerank, squares


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("k1", "k2", "lambda_"), [(20, 6, 0.3), (7, 1, 0.0), (3, 5, 0.5), (1, 1, 0.2)])
def test_equals_the_slow_loops(seed, k1, k2, lambda_):
    features = clustered(seed, 60)
    query, gallery = features[:20], features[20:]
    found = rerank(query, gallery, k1, k2, lambda_)
    assert found.shape == (20, 40) and found.dtype == np.float32
    np.testing.assert_allclose(found, slow_rerank(query, gallery, k1, k2, lambda_), atol=1e-5)


def test_equals_the_slow_loops_where_features_have_twins():
    features = np.random.default_rng(0).integers(-1, 2, (50, 3)).astype(np.float32)
    found = rerank(features[:15], features[15:], 6, 3, 0.3)
    np.testing.assert_allclose(found, slow_rerank(features[:15], features[15:], 6, 3, 0.3), atol=1e-5)


def test_sets_are_expanded_as_told():
    # The expansion matters: some set has grown, and not every neighbour's set was taken over.
    features = clustered(3, 50)
    lists = neighbour_lists(squares(features))
    sets = expanded_sets(np.array(lists)[:, :12], size=9, half=5)
    found = [set(sets.indices[a:b].tolist()) for a, b in zip(sets.indptr, sets.indptr[1:], strict=False)]
    assert found == [expanded(lists, p, 9, 5) for p in range(50)]
    plain = expanded_sets(np.array(lists)[:, :12], size=9, half=1)
    assert plain.nnz < sets.nnz


def test_published_defaults():
    features = clustered(0, 50)
    np.testing.assert_array_equal(
        rerank(features[:9], features[9:]), rerank(features[:9], features[9:], k1=20, k2=6, lambda_=0.3)
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), k1=st.integers(1, 12), k2=st.integers(1, 8))
def test_the_order_of_crops_does_not_matter(seed, k1, k2):
    rng = np.random.default_rng(seed)
    features = clustered(seed, 40)
    query, gallery = features[:12], features[12:]
    rows, columns = rng.permutation(12), rng.permutation(28)
    shuffled = rerank(query[rows], gallery[columns], k1, k2)
    np.testing.assert_allclose(shuffled, rerank(query, gallery, k1, k2)[rows][:, columns], atol=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), lambda_=st.floats(0, 1), power=st.integers(-6, 6))
def test_distances_are_shares_and_do_not_depend_on_the_scale(seed, lambda_, power):
    """Powers of two change no digit: with others two neighbours at nearly one distance may change places."""
    features = clustered(seed, 40)
    found = rerank(features[:12], features[12:], 5, 3, lambda_)
    assert (found >= 0).all() and (found <= 1 + 1e-6).all()
    scaled = np.float32(2.0**power) * features
    np.testing.assert_allclose(rerank(scaled[:12], scaled[12:], 5, 3, lambda_), found, atol=1e-6)


def test_lambda_1_is_the_plain_distance_over_the_farthest():
    features = clustered(1, 40)
    plain = squares(features)
    expected = (plain / plain.max(axis=1, keepdims=True))[:10, 10:]
    off = 2 * margin_of(torch.from_numpy(features)) / plain.max(axis=1).min()  # of the square and of the farthest one
    np.testing.assert_allclose(rerank(features[:10], features[10:], lambda_=1.0), expected, atol=off, rtol=1e-6)


def test_without_neighbours_in_common_the_jaccard_distance_is_1():
    features = np.concatenate([np.eye(4)[0] + 0.01 * np.eye(4)[1:], np.eye(4)[1] + 0.01 * np.eye(4)[1:]])
    found = rerank(features[:3], features[3:], k1=2, k2=1, lambda_=0)
    np.testing.assert_array_equal(found, np.ones((3, 3)))


def test_cosine_brings_features_to_length_1():
    features = clustered(2, 40)
    lengths = np.random.default_rng(0).uniform(0.1, 10, (40, 1)).astype(np.float32)
    longer = features * lengths
    np.testing.assert_allclose(
        rerank(longer[:10], longer[10:], 5, metric="cosine"), rerank(features[:10], features[10:], 5), atol=1e-5
    )
    assert np.abs(rerank(longer[:10], longer[10:], 5) - rerank(features[:10], features[10:], 5)).max() > 0.1


def test_a_tensor_gives_a_tensor():
    features = torch.from_numpy(clustered(2, 40))
    found = rerank(features[:10], features[10:].half())
    assert isinstance(found, torch.Tensor) and found.dtype == torch.float32
    np.testing.assert_allclose(found, rerank(features[:10].numpy(), features[10:].half().numpy()), atol=1e-6)


def test_blocks_do_not_matter(monkeypatch):
    features = clustered(5, 60)
    whole = rerank(features[:20], features[20:])
    for terms, held, rows in ((1, 8, 1), (500, 8, 3), (2**20, 8 * 40 * 3, 19)):
        monkeypatch.setattr(reciprocal, "TERMS", terms)
        monkeypatch.setattr(reciprocal, "SUMS_BYTES", held)
        monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 40 * rows)
        monkeypatch.setattr(neighbours, "LEAST_ROWS", 1)
        blocks = list(Reranked.of(features[:20], features[20:]).blocks())
        assert len(blocks) == -(-20 // rows)
        assert [rows.start for rows, _ in blocks][1:] == [rows.stop for rows, _ in blocks][:-1]
        # sums of at most 60 shares whose whole is 1, in another order: 2 x 60 roundings of 2**-24
        np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), whole, rtol=0, atol=120 * 2**-24)


def test_inputs_are_not_changed():
    features = clustered(5, 60)
    before = features.copy()
    rerank(features[:20], features[20:], metric="cosine")
    np.testing.assert_array_equal(features, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": 0}, "k1 and k2 must be positive"),
        ({"k2": 0}, "k1 and k2 must be positive"),
        ({"lambda_": 1.5}, "lambda_ is a share"),
        ({"lambda_": float("nan")}, "lambda_ is a share"),
        ({"k1": 30}, r"not enough features.*\n  got: 30 features, 31 neighbours of each \(itself included\)"),
        ({"k2": 31}, "not enough features"),
        ({"metric": "chi"}, "metric is unknown"),
    ],
)
def test_bad_options_are_told(options, message):
    features = clustered(0, 30)
    with pytest.raises(DataError, match=message):
        rerank(features[:10], features[10:], **options)


def test_bad_features_are_told():
    features = clustered(0, 30)
    with pytest.raises(DataError, match="do not fit"):
        rerank(features[:10], features[10:, :3])
    with pytest.raises(DataError, match="do not fit"):
        rerank(features[:0], features)
    broken = features.copy()
    broken[14, 2] = np.nan
    with pytest.raises(DataError, match=r"A gallery feature is not finite\.\n  got: row 4"):
        rerank(broken[:10], broken[10:])
    with pytest.raises(DataError, match="All features are the same"):
        rerank(np.ones((10, 5)), np.ones((20, 5)))
    zero = features.copy()
    zero[3] = 0
    rerank(zero[:10], zero[10:])
    with pytest.raises(DataError, match="A query feature is zero"):
        rerank(zero[:10], zero[10:], metric="cosine")


def test_queries_that_are_in_the_gallery_count_once():
    features = clustered(5, 40)
    own = np.array([3, -1, 7, 39])
    query = np.stack([features[3], clustered(6, 1)[0], features[7], features[39]])
    parts = Reranked.of(query, features, k1=6, k2=3, own=own).blocks()
    found = np.concatenate([block for _, block in parts])
    once = np.concatenate([query[1:2], features])  # everybody is there once
    expected = slow_rerank(once, once, 6, 3, 0.3, twice=False)
    np.testing.assert_allclose(found, expected[[4, 0, 8, 40], 1:], atol=1e-5)


@pytest.mark.parametrize("scale", [1e19, 1e20])
def test_features_too_long_for_their_squares_are_told(scale):
    features = clustered(0, 30)
    expected = rerank(features[:5], features[5:], 4, 2)
    longest = features * np.float32(5e18)
    np.testing.assert_allclose(rerank(longest[:5], longest[5:], 4, 2), expected, atol=1e-5)
    features *= np.float32(scale)
    with pytest.raises(DataError, match=r"query feature.*is too long for squared distances"):
        rerank(features[:5], features[5:], 4, 2)
