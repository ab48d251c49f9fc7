"""A person cut out by its mask and laid on a background of another camera; and how backgrounds lose their people."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Fill = Literal["mean", "random", "inpainted"]
MARGIN = 2  # pixels around a person that are not background either: the border of a mask is not sharp


class Paste(nn.Module):
    """Lays people on backgrounds. It learns nothing.

    Attributes:
        backgrounds: Of the target, uint8 (K, 3, H, W).

    Args:
        count: Backgrounds K.
        size: (height, width) of the crops.
    """

    backgrounds: Tensor

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("backgrounds", torch.zeros(count, 3, *size, dtype=torch.uint8))

    def forward(self, crops: Tensor, masks: Tensor, which: Tensor) -> Tensor:
        """Crops (N, 3, H, W), -1 to 1, by masks (N, 1, H, W), 0 to 1, on the backgrounds `which` (N,): like crops."""
        behind = self.backgrounds[which].float() / 127.5 - 1
        return torch.lerp(behind, crops, masks)


def backgrounds(crops: Tensor, masks: Tensor, fill: Fill) -> Tensor:
    """What is behind the people of a camera.

    Args:
        crops: (N, 3, H, W), 0 to 255.
        masks: Of their people, (N, 1, H, W), 0 to 1.
        fill: "mean" gives the mean background alone, (1, 3, H, W); "random" each crop with its person replaced by that
            mean (the two ways of Tian et al. 2018); "inpainted" with its person replaced by what is around it.

    Returns:
        float32 (K, 3, H, W), 0 to 255.
    """
    known = without_people(masks)
    if fill == "inpainted":
        return inpaint(crops, known)
    seen = known.sum(dim=0, keepdim=True)
    mean = inpaint((crops * known).sum(dim=0, keepdim=True) / seen.clamp(min=1), (seen > 0).to(crops.dtype))
    return mean if fill == "mean" else torch.lerp(mean, crops, known)


def without_people(masks: Tensor) -> Tensor:
    """Where there is nobody: 1 outside of masks (N, 1, H, W) and of a margin around them, else 0."""
    return (functional.max_pool2d(masks, 2 * MARGIN + 1, 1, MARGIN) < 0.5).to(masks.dtype)


def inpaint(pictures: Tensor, known: Tensor) -> Tensor:
    """Pictures (N, C, H, W) in which what is not known (N, 1, H, W), 1 or 0, is filled smoothly from what is around it.

    By halves: a picture of half the size is the mean of what is known, is filled in the same way, and its enlargement
    fills what this one lacks. A picture of which nothing is known becomes 0.
    """
    if bool(known.all()) or max(pictures.shape[2:]) == 1:
        return pictures * known
    share = functional.avg_pool2d(known, 2, ceil_mode=True)
    halved = functional.avg_pool2d(pictures * known, 2, ceil_mode=True) / share.clamp(min=1e-6)
    filled = inpaint(halved, (share > 0).to(known.dtype))
    larger = functional.interpolate(filled, size=pictures.shape[2:], mode="bilinear", align_corners=False)
    return torch.lerp(larger, pictures, known)
