"""The picture that a detector sees: a crop with a border around it, at the size of the network's input."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

BORDER = (152, 52, 101)  # RGB; the source writes it as OpenCV's BGR (101, 52, 152)
LETTERBOX = (114, 114, 114)  # what YOLO's own preprocessing puts beside a picture of another shape


@dataclass(frozen=True, eq=False)
class Frame:
    """How crops of one size become the network's input, and where its boxes lie in the crop.

    The resampling is OpenCV's `INTER_LINEAR` of 8-bit pictures: between the two nearest pixels in each direction,
    without antialiasing, rounded to whole values. Only the crop itself is computed; the border is constant.

    Attributes:
        background: float (1, 3, h, w): the input without a crop, in [0, 255].
        rows, columns: float (h', H) and (w', W): weights of the crop's pixels in the part of the input they reach.
        corner: (top, left) of that part.
        scale: Input pixels per crop pixel, (y, x).
        origin: Input coordinates (y, x) of the crop's upper left corner.
    """

    background: Tensor
    rows: Tensor
    columns: Tensor
    corner: tuple[int, int]
    scale: tuple[float, float]
    origin: tuple[float, float]

    @classmethod
    def around(
        cls, crop: tuple[int, int], size: tuple[int, int], *, padding: int, fit: Literal["stretch", "letterbox"]
    ) -> "Frame":
        """The frame for crops of one size.

        Args:
            crop: (height, width) of the crops.
            size: (height, width) of the network's input.
            padding: Width of the border on each side, crop pixels.
            fit: "stretch" resizes the bordered crop to the input; "letterbox" keeps its shape and fills the rest.
        """
        bordered = crop[0] + 2 * padding, crop[1] + 2 * padding
        if fit == "stretch":
            inner = size
        else:
            ratio = min(size[0] / bordered[0], size[1] / bordered[1])
            inner = max(1, round(bordered[0] * ratio)), max(1, round(bordered[1] * ratio))
        start = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        background = _colour(LETTERBOX).expand(1, 3, *size).clone()
        background[..., start[0] : start[0] + inner[0], start[1] : start[1] + inner[1]] = _colour(BORDER)
        (rows, top), (columns, left) = (_weights(crop[i], padding, inner[i]) for i in (0, 1))
        scale = inner[0] / bordered[0], inner[1] / bordered[1]
        origin = start[0] + padding * scale[0], start[1] + padding * scale[1]
        return cls(background, rows, columns, (start[0] + top, start[1] + left), scale, origin)

    def pictures(self, crops: np.ndarray, device: torch.device) -> Tensor:
        """uint8 (B, H, W, 3) -> float (B, 3, h, w), whole values in [0, 255]."""
        border, rows, columns, background = (
            part.to(device) for part in (_colour(BORDER), self.rows, self.columns, self.background)
        )
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2).float() - border
        frames = background.expand(len(crops), -1, -1, -1).clone()
        top, left = self.corner
        frames[..., top : top + len(rows), left : left + len(columns)] += rows @ pixels @ columns.T
        return frames.round_()

    def to_crop(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) of centre x, centre y, width, height in input pixels -> left, top, width, height in the crop's.

        A box may reach beyond the crop.
        """
        boxes = boxes.astype(np.float64)
        extent = boxes[:, 2:] / self.scale[::-1]
        start = (boxes[:, :2] - self.origin[::-1]) / self.scale[::-1] - extent / 2
        return np.concatenate([start, extent], axis=1)


def _colour(rgb: tuple[int, int, int]) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1)


def _weights(length: int, padding: int, out: int) -> tuple[Tensor, int]:
    """Linear interpolation of a bordered line at `out` places: weights (n, length) of the inner pixels, first place."""
    whole = length + 2 * padding
    at = ((torch.arange(out, dtype=torch.float64) + 0.5) * whole / out - 0.5).clamp(0, whole - 1)
    low = at.floor().long().clamp(max=max(whole - 2, 0))
    share = at - low
    weights = torch.zeros(out, whole + 1, dtype=torch.float64)
    weights.scatter_(1, low[:, None], 1 - share[:, None])
    weights.scatter_add_(1, low[:, None] + 1, share[:, None])
    inner = weights[:, padding : padding + length]
    used = inner.any(1).nonzero().flatten()
    first, last = int(used[0]), int(used[-1])
    return inner[first : last + 1].float(), first
