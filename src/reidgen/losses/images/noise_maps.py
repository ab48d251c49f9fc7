"""The penalty on noise maps that are optimised: they must stay noise, not carry the image."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 8  # height at which the pyramid ends


def noise_correlation(maps: Sequence[Tensor]) -> Tensor:
    """How much maps are like themselves one pixel further, down and to the right, at all scales.

    Karras et al. 2020 (CVPR), appendix D: of each map higher than 8 a pyramid is made down to a height of 8, each step
    the mean of 2x2 pixels times 2, which keeps unit variance; of each of its maps, edges joined, the squared mean
    product of a pixel with its neighbour counts, in either direction.

    Args:
        maps: (N, H, W) a layer.

    Returns:
        (N,): 0 is expected of noise, up to 1 / (H W) a map and direction.
    """
    assert len(maps) > 0, "a generator with noise"
    total = maps[0].new_zeros(len(maps[0]))
    for layer in maps:
        level = layer
        while True:
            for axis in (1, 2):
                total = total + (level * level.roll(1, dims=axis)).mean(dim=(1, 2)).square()
            if level.shape[1] <= SMALLEST:
                break
            level = 2 * functional.avg_pool2d(level[:, None], 2)[:, 0]
    return total


@torch.no_grad()
def make_standard(maps: Sequence[Tensor]) -> None:
    """Give each map (N, H, W) of each image mean 0 and variance 1, in place (Karras et al. 2020, CVPR, appendix D)."""
    for layer in maps:
        layer -= layer.mean(dim=(1, 2), keepdim=True)
        layer *= layer.square().mean(dim=(1, 2), keepdim=True).rsqrt()
