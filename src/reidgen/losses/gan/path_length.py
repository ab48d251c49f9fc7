"""Path length regularisation: a step of fixed length in w shall change the image by a fixed amount."""

import math

import torch
from torch import Tensor

DECAY = 0.01


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """Length of the Jacobian's product with random images (Karras et al. 2020, CVPR, section 3.2).

    Args:
        images: (N, 3, H, W), computed from `ws`.
        ws: (N, num_ws, w_dim), requires gradients.
        noise: Standard normal, shape of `images`.

    Returns:
        (N,): sqrt of the mean over layers of |J^T y|^2 with y = noise / sqrt(H * W). It can be differentiated again.
    """
    pixels = images.shape[2] * images.shape[3]
    (gradient,) = torch.autograd.grad((images * noise).sum() / math.sqrt(pixels), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_penalty(lengths: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance of the lengths (N,) to their running mean (Karras et al. 2020, CVPR, equation 4).

    Returns:
        The mean penalty, a scalar; and the new running mean, decay 0.01, without gradients.
    """
    new_mean = mean.lerp(lengths.detach().mean(), DECAY)
    return (lengths - new_mean).square().mean(), new_mean
