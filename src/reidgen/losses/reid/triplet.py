"""Triplet loss with the hardest positive and negative of a batch."""

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.losses.reid.pairs import euclidean_distances, mean_over_anchors, pair_masks


def triplet_loss(embeddings: Tensor, labels: Tensor, *, margin: float | None = 0.3) -> Tensor:
    """Mean over anchors of [margin + d(a, farthest positive) - d(a, nearest negative)]+, with Euclidean distance d.

    Hermans et al. 2017 (*In defense of the triplet loss*), equation 5 (batch hard); without a margin [x]+ becomes
    log(1 + e^x), the soft margin of their section 2. Mean where they sum, and over the anchors that have both a
    positive and a negative; without any the loss is 0.

    Args:
        embeddings: (N, D) of any float type; not normalised by this function.
        labels: int64 (N,), the person of each crop; crops below 0 take no part.
        margin: In the unit of the distance. None: soft margin.

    Returns:
        A scalar, float64 for float64 embeddings and else float32.

    >>> embeddings = torch.tensor([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]])
    >>> round(triplet_loss(embeddings, torch.tensor([1, 1, 2, 2]), margin=2.5).item(), 3)
    0.5
    """
    positives, negatives = pair_masks(labels)
    distances = euclidean_distances(embeddings)
    farthest = torch.where(positives, distances, 0).amax(dim=1)
    nearest = torch.where(negatives, distances, torch.inf).amin(dim=1)
    excess = farthest - torch.where(negatives.any(dim=1), nearest, 0)
    losses = functional.softplus(excess) if margin is None else (excess + margin).relu()
    return mean_over_anchors(losses, positives, negatives)
