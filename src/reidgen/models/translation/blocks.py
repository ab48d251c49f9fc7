"""What the translation networks share: normalisation by name, first weights, and how often a canvas can be halved."""

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "instance"]
SLOPE = 0.2
WEIGHT_STD = 0.02
MOST = 8  # channels of the widest maps, in those of the first


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """A layer that brings each channel to mean 0 and deviation 1, then scales and shifts it.

    "batch" takes the statistics of the batch, and the running ones in evaluation mode; "instance" those of each image
    by itself, in both modes. They are one function for a batch of one image in training mode.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=True)


def draw_weights(network: nn.Module) -> None:
    """Weights N(0, 0.02^2), biases 0 (Isola et al. 2017, appendix 6.2); scales of normalisation N(1, 0.02^2)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=WEIGHT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d)):
            nn.init.normal_(layer.weight, mean=1.0, std=WEIGHT_STD)


def laid_out(images: Tensor) -> Tensor:
    """The images (N, C, H, W) as convolutions like them: channel by channel on CPUs, pixel by pixel on GPUs.

    On a CPU (torch 2.13, one thread) a step of the U-Net at 128x64 is a quarter slower in channels_last.
    """
    return images.contiguous(memory_format=torch.channels_last) if images.is_cuda else images.contiguous()


def halvings(size: tuple[int, int]) -> int:
    """How often both sides can be halved without a remainder: 6 for 128x64."""
    height, width = size
    return min((side & -side).bit_length() - 1 for side in (height, width))


def channel_plan(count: int, width: int) -> list[int]:
    """Channels of `count` maps, each half as high as the one before: `width`, doubling, at most eight times as many."""
    return [width * min(1 << i, MOST) for i in range(count)]
