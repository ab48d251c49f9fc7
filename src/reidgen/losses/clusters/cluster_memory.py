"""Cluster contrast: crops against a memory with one vector for each cluster, which follows the crops."""

import torch
from torch import Tensor
from torch.nn import functional


def cluster_contrast_loss(features: Tensor, labels: Tensor, memory: Tensor, *, temperature: float = 0.05) -> Tensor:
    """InfoNCE: mean over crops of -log softmax of their cosines with all clusters, at their own.

    Dai et al. 2022 (*Cluster contrast for unsupervised person re-identification*), the ClusterNCE loss.

    Args:
        features: (N, D), of any length.
        labels: int64 (N,), cluster of each crop, 0 to K - 1.
        memory: float32 (K, D), of length 1; gets no gradient.
        temperature: What cosines are divided by.
    """
    with torch.autocast(features.device.type, enabled=False):
        scores = functional.normalize(features.float(), dim=1) @ memory.detach().T / temperature
    return functional.cross_entropy(scores, labels)


@torch.no_grad()
def moved_memory(features: Tensor, labels: Tensor, memory: Tensor, *, momentum: float = 0.1) -> Tensor:
    """The memory after a batch: for one crop after the other, m = momentum m + (1 - momentum) f, of length 1 again.

    Dai et al. 2022, memory updating. Crops of different clusters do not touch each other, so all first ones of
    clusters go at once, then all second ones.

    Args:
        features: (N, D), of any length.
        labels: int64 (N,), cluster of each crop.
        memory: float32 (K, D).
        momentum: Share of the old vector that stays, 0 to 1.
    """
    moved, directed = memory.clone(), functional.normalize(features.float(), dim=1)
    earlier = (labels[:, None] == labels[None, :]).tril(-1).sum(dim=1)  # crops of the same cluster before this one
    for turn in range(int(earlier.max()) + 1 if len(labels) else 0):
        rows = (earlier == turn).nonzero().squeeze(1)
        who = labels[rows]
        moved[who] = functional.normalize(momentum * moved[who] + (1 - momentum) * directed[rows], dim=1)
    return moved
