"""Contact sheets: a grid of images as one PNG."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from reidgen.files import write_bytes


def contact_sheet(images: np.ndarray, *, columns: int) -> np.ndarray:
    """Images (N, H, W, 3) uint8 -> one picture, row by row; a last row that is not full is filled with black."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, 3), np.uint8)
    cells[:count] = images
    grid = cells.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(rows * height, columns * width, 3))


def enlarge(pixels: np.ndarray, scale: int) -> np.ndarray:
    """A picture (H, W, 3), each pixel as a square of scale x scale."""
    return pixels if scale == 1 else pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def write_sheet(path: Path, images: np.ndarray, *, columns: int) -> None:
    """Write `contact_sheet(images)` as PNG."""
    write_png(path, contact_sheet(images, columns=columns))
