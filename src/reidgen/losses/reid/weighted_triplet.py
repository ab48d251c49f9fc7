"""Triplet loss over all positives and negatives of a batch, the harder the heavier."""

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.losses.reid.pairs import euclidean_distances, mean_over_anchors, pair_masks


def weighted_triplet_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean over anchors of log(1 + exp(sum_j w_j d(a, p_j) - sum_k v_k d(a, n_k))), with Euclidean distance d.

    w is the softmax of d over the anchor's positives and v that of -d over its negatives: the weighted regularisation
    triplet of Ye et al. 2021 (*Deep learning for person re-identification: a survey and outlook*, section 4, AGW),
    which has no margin. Anchors without a positive or a negative are left out; without any anchor the loss is 0.

    Args:
        embeddings: (N, D) of any float type; not normalised by this function.
        labels: int64 (N,), the person of each crop; crops below 0 take no part.

    Returns:
        A scalar, float64 for float64 embeddings and else float32.
    """
    positives, negatives = pair_masks(labels)
    distances = euclidean_distances(embeddings)
    far = (_softmax(distances, positives) * distances).sum(dim=1)
    near = (_softmax(-distances, negatives) * distances).sum(dim=1)
    return mean_over_anchors(functional.softplus(far - near), positives, negatives)


def _softmax(values: Tensor, among: Tensor) -> Tensor:
    """Softmax of each row (N, N) over the columns that are True in `among`; rows of zeros where none is."""
    some = among.any(dim=1, keepdim=True)
    # a row without candidates would be NaN, also in the gradient: it gets all columns, and is then set to 0
    shares = values.masked_fill(~among & some, -torch.inf).softmax(dim=1)
    return torch.where(among, shares, 0)
