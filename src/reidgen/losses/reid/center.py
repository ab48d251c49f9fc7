"""Center loss: crops of a person are drawn to the person's center, which follows them."""

import torch
from torch import Tensor

from reidgen.losses.reid.pairs import precise


def center_loss(embeddings: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Mean over crops of the squared distance to the center of their person.

    Wen et al. 2016 (*A discriminative feature learning approach*), equation 2, which is half the sum. The mean without
    the half is what the weight 5e-4 of the bag of tricks (Luo et al. 2019) belongs to.

    Args:
        embeddings: (N, D) of any float type.
        labels: int64 (N,), the person of each crop, 0 to K - 1; crops below 0 take no part.
        centers: (K, D), which get no gradient; they move by `moved_centers`.

    Returns:
        A scalar, float64 for float64 embeddings and else float32; 0 where no crop takes part.
    """
    known = labels >= 0
    rows = precise(embeddings)
    apart = (rows - centers.detach().to(rows.dtype)[labels.clamp(min=0)]).square().sum(dim=1)
    return torch.where(known, apart, 0).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def moved_centers(embeddings: Tensor, labels: Tensor, centers: Tensor, *, rate: float = 0.5) -> Tensor:
    """The centers after a step: each goes rate * 2 / N times sum(crop - center) of its own crops nearer to them.

    That is a step of plain gradient descent of size `rate` on `center_loss` as a function of the centers, as the bag of
    tricks (Luo et al. 2019) takes it, with rate 0.5 and whatever the loss weighs for the network. Wen et al. 2016,
    equation 4, divide by 1 plus the person's crops in the batch where this divides by half the batch's N: with batches
    of 16 people x 4 crops their centers follow 6.4 times as fast. The published numbers of the recipes are of this one.

    Args:
        embeddings: (N, D) of any float type.
        labels: int64 (N,), 0 to K - 1; crops below 0 take no part, and are not counted in N.
        centers: (K, D); those without a crop in the batch stay.
        rate: Learning rate.
    """
    rows = embeddings.to(centers.dtype)
    known = (labels >= 0).to(centers.dtype)
    each = 2 * rate / known.sum().clamp(min=1)
    where = labels.clamp(min=0)
    # one-hot products instead of index_add: the same bits on every run, also on a GPU
    member = torch.zeros(len(labels), len(centers), dtype=centers.dtype, device=centers.device)
    member.scatter_(1, where[:, None], known[:, None])
    counts = member.sum(dim=0)[:, None]
    with torch.autocast(rows.device.type, enabled=False):
        sums = member.T @ rows
    return centers - each * (counts * centers - sums)
