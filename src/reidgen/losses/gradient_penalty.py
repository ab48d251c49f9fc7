"""R1: the squared gradient of the discriminator at real images."""

import torch
from torch import Tensor


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over the batch of the squared gradient norm (Mescheder et al. 2018, equation 9, without gamma / 2).

    Args:
        logits: (N, 1), computed from `images`.
        images: (N, C, H, W), a leaf that requires gradients.

    Returns:
        A scalar that can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
