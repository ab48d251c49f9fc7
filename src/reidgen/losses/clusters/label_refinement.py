"""Part-guided label refinement: the cluster of a crop, softened by what those of its parts say that agree with it."""

import torch
from torch import Tensor

from reidgen.losses.reid.soft_labels import one_hot


def refined_labels(labels: Tensor, part_logits: Tensor, agreement: Tensor, *, beta: float = 0.5) -> Tensor:
    """Beta one-hot + (1 - beta) sum_n w_n p_n: float32 (N, K), rows of sum 1, without gradient.

    Cho et al. 2022 (*Part-based pseudo label refinement*), part-guided label refinement: p_n are the
    probabilities of part n, w the softmax of the crop's agreements over its parts.

    Args:
        labels: int64 (N,), cluster of each crop, 0 to K - 1.
        part_logits: (N, P, K), scores by each of P parts.
        agreement: float32 (N, P), cross agreement of each part, 0 to 1.
        beta: Weight of the cluster, 0 to 1; 1 refines nothing.
    """
    told = part_logits.detach().float().softmax(dim=2)
    weights = agreement.softmax(dim=1)
    return beta * one_hot(labels, told.shape[2]) + (1 - beta) * torch.einsum("np,npk->nk", weights, told)
