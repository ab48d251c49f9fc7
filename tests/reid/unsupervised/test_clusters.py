import math

import numpy as np
import pytest
import torch

from reidgen.config import UnsupervisedConfig
from reidgen.reid.unsupervised.clusters import (
    Proxies,
    agreements,
    fault_of,
    figures_of,
    find_clusters,
    group_means,
    neighbours_of,
    other_radii,
)


def planted(clusters=4, crops=8, parts=0, seed=0):
    """Features (N, 1 + P, D) around one axis for each cluster."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(clusters), crops)
    features = np.eye(clusters)[who][:, None] + 0.05 * rng.standard_normal((len(who), 1 + parts, clusters))
    return torch.nn.functional.normalize(torch.from_numpy(features).float(), dim=2), who


CONFIG = UnsupervisedConfig(k1=8, k2=3, eps=0.5)


def test_planted_clusters_are_found():
    features, who = planted()
    assert (find_clusters(features[:, 0], CONFIG) == who).all()


def test_neighbours_searched_once_give_the_same():
    features, _ = planted(parts=2)
    near = neighbours_of(features[:, 0], CONFIG)
    assert (find_clusters(features[:, 0], CONFIG, near) == find_clusters(features[:, 0], CONFIG)).all()
    assert agreements(features, 20, near).equal(agreements(features, 20))


def test_what_nothing_can_be_learned_from_is_said():
    assert fault_of(np.array([0, 1, -1])) is None
    assert fault_of(np.array([-1, -1])) == "all crops are outliers"
    assert fault_of(np.array([0, 0, -1])) == "one cluster, and 1 outliers"
    told = other_radii(planted()[0][:, 0], CONFIG)
    assert "eps 0.5: 4 clusters, 0 outliers" in told


def test_agreement_of_equal_features_is_one_and_of_strange_ones_small():
    features, _ = planted(parts=2)
    features[:, 1] = features[:, 0]
    features[:, 2] = features[torch.arange(32).view(4, 8).T.reshape(-1), 0]  # one of seven neighbours is the same
    found = agreements(features, 7)
    assert found[:, 0].tolist() == [1.0] * len(features)
    assert found[:, 1].tolist() == pytest.approx([1 / 13] * 32)
    assert agreements(features[:, :1], 7).shape == (32, 0)
    assert agreements(features[:4], 20)[:, 0].tolist() == [1.0] * 4  # no more neighbours than there are


def test_group_means_equal_the_loop():
    features, who = planted(parts=1)
    who[3] = -1
    found = group_means(features, who, 4)
    for branch in range(2):
        for k in range(4):
            mean = features[torch.from_numpy(who == k), branch].double().mean(dim=0)
            torch.testing.assert_close(found[branch, k], (mean / mean.norm()).float())


def test_proxies_are_the_means_of_a_cluster_in_a_camera():
    features, who = planted(clusters=2, crops=3)
    who[5] = -1
    cameras = np.array([1, 2, 2, 7, 7, 9])
    proxies = Proxies.of(features, who, cameras)
    assert list(zip(proxies.clusters.tolist(), proxies.cameras.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 7)]
    mean = features[1:3, 0].mean(dim=0)
    torch.testing.assert_close(proxies.vectors[0, 1], mean / mean.norm())


def test_figures_by_hand():
    labels = np.array([0, 0, 0, 1, 1, -1, 1])
    pids = np.array([5, 5, 6, 6, 6, 6, -1])
    found = figures_of(labels, pids)
    # clustered and known: 5 5 6 | 6 6: 4 of 5 crops are of their cluster's person
    assert {"clusters": 2, "outliers": 1, "people": 2, "purity": 0.8}.items() <= found.items()
    h = lambda *shares: -sum(s * math.log(s) for s in shares)  # noqa: E731
    mutual = h(0.6, 0.4) - 0.6 * h(2 / 3, 1 / 3)  # people given clusters: one is mixed
    assert found["nmi"] == pytest.approx(mutual / ((h(0.6, 0.4) + h(0.4, 0.6)) / 2), abs=1e-6)


def test_without_labels_there_are_no_figures_of_them():
    assert figures_of(np.array([0, 1, -1]), np.array([-1, -1, -1])) == {"clusters": 2, "outliers": 1}
