"""R1 and R2: the squared gradient of the discriminator at real images, and at fakes."""

import torch
from torch import Tensor


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over the batch of the squared gradient norm, without the factor gamma / 2.

    At real images it is R1, at fakes R2 (Mescheder et al. 2018, equations 9 and 10).

    Args:
        logits: (N, 1), computed from `images`.
        images: (N, C, H, W), a leaf that requires gradients.

    Returns:
        A scalar that can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
