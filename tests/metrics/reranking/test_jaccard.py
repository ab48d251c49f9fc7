import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from reidgen.errors import DataError
from reidgen.metrics import jaccard_distance
from reidgen.metrics.reranking import reciprocal
from reidgen.metrics.reranking.jaccard import vectors_distance
from tests.metrics.slow_rerank import clustered, slow_jaccard


def dense(distances):
    """Where nothing is stored, the distance is 1."""
    whole = np.ones(distances.shape)
    for row in range(distances.shape[0]):
        part = slice(distances.indptr[row], distances.indptr[row + 1])
        whole[row, distances.indices[part]] = distances.data[part]
    return whole


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (8, 1), (1, 4), (5, 9)])
def test_equals_the_slow_loops(seed, k1, k2):
    features = clustered(seed, 50)
    np.testing.assert_allclose(dense(jaccard_distance(features, k1, k2)), slow_jaccard(features, k1, k2), atol=1e-5)


def test_published_defaults():
    features = clustered(0, 60)
    assert (jaccard_distance(features) != jaccard_distance(features, k1=30, k2=6)).nnz == 0


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), k1=st.integers(1, 12), k2=st.integers(1, 8))
def test_it_is_symmetric_to_the_bit_and_sorted_with_zeros_on_the_diagonal(seed, k1, k2):
    found = jaccard_distance(clustered(seed, 40), k1, k2)
    back = found.T.tocsr()
    np.testing.assert_array_equal(found.indptr, back.indptr)
    np.testing.assert_array_equal(found.indices, back.indices)
    np.testing.assert_array_equal(found.data, back.data)
    assert (found.data >= 0).all() and (found.data < 1).all()
    rows = np.repeat(np.arange(40), np.diff(found.indptr))
    assert (np.diff(rows * 40 + found.indices) > 0).all()
    np.testing.assert_array_equal(found.data[rows == found.indices], np.zeros(40))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_crops_does_not_matter(seed):
    features, order = clustered(seed, 40), np.random.default_rng(seed).permutation(40)
    shuffled = dense(jaccard_distance(features[order], 8, 3))
    np.testing.assert_allclose(shuffled, dense(jaccard_distance(features, 8, 3))[order][:, order], atol=1e-5)


def test_far_pairs_can_be_left_out():
    features = clustered(0, 60)
    everything, near = jaccard_distance(features, 8), jaccard_distance(features, 8, at_most=0.5)
    assert 60 < near.nnz < everything.nnz
    whole = dense(everything)
    np.testing.assert_array_equal(dense(near), np.where(whole <= 0.5, whole, 1))
    assert jaccard_distance(features, 8, at_most=0).nnz >= 60


@pytest.mark.parametrize(("terms", "held"), [(1, 8), (500, 8), (2**20, 8 * 60 * 7)])
def test_blocks_do_not_matter(monkeypatch, terms, held):
    features = clustered(4, 60)
    everything, near = jaccard_distance(features, 8), jaccard_distance(features, 8, at_most=0.6)
    monkeypatch.setattr(reciprocal, "TERMS", terms)
    monkeypatch.setattr(reciprocal, "SUMS_BYTES", held)
    np.testing.assert_array_equal(dense(jaccard_distance(features, 8)), dense(everything))
    np.testing.assert_array_equal(dense(jaccard_distance(features, 8, at_most=0.6)), dense(near))
    np.testing.assert_allclose(dense(everything), slow_jaccard(features, 8, 6), atol=1e-5)


def test_a_hand_worked_pair():
    # S = min(.5, .25) + min(.5, 0) + min(0, .75) = .25; J = 1 - .25 / 1.75 = 6/7.
    vectors = sparse.csr_array(np.array([[0.5, 0.5, 0], [0.25, 0, 0.75], [0, 1, 0]], np.float32))
    found = vectors_distance(vectors)
    np.testing.assert_allclose(dense(found), [[0, 6 / 7, 2 / 3], [6 / 7, 0, 1], [2 / 3, 1, 0]], atol=1e-7)
    assert found.nnz == 7


def test_the_length_of_features_does_not_matter_under_cosine():
    features = clustered(2, 40)
    longer = features * np.random.default_rng(0).uniform(0.1, 10, (40, 1))
    np.testing.assert_allclose(dense(jaccard_distance(longer, 8)), dense(jaccard_distance(features, 8)), atol=1e-5)
    assert (
        np.abs(dense(jaccard_distance(longer, 8, metric="euclid")) - dense(jaccard_distance(features, 8))).max() > 0.1
    )


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda x: x[:20], {}, r"not enough features.*\n  got: 20 features, 30 neighbours"),
        (lambda x: np.where(np.arange(40)[:, None] == 7, 0, x), {}, r"A given feature is zero.*\n  got: row 7"),
        (lambda x: np.where(np.arange(40)[:, None] == 7, np.nan, x), {}, r"not finite\.\n  got: row 7"),
        (lambda x: x, {"k1": 0}, "k1 and k2 must be positive"),
        (lambda x: x, {"at_most": 1.0}, "at_most is out of range"),
    ],
)
def test_bad_input_is_told(change, options, message):
    with pytest.raises(DataError, match=message):
        jaccard_distance(change(clustered(0, 40)), **options)
