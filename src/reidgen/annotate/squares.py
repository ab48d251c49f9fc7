"""Crops in the middle of a square, as networks for pose want them, and back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Placed:
    """A crop in a square, its edge pixels repeated around it.

    Attributes:
        square: float32 (3, side, side), RGB 0 to 255.
        size: (height, width) of the crop.
        top, left, height, width: Where the scaled crop is in the square, in pixels.
    """

    square: Tensor
    size: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    def back(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the square, x and y, in pixels of the crop."""
        scale = np.array([self.size[1] / self.width, self.size[0] / self.height])
        return (points - [self.left, self.top]) * scale

    def map_back(self, values: Tensor) -> Tensor:
        """The part of a map (side, side) that shows the crop, in the crop's size."""
        part = values[self.top : self.top + self.height, self.left : self.left + self.width]
        return functional.interpolate(part[None, None], self.size, mode="bilinear", antialias=True)[0, 0]


def place(crop: np.ndarray, *, side: int, share: float) -> Placed:
    """Put a crop into a square.

    Args:
        crop: uint8 (H, W, 3).
        side: Of the square in pixels.
        share: Of the side that the crop's longer side takes.
    """
    size = crop.shape[0], crop.shape[1]
    scale = side * share / max(size)
    height, width = (max(1, round(edge * scale)) for edge in size)
    top, left = (side - height) // 2, (side - width) // 2
    pixels = torch.from_numpy(crop).permute(2, 0, 1)[None].float()
    scaled = functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    around = (left, side - width - left, top, side - height - top)
    return Placed(functional.pad(scaled, around, mode="replicate")[0], size, top, left, height, width)
