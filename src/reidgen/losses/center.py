"""Center loss: crops of a person are drawn to the person's center, which follows them."""

import torch
from torch import Tensor

from reidgen.losses.pairs import precise


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
    """The centers after a step: each goes `rate` times sum(center - crop) / (1 + count) nearer to its n crops.

    Wen et al. 2016, equation 4 and step 6 of their algorithm 1; centers without a crop in the batch stay.

    Args:
        embeddings: (N, D) of any float type.
        labels: int64 (N,), 0 to K - 1; crops below 0 take no part.
        centers: (K, D).
        rate: alpha of the paper, which uses 0.5.
    """
    rows = embeddings.to(centers.dtype)
    known = (labels >= 0).to(centers.dtype)
    where = labels.clamp(min=0)
    # one-hot products instead of index_add: the same bits on every run, also on a GPU
    member = torch.zeros(len(labels), len(centers), dtype=centers.dtype, device=centers.device)
    member.scatter_(1, where[:, None], known[:, None])
    counts = member.sum(dim=0)[:, None]
    with torch.autocast(rows.device.type, enabled=False):
        sums = member.T @ rows
    return centers - rate * (counts * centers - sums) / (1 + counts)
