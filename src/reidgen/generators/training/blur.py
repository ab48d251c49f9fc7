"""The blur that StyleGAN3's configuration R starts with: the discriminator sees details only bit by bit."""

import torch
from torch import Tensor

START_SIGMA = 10.0  # pixels
REACH = 3  # of sigma: where the kernel ends


def fading_sigma(images: int, fade_kimg: float) -> float:
    """Width of the blur in pixels after so many images: linear from 10 to 0 over `fade_kimg` thousand.

    Karras et al. 2021, appendix G ("we blur all images the discriminator sees in the beginning of the training").
    """
    return START_SIGMA * max(1 - images / (fade_kimg * 1000), 0.0) if fade_kimg else 0.0


def blur(images: Tensor, sigma: float) -> Tensor:
    """Filter images (N, C, H, W) with the kernel 2^(-(distance / sigma)^2), cut off at 3 sigma, along both axes.

    Two products with small matrices, so it can be differentiated as often as needed. What lies outside the image does
    not count: the weights of the pixels inside are scaled to sum to 1. Below a third of a pixel there is nothing left
    to mix, and the images themselves come back.
    """
    if int(REACH * sigma) == 0:
        return images
    rows, columns = (blur_matrix(size, sigma).to(images) for size in images.shape[2:])
    return rows @ images @ columns.t()


def blur_matrix(size: int, sigma: float) -> Tensor:
    """Matrix (size, size) in float64 that blurs a row of pixels; each of its rows sums to 1."""
    at = torch.arange(size, dtype=torch.float64)
    distance = (at[:, None] - at).abs()
    weights = torch.exp2(-(distance / sigma).square()) * (distance <= int(REACH * sigma))
    return weights / weights.sum(dim=1, keepdim=True)
