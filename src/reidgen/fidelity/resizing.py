"""The ways in which crops get to Inception's size; each is a matrix for rows and one for columns, so no rule hides."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from reidgen.config.fidelity import Resize

WORDS: dict[Resize, str] = {
    "tf1": "bilinear as TensorFlow 1 (corner-aligned pixels, no antialiasing), pixels as (x - 128) / 128",
    "pytorch-fid": "bilinear as pytorch-fid (half-pixel centres, no antialiasing), pixels as 2 x / 255 - 1",
    "clean-fid": "bicubic as clean-fid (Pillow's, antialiased, on unrounded numbers), pixels as (x - 128) / 128",
}


def to_inception(crops: np.ndarray, resize: Resize, *, size: int) -> Tensor:
    """Crops uint8 (B, H, W, 3) -> Inception's input float32 (B, 3, size, size), resized and scaled by a rule."""
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    rows, columns = (_matrix(length, size, resize) for length in pixels.shape[2:])
    large = rows @ (pixels @ columns.T)
    return large / 127.5 - 1 if resize == "pytorch-fid" else (large - 128) / 128


@cache
def _matrix(length: int, size: int, resize: Resize) -> Tensor:
    """Weights (size, length) of each pixel of a line in each pixel of the resized line."""
    rules: dict[Resize, Callable[[int, int], np.ndarray]] = {
        "tf1": lambda n, m: _linear(np.arange(m) * n / m, n),
        "pytorch-fid": lambda n, m: _linear(np.maximum((np.arange(m) + 0.5) * n / m - 0.5, 0), n),
        "clean-fid": _pillow_bicubic,
    }
    return torch.from_numpy(rules[resize](length, size)).float()


def _linear(places: np.ndarray, length: int) -> np.ndarray:
    """Weights of the two pixels around each place; the last pixel goes on behind the border."""
    low = np.floor(places).astype(np.int64)
    share, out = places - low, np.arange(len(places))
    matrix = np.zeros((len(places), length))
    np.add.at(matrix, (out, low), 1 - share)
    np.add.at(matrix, (out, np.minimum(low + 1, length - 1)), share)
    return matrix


def _pillow_bicubic(length: int, size: int) -> np.ndarray:
    """Keys' cubic with a = -1/2, widened where a line shrinks, cut off at the border and normalised."""
    step = length / size
    widen = max(step, 1.0)
    centres = (np.arange(size) + 0.5) * step
    first = np.maximum((centres - 2 * widen + 0.5).astype(np.int64), 0)[:, None]
    last = np.minimum((centres + 2 * widen + 0.5).astype(np.int64), length)[:, None]
    pixels = np.arange(length)[None]
    x = np.abs((pixels - centres[:, None] + 0.5) / widen)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0)) * ((pixels >= first) & (pixels < last))
    return weights / weights.sum(1, keepdims=True)
