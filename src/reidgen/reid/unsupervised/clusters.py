"""Clusters of unlabelled crops: found, found wanting, and described beside the labels that nobody trains on."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from reidgen.config import UnsupervisedConfig
from reidgen.metrics import cross_agreement, dbscan, jaccard_distance
from reidgen.metrics.clusters.clustering import NOISE
from reidgen.metrics.neighbours import Neighbours, checked_features, nearest_neighbours
from reidgen.metrics.reranking.jaccard import listed

OTHER_EPS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def neighbours_of(features: Tensor, config: UnsupervisedConfig) -> Neighbours:
    """The neighbours that both clusters and agreements are made of; features float32 (N, D) of length 1.

    Raises:
        DataError: There are fewer crops than k1, or a feature is not finite.
    """
    most = max(listed(config.k1, config.k2), min(config.agreement_k + 1, len(features)))
    return nearest_neighbours(checked_features("given", features, "cosine"), most)


def find_clusters(features: Tensor, config: UnsupervisedConfig, near: Neighbours | None = None) -> np.ndarray:
    """DBSCAN on Jaccard distances: int64 (N,), clusters from 0, -1 for outliers.

    Args:
        features: float32 (N, D) of length 1.
        config: k1, k2, eps and min_samples.
        near: Their `neighbours_of`, where they were searched before.

    Raises:
        DataError: There are fewer crops than k1, or a feature is not finite.
    """
    distances = jaccard_distance(features, config.k1, config.k2, at_most=config.eps, neighbours=near)
    return dbscan(distances, eps=config.eps, min_samples=config.min_samples)


def fault_of(labels: np.ndarray) -> str | None:
    """What is wrong with clusters that nothing can be learned from, in words; None where there are two or more."""
    clusters = int(labels.max(initial=NOISE)) + 1
    if clusters > 1:
        return None
    return "all crops are outliers" if clusters == 0 else f"one cluster, and {int((labels == NOISE).sum())} outliers"


def other_radii(features: Tensor, config: UnsupervisedConfig) -> str:
    """What other radii would give, in words: for a message, as each is a clustering of its own."""
    distances = jaccard_distance(features, config.k1, config.k2, at_most=max(OTHER_EPS))
    told = []
    for eps in OTHER_EPS:
        labels = dbscan(distances, eps=eps, min_samples=config.min_samples)
        told.append(f"eps {eps:g}: {labels.max() + 1} clusters, {int((labels == NOISE).sum())} outliers")
    return "; ".join(told)


def agreements(features: Tensor, k: int, near: Neighbours | None = None) -> Tensor:
    """Cross agreement of each part with the global feature, float32 (N, P) on the CPU.

    Args:
        features: float32 (N, 1 + P, D), global first; outliers are neighbours too.
        k: Neighbours, without the crop itself; no more than there are.
        near: Those of the global feature, where they were searched before.
    """
    whole, *parts = features.unbind(dim=1)
    count = min(k + 1, len(features))
    lists = (nearest_neighbours(whole.contiguous(), count) if near is None else near).indices[:, 1:count]
    found = [cross_agreement(lists, nearest_neighbours(part.contiguous(), count).indices[:, 1:]) for part in parts]
    return torch.from_numpy(np.stack(found, axis=1) if found else np.zeros((len(features), 0), np.float32))


def group_means(features: Tensor, groups: np.ndarray, count: int) -> Tensor:
    """Mean of each group's features, of length 1: float32 (B, count, D) on the CPU.

    By a sparse product on the CPU, whose sums have one order: sums on a GPU have none.

    Args:
        features: float32 (N, B, D).
        groups: int64 (N,), -1 for none; each of 0 to count - 1 has a crop.
        count: How many groups.
    """
    rows = np.flatnonzero(groups >= 0)
    member = sparse.csr_array((np.ones(len(rows)), (groups[rows], rows)), shape=(count, len(groups)))
    sums = [member @ view.cpu().numpy().astype(np.float64) for view in features.unbind(dim=1)]
    return torch.nn.functional.normalize(torch.from_numpy(np.stack(sums)), dim=2).float()


@dataclass(frozen=True, eq=False)
class Proxies:
    """The mean feature of each cluster in each camera that sees it.

    Attributes:
        vectors: float32 (B, M, D), of length 1.
        clusters: int64 (M,).
        cameras: int64 (M,).
    """

    vectors: Tensor
    clusters: Tensor
    cameras: Tensor

    def to(self, device: torch.device) -> "Proxies":
        """The same on a device."""
        return Proxies(self.vectors.to(device), self.clusters.to(device), self.cameras.to(device))

    @classmethod
    def of(cls, features: Tensor, labels: np.ndarray, cameras: np.ndarray) -> "Proxies":
        """From features (N, B, D), clusters (N,) with -1 for none, and cameras (N,)."""
        known = np.flatnonzero(labels >= 0)
        pairs, places = np.unique(np.stack([labels[known], cameras[known]]), axis=1, return_inverse=True)
        groups = np.full(len(labels), NOISE)
        groups[known] = places.reshape(-1)
        owners = torch.from_numpy(pairs)
        return cls(group_means(features, groups, pairs.shape[1]), owners[0], owners[1])


def figures_of(labels: np.ndarray, pids: np.ndarray) -> dict[str, float]:
    """What an epoch's clusters are worth, for the eye alone.

    `purity` is the share of clustered crops whose cluster has mostly their person, `nmi` the normalised mutual
    information of clusters and people on clustered crops (arithmetic mean); both are left out without labels.

    Args:
        labels: int64 (N,), -1 for outliers.
        pids: int64 (N,), person of each crop; below 1 unknown.
    """
    counts = {"clusters": int(labels.max(initial=NOISE)) + 1, "outliers": int((labels == NOISE).sum())}
    told = pids > 0
    people = len(np.unique(pids[told]))
    known = told & (labels >= 0)
    if people < 2 or not known.any():
        return dict(counts)
    _, persons = np.unique(pids[known], return_inverse=True)
    shared = sparse.coo_array((np.ones(known.sum()), (labels[known], persons))).tocsr()
    purity = float(shared.max(axis=1).toarray().sum() / known.sum())
    return {**counts, "people": people, "purity": round(purity, 6), "nmi": round(similarity(labels, pids, known), 6)}


def similarity(labels: np.ndarray, others: np.ndarray, known: np.ndarray) -> float:
    """Normalised mutual information of two partitions on some of the crops, 0 to 1; 0 where there are none."""
    if not known.any():
        return 0.0
    from sklearn.metrics import normalized_mutual_info_score  # a second and a half to import, for this training alone

    return float(normalized_mutual_info_score(labels[known], others[known]))
