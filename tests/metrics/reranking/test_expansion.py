import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.errors import DataError
from reidgen.metrics.reranking.expansion import expand_gallery, expand_queries, pool_groups
from tests.metrics.slow_rerank import clustered


def unit(x):
    return x / np.linalg.norm(x)


def slow(query, gallery, count, alpha, *, skip_own=False):
    """One embedding after the other, as the formula says."""
    rows = []
    for i, q in enumerate(np.asarray(query, dtype=np.float64)):
        q = unit(q)
        others = [
            (j, unit(g)) for j, g in enumerate(np.asarray(gallery, dtype=np.float64)) if not (skip_own and i == j)
        ]
        nearest = sorted(others, key=lambda one, q=q: (-(q @ one[1]), one[0]))[:count]
        rows.append(unit(q + sum((max(0, q @ g) ** alpha if alpha else 1) * g for _, g in nearest)))
    return np.array(rows)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), alpha=st.sampled_from([0.0, 0.5, 3.0]))
def test_equals_the_slow_loop(seed, count, alpha):
    features = clustered(seed, 40) * np.random.default_rng(seed).uniform(0.5, 2, (40, 1)).astype(np.float32)
    query, gallery = torch.from_numpy(features[:15]), torch.from_numpy(features[15:])
    found = expand_queries(query, gallery, neighbours=count, alpha=alpha)
    np.testing.assert_allclose(found, slow(query, gallery, count, alpha), atol=1e-5)
    found = expand_gallery(gallery, neighbours=count, alpha=alpha)
    np.testing.assert_allclose(found, slow(gallery, gallery, count, alpha, skip_own=True), atol=1e-5)


def test_a_neighbour_behind_the_query_has_no_weight_with_a_power_and_all_of_it_without():
    query, gallery = torch.tensor([[1.0, 0.0]]), torch.tensor([[-0.6, 0.8]])
    np.testing.assert_allclose(expand_queries(query, gallery, neighbours=1, alpha=3), [[1, 0]], atol=1e-6)
    expected = unit(np.array([0.4, 0.8]))
    np.testing.assert_allclose(expand_queries(query, gallery, neighbours=1), [expected], atol=1e-6)


def test_pools_are_means_of_directions_under_cosine_and_of_numbers_under_euclid():
    features = torch.tensor([[2.0, 0.0], [0.0, 4.0], [5.0, 0.0], [9.0, 9.0]])
    groups = np.array([1, 1, 0, -1])
    np.testing.assert_allclose(pool_groups(features, groups), [[1, 0], [0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(pool_groups(features, groups, metric="euclid"), [[5, 0], [1, 2]], atol=1e-6)


def test_bad_input_is_told():
    features = torch.from_numpy(clustered(0, 10))
    with pytest.raises(DataError, match=r"not enough features.*\n  got: 6 features, 7 neighbours"):
        expand_queries(features[:4], features[4:], neighbours=7)
    with pytest.raises(DataError, match="not enough features"):
        expand_gallery(features, neighbours=10)
    with pytest.raises(DataError, match="alpha is out of range"):
        expand_queries(features, features, alpha=-1)
    with pytest.raises(DataError, match="A query feature is zero"):
        expand_queries(0 * features, features)
    with pytest.raises(DataError, match=r"A group has no embedding\.\n  got: group 1"):
        pool_groups(features, np.array([0, 0, 2, 2, 2, 2, 2, 2, 2, 2]))
    with pytest.raises(DataError, match="groups do not fit"):
        pool_groups(features, np.zeros(9, np.int64))


def test_a_query_that_is_in_the_gallery_is_not_its_own_neighbour():
    gallery = torch.from_numpy(clustered(1, 30))
    own = np.array([4, -1, 29])
    query = torch.stack([gallery[4], torch.from_numpy(clustered(2, 1))[0], gallery[29]])
    found = expand_queries(query, gallery, neighbours=5, alpha=3, own=own)
    whole = expand_gallery(gallery, neighbours=5, alpha=3)
    torch.testing.assert_close(found[[0, 2]], whole[[4, 29]])
    torch.testing.assert_close(found[1:2], expand_queries(query[1:2], gallery, neighbours=5, alpha=3))
    with pytest.raises(DataError, match="not enough features"):
        expand_queries(query, gallery, neighbours=30, own=own)


def test_two_widths_are_told_and_a_sum_of_nothing_stays_nothing():
    with pytest.raises(DataError, match=r"do not fit\.\n  got: \(1, 4\) and \(8, 5\)"):
        expand_queries(torch.ones(1, 4), torch.ones(8, 5))
    assert expand_queries(torch.ones(1, 4), -torch.ones(3, 4), neighbours=1).abs().max() < 1e-6
