"""Agreement-aware label smoothing: a part learns its crop's cluster as far as it agrees with the whole crop."""

import math

from torch import Tensor
from torch.nn import functional


def agreement_smoothed_loss(part_logits: Tensor, labels: Tensor, agreement: Tensor) -> Tensor:
    """Mean over crops and parts of c * cross entropy + (1 - c) * KL(uniform || p), in float32.

    Cho et al. 2022 (*Part-based pseudo label refinement*), agreement-aware label smoothing.
    KL(uniform || p) is -log K - mean_k log p_k.

    Args:
        part_logits: (N, P, K), scores by each of P parts.
        labels: int64 (N,), cluster of each crop, 0 to K - 1.
        agreement: float32 (N, P), cross agreement c of each part, 0 to 1.
    """
    logs = functional.log_softmax(part_logits.float(), dim=2)
    of_cluster = logs.gather(2, labels[:, None, None].expand(-1, logs.shape[1], 1)).squeeze(2)
    from_uniform = -math.log(logs.shape[2]) - logs.mean(dim=2)
    return (-agreement * of_cluster + (1 - agreement) * from_uniform).mean()
