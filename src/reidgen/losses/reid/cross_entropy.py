"""Cross entropy between people's scores and the person that is there."""

import torch


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
    """Mean of -sum_k t_k log softmax(logits)_k, with t = (1 - smoothing) one-hot + smoothing / K, in float32.

    Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, section 3.4, for smoothing 0;
    Szegedy et al. 2016 (CVPR), section 7, otherwise.

    Args:
        logits: Scores (N, K), of any float type.
        labels: Classes (N,), int64 in 0 ... K - 1.
        smoothing: Share of the target that is spread over all K classes, 0 to 1.

    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).exp().item()
    4.0
    """
    return torch.nn.functional.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
