"""Camera-aware proxies: a crop is drawn to its cluster as other cameras see it, and away from the nearest others."""

import torch
from torch import Tensor
from torch.nn import functional


def camera_proxy_loss(
    features: Tensor,
    labels: Tensor,
    cameras: Tensor,
    proxies: Tensor,
    owners: tuple[Tensor, Tensor],
    *,
    temperature: float = 0.07,
    negatives: int = 50,
) -> Tensor:
    """Mean over the N crops of -1/|P| sum over P of log softmax of the similarities to P and the hardest negatives.

    Wang et al. 2021 (*Camera-aware proxies for unsupervised person re-identification*), section "inter-camera", as Cho
    et al. 2022 use it. P are the proxies of the crop's cluster in other cameras; negatives are the most similar ones of
    other clusters. A crop without any of P adds 0.

    Args:
        features: (N, D), of any length; cosines are compared.
        labels: int64 (N,), cluster of each crop.
        cameras: int64 (N,), camera of each crop.
        proxies: float32 (M, D) of length 1, one for each cluster in each camera that sees it.
        owners: int64 (M,) twice, cluster and camera of each proxy.
        temperature: What cosines are divided by.
        negatives: Proxies of other clusters that count, at most.
    """
    with torch.autocast(features.device.type, enabled=False):
        similar = functional.normalize(features.float(), dim=1) @ proxies.T / temperature
    same = labels[:, None] == owners[0]
    positives = same & (cameras[:, None] != owners[1])
    others = similar.detach().masked_fill(same, -torch.inf)
    hardest = others.topk(min(negatives, others.shape[1]), dim=1).indices
    counted = (torch.zeros_like(same).scatter_(1, hardest, value=True) & ~same) | positives
    some = positives.any(dim=1)
    scores = torch.where(counted | ~some[:, None], similar, -torch.inf)  # without positives all, so that none is NaN
    logs = torch.where(positives, scores - scores.logsumexp(dim=1, keepdim=True), 0)
    return -(logs.sum(dim=1) / positives.sum(dim=1).clamp(min=1)).sum() / len(features)
