"""Circle loss: each similarity is pulled as strongly as it is far from where it shall be."""

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.losses.reid.pairs import mean_over_anchors, pair_masks, precise


def circle_loss(embeddings: Tensor, labels: Tensor, *, margin: float = 0.25, scale: float = 32.0) -> Tensor:
    """Mean over anchors of log(1 + sum_k exp(scale b_k (n_k - margin)) sum_j exp(-scale a_j (p_j - 1 + margin))).

    p are the cosines to the anchor's positives, n to its negatives, a_j = [1 + margin - p_j]+ and b_k = [n_k + margin]+
    are weights without gradient: Sun et al. 2020 (*Circle loss*), equations 6 to 8 with O_p = 1 + m, O_n = -m,
    1 - m and m as the two margins. Anchors without a positive or a negative are left out; without any the loss is 0.

    Args:
        embeddings: (N, D) of any float type; they are normalised here.
        labels: int64 (N,), the person of each crop; crops below 0 take no part.
        margin: m of the paper, which uses 0.25 for re-ID.
        scale: gamma of the paper; 32 is that of the published ID-discriminative baseline.

    Returns:
        A scalar, float64 for float64 embeddings and else float32.
    """
    positives, negatives = pair_masks(labels)
    unit = functional.normalize(precise(embeddings))
    with torch.autocast(unit.device.type, enabled=False):  # autocast would multiply in half precision
        cosines = unit @ unit.T
    attract = -scale * (1 + margin - cosines.detach()).relu() * (cosines - (1 - margin))
    repel = scale * (cosines.detach() + margin).relu() * (cosines - margin)
    total = _logsumexp(attract, positives) + _logsumexp(repel, negatives)
    return mean_over_anchors(functional.softplus(total), positives, negatives)


def _logsumexp(values: Tensor, among: Tensor) -> Tensor:
    """Log of the sum of exp over each row's columns that are True in `among`; of all columns where none is."""
    some = among.any(dim=1, keepdim=True)  # a sum of nothing would be -inf, and its gradient NaN
    return values.masked_fill(~among & some, -torch.inf).logsumexp(dim=1)
