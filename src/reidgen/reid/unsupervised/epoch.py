"""What an epoch learns from: the clusters of its crops, with all that is known of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidgen.config import UnsupervisedConfig
from reidgen.data.samplers import ClusterSampler
from reidgen.metrics.clusters.clustering import NOISE
from reidgen.reid.unsupervised.clusters import (
    Proxies,
    agreements,
    fault_of,
    figures_of,
    find_clusters,
    group_means,
    neighbours_of,
    other_radii,
    similarity,
)
from reidgen.reid.unsupervised.crops import Crops


@dataclass(frozen=True, eq=False)
class Fault:
    """Clusters that nothing can be learned from.

    Attributes:
        what: In words.
        others: What other radii would give.
    """

    what: str
    others: str


@dataclass(frozen=True, eq=False)
class Epoch:
    """The clusters of an epoch. All tensors are on the CPU, over all crops of the training.

    Attributes:
        labels: int64 (N,), cluster of each crop; -1 for outliers and for crops that are out of the epoch.
        agreement: float32 (N, P), of each part with the global feature; 0 for crops that are out.
        means: float32 (1 + P, K, D), of length 1.
        proxies: For a loss by cameras.
        figures: What the clusters are worth.
    """

    labels: Tensor
    agreement: Tensor
    means: Tensor
    proxies: Proxies | None
    figures: dict[str, float]

    @classmethod
    def of(
        cls,
        features: Tensor,
        rows: tuple[np.ndarray, np.ndarray],
        crops: Crops,
        config: UnsupervisedConfig,
        before: Tensor | None = None,
    ) -> "Epoch | Fault":
        """Cluster the crops of an epoch.

        Args:
            features: float32 (M, 1 + P, D) of length 1, of both kinds of rows, one after the other.
            rows: Those that are clustered, and those that take their parent's cluster.
            crops: All crops.
            config: The training.
            before: The labels of the epoch before, to compare with.
        """
        joins, follows = rows
        own = features[: len(joins), 0].contiguous()
        labels = np.full(len(crops.table), NOISE, np.int64)
        near = neighbours_of(own, config)
        labels[joins] = find_clusters(own, config, near)
        if (fault := fault_of(labels[joins])) is not None:
            return Fault(fault, other_radii(own, config))
        figures = figures_of(labels[: crops.real], crops.table.pids[: crops.real])
        shown = config.epoch_steps * config.batch / config.crops_per_cluster / figures["clusters"]
        figures["shown"] = round(shown, 3)  # times that each cluster is in a batch of the epoch
        if before is not None:
            figures["stability"] = _stability(labels[: crops.real], before.numpy()[: crops.real])
        labels[follows] = labels[crops.parents[follows]]
        both = np.concatenate(rows)
        agreement = torch.zeros(len(labels), config.parts)
        agreement[torch.from_numpy(both)] = agreements(features, config.agreement_k, None if len(follows) else near)
        if config.parts:
            figures["agreement"] = round(float(agreement[torch.from_numpy(both)].mean()), 6)
        means = group_means(features, labels[both], int(labels.max()) + 1)
        proxies = Proxies.of(features, labels[both], crops.cameras[both]) if config.cameras == "proxies" else None
        return cls(torch.from_numpy(labels), agreement, means, proxies, figures)

    def sampler(self, crops: Crops, config: UnsupervisedConfig) -> ClusterSampler:
        """Batches of its clusters."""
        cameras = np.zeros_like(crops.cameras) if config.cameras == "none" else crops.cameras
        each = config.crops_per_cluster
        return ClusterSampler(self.labels.numpy(), cameras, config.batch // each, each, config.seed)

    def state(self) -> dict[str, Any]:
        """Everything that `from_state` needs; the means are in what began with them."""
        known = {"labels": self.labels, "agreement": self.agreement, "figures": self.figures}
        return {**known, "proxies": None if self.proxies is None else vars(self.proxies)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Epoch":
        """The epoch of a `state`, without means."""
        proxies = None if state["proxies"] is None else Proxies(**state["proxies"])
        return cls(state["labels"], state["agreement"], torch.zeros(0), proxies, state["figures"])


def _stability(labels: np.ndarray, before: np.ndarray) -> float:
    """How like the clusters of the epoch before they are, on crops that are in one both times."""
    return round(similarity(labels, before, (labels >= 0) & (before >= 0)), 6)
