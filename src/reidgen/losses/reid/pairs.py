"""Which crops of a batch show the same person, and how far apart their embeddings are: what losses over pairs share."""

import torch
from torch import Tensor


def precise(values: Tensor) -> Tensor:
    """float64 stays; everything else becomes float32, as distances in half precision have ties."""
    return values if values.dtype == torch.float64 else values.float()


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs (anchor, other) are of one person and which are of two.

    Args:
        labels: int64 (N,), the person of each crop; below 0 for a crop of nobody in particular, which is in no pair.

    Returns:
        Two bool (N, N): positives, without a crop's pair with itself, and negatives.
    """
    known = labels >= 0
    both = known[:, None] & known[None, :]
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return both & same & ~itself, both & ~same


def euclidean_distances(embeddings: Tensor) -> Tensor:
    """Distances (N, N) between the rows of (N, D), with slope 0 where two rows are equal.

    The mean is taken off first, as |a|^2 + |b|^2 - 2ab loses digits where the rows are long and near to each other.
    """
    rows = precise(embeddings)
    rows = rows - rows.detach().mean(dim=0)
    with torch.autocast(rows.device.type, enabled=False):  # autocast would multiply in half precision
        squares = rows.square().sum(dim=1)
        squared = squares[:, None] + squares[None, :] - 2 * rows @ rows.T
    rounding = 4 * torch.finfo(rows.dtype).eps * squares.detach().mean()
    apart = (squared > rounding) & ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return torch.where(apart, squared, 1).sqrt() * apart  # the root of 0 has no slope


def mean_over_anchors(losses: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Mean of the losses (N,) of those anchors that have both a positive and a negative; 0 if none has."""
    valid = positives.any(dim=1) & negatives.any(dim=1)
    return torch.where(valid, losses, 0).sum() / valid.sum().clamp(min=1)
