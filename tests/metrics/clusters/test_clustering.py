import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.cluster import DBSCAN

from reidgen.errors import DataError
from reidgen.metrics import dbscan, jaccard_distance
from tests.metrics.slow_rerank import clustered, slow_jaccard


def theirs(distances, eps, min_samples):
    return DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit(distances).labels_


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 60), eps=st.integers(1, 5), min_samples=st.integers(1, 6))
def test_labels_are_those_of_scikit_learn(seed, count, eps, min_samples):
    # Whole numbers: many distances are exactly eps.
    points = np.random.default_rng(seed).integers(0, 25, (count, 2))
    distances = np.abs(points[:, None] - points[None]).sum(axis=2)
    rows, columns = np.nonzero(distances <= eps + 1)
    found = dbscan(
        sparse.csr_array((distances[rows, columns], (rows, columns)), shape=(count, count)),  # with zeros of twins
        eps=eps,
        min_samples=min_samples,
    )
    np.testing.assert_array_equal(found, theirs(distances, eps, min_samples))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("eps", [0.41, 0.5, 0.6, 0.75])  # some distances are 2/5, to the last digit
def test_clusters_of_jaccard_distances_are_those_of_the_dense_way(seed, eps):
    features = clustered(seed, 90, people=9, noise=0.35)
    distances = np.clip(slow_jaccard(features, 12, 4), 0, None)
    assert np.abs(distances - eps).min() > 1e-5  # none that rounding could move to the other side
    labels = theirs(distances, eps, 4)
    if seed == 0 and eps == 0.5:
        assert labels.max() >= 3 and (labels == -1).any()
    for options in ({}, {"at_most": eps}):
        np.testing.assert_array_equal(dbscan(jaccard_distance(features, 12, 4, **options), eps=eps), labels)


def test_a_point_between_two_clusters_joins_the_first():
    places = np.array([10, 11, 12, 13, 20, 1, 2, 3, 4, 7])[:, None] * 1.0
    distances = np.abs(places - places.T)
    found = dbscan(sparse.csr_array(distances + np.eye(10)), eps=3, min_samples=4)
    assert found.tolist() == [0, 0, 0, 0, -1, 1, 1, 1, 1, 0]
    np.testing.assert_array_equal(found, theirs(distances, 3, 4))


def test_no_core_point_is_no_cluster():
    assert dbscan(sparse.csr_array((5, 5)), eps=0.5).tolist() == [-1] * 5
    assert dbscan(sparse.csr_array((3, 3)), eps=0.5, min_samples=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.ones((2, 3)), {"eps": 0.5}, "not a square matrix"),
        (np.ones((2, 2)), {"eps": 0}, "eps must be a positive number"),
        (np.ones((2, 2)), {"eps": float("nan")}, "eps must be a positive number"),
        (np.ones((2, 2)), {"eps": 1, "min_samples": 0}, "min_samples must be positive"),
        (np.array([[0, 0.3], [0, 0]]), {"eps": 0.5}, "not symmetric"),
        (np.array([[0, -0.3], [-0.3, 0]]), {"eps": 0.5}, "negative or not a number"),
        (np.array([[0, np.nan], [np.nan, 0]]), {"eps": 0.5}, "negative or not a number"),
    ],
)
def test_bad_input_is_told(matrix, options, message):
    with pytest.raises(DataError, match=message):
        dbscan(sparse.csr_array(matrix), **options)
