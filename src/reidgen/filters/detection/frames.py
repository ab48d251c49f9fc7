"""The picture that a detector sees: a crop with a border around it, at the size of the network's input."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

BORDER = (152, 52, 101)  # RGB; the source writes it as OpenCV's BGR (101, 52, 152)
LETTERBOX = (114, 114, 114)  # what YOLO's own preprocessing puts beside a picture of another shape


@dataclass(frozen=True, eq=False)
class Taps:
    """Linear interpolation along one axis, in whole numbers as OpenCV does it.

    Attributes:
        first: Place in the resized line of the first value that depends on the crop; all others are border.
        low, high: int64 (n,): the two pixels between which a value lies, 0 the border pixel before the crop.
        low_share, high_share: int32 (n,): their weights, in 2048ths.
    """

    first: int
    low: Tensor
    high: Tensor
    low_share: Tensor
    high_share: Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """How crops of one size become the network's input, and where its boxes lie in the crop.

    The pixels are those of OpenCV's `INTER_LINEAR` of 8-bit pictures: between the two nearest pixels in each direction,
    without antialiasing, with weights in 2048ths and its roundings. Only what depends on the crop is computed.

    Attributes:
        background: float (1, 3, h, w): the input without a crop, in [0, 255].
        rows, columns: The resampling of the crop.
        corner: (top, left) of the bordered crop in the input; (0, 0) unless it is letterboxed.
        scale: Input pixels per crop pixel, (y, x).
        origin: Input coordinates (y, x) of the crop's upper left corner.
    """

    background: Tensor
    rows: Taps
    columns: Taps
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
        corner = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        background = _colour(LETTERBOX).expand(1, 3, *size).clone()
        background[..., corner[0] : corner[0] + inner[0], corner[1] : corner[1] + inner[1]] = _colour(BORDER)
        scale = inner[0] / bordered[0], inner[1] / bordered[1]
        return cls(
            background,
            _taps(crop[0], padding, inner[0], at_edges="repeat"),
            _taps(crop[1], padding, inner[1], at_edges="one pixel"),
            corner,
            scale,
            (corner[0] + padding * scale[0], corner[1] + padding * scale[1]),
        )

    def pictures(self, crops: np.ndarray, device: torch.device) -> Tensor:
        """uint8 (B, H, W, 3) -> float (B, 3, h, w), whole values in [0, 255]."""
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2).int()
        bordered = _colour(BORDER).int().to(device).repeat(len(crops), 1, pixels.shape[2] + 2, pixels.shape[3] + 2)
        bordered[..., 1:-1, 1:-1] = pixels
        low, high, low_share, high_share = _on(self.columns, device)
        lines = bordered[..., low] * low_share + bordered[..., high] * high_share
        lines >>= 4
        low, high, low_share, high_share = _on(self.rows, device)
        values = (lines[..., low, :] * low_share[:, None]) >> 16
        values += (lines[..., high, :] * high_share[:, None]) >> 16
        top, left = self.corner[0] + self.rows.first, self.corner[1] + self.columns.first
        frames = self.background.to(device).repeat(len(crops), 1, 1, 1)
        frames[..., top : top + values.shape[2], left : left + values.shape[3]] = ((values + 2) >> 2).float()
        return frames

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


def _on(taps: Taps, device: torch.device) -> list[Tensor]:
    return [part.to(device) for part in (taps.low, taps.high, taps.low_share, taps.high_share)]


def _taps(length: int, padding: int, out: int, *, at_edges: Literal["repeat", "one pixel"]) -> Taps:
    """The taps of a line with a border on both sides, resized to `out` values.

    Beyond the line's ends OpenCV repeats the last pixel: along rows with weights that sum to one pixel's, down columns
    as two taps on the same pixel, which rounds differently.
    """
    whole = length + 2 * padding
    at = ((np.arange(out) + 0.5) * (whole / out) - 0.5).astype(np.float32)
    low = np.floor(at).astype(np.int64)
    share = at - low.astype(np.float32)
    if at_edges == "one pixel":
        share[(low < 0) | (low >= whole - 1)] = 0
    low_share, high_share = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (1 - share, share))
    high = (low + 1).clip(0, whole - 1) - padding + 1
    low = low.clip(0, whole - 1) - padding + 1
    used = np.flatnonzero(((low >= 1) & (low <= length)) | ((high >= 1) & (high <= length)))
    inner = slice(used[0], used[-1] + 1)
    # What lies further out in the border has the colour of the border pixel next to the crop.
    parts = (low[inner].clip(0, length + 1), high[inner].clip(0, length + 1), low_share[inner], high_share[inner])
    return Taps(int(used[0]), *(torch.from_numpy(part) for part in parts))
