"""3x3 convolutions on CPUs with half the multiplications: Winograd's F(4, 3) from row to row.

Four rows of the output are made from six rows of the input. These become six mixed rows, each of which is convolved
along itself with a kernel of 1x3 that is mixed alike, and the six results become the four rows: 18 multiplications a
number of the output in place of 36. Along both axes it would take 9, but on cores where a plain convolution runs at the
full rate the matrix products of that form do not, and it is no faster.

Winograd 1980, *Arithmetic complexity of computations*; Lavin and Gray 2016, *Fast algorithms for convolutional neural
networks*, section 4. The points 0, +-sqrt(1/2), +-sqrt(2) and infinity halve the rounding of their 0, +-1, +-2.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TILE, KERNEL = 4, 3  # rows of the output that are made at a time
MIXED = TILE + KERNEL - 1
BLOCK_BYTES = 24 * 2**20  # of mixed rows, which then stay in the cache between the steps, and below glibc's own maps
LEAST = 2**30  # multiplications of a plain convolution of one sample, below which that is hardly slower, or faster

Sides = tuple[int, int, int, int]


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether `convolved` is faster and allowed: it has no gradient, and is for CPUs, float32 and kernels of 3x3."""
    recorded = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    plain = weight.numel() * x.shape[2] * x.shape[3]
    usual = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and weight.shape[2:] == (KERNEL, KERNEL)
    return usual and not recorded and plain >= LEAST


def convolved(x: Tensor, weight: Tensor, sides: Sides) -> Tensor:
    """The same as conv2d(pad(x, sides), weight), to a relative error of some 1e-6.

    Args:
        x: (N, in, H, W) float32, channels_last in memory.
        weight: (out, in, 3, 3).
        sides: Zeros at (left, right, top, bottom); negative crops.

    Returns:
        (N, out, H + top + bottom - 2, W + left + right - 2), channels_last.
    """
    left, right, top, bottom = sides
    count, fan_in, height, width = x.shape
    fan_out, aside = len(weight), max(left, right, 0)
    size = height + top + bottom - KERNEL + 1, width + left + right - KERNEL + 1
    wide = width + 2 * aside - KERNEL + 1  # columns that are computed; those that nobody asked for are not read
    wanted = slice((aside - left) * fan_out, (aside - left + size[1]) * fan_out)
    rows = x.permute(0, 2, 3, 1).reshape(count, height, width * fan_in)
    kernels = _mixed_kernels(weight)
    out = x.new_empty(count, size[0], size[1] * fan_out)
    tiles = -(-size[0] // TILE)
    block = max(1, BLOCK_BYTES // (x.element_size() * MIXED * width * fan_in))
    for first in range(0, tiles, block):
        some = range(first, min(first + block, tiles))
        mixed = _mixed_rows(rows, [TILE * tile - top for tile in some])
        flat = mixed.view(MIXED, -1, 1, width, fan_in).permute(0, 1, 4, 2, 3)
        done = [functional.conv2d(*pair, padding=(0, aside)) for pair in zip(flat, kernels, strict=True)]
        results = torch.stack([part.permute(0, 2, 3, 1).reshape(count, len(some), wide * fan_out) for part in done])
        _unmix(results[..., wanted], out[:, TILE * first :])
    return out.view(count, *size, fan_out).permute(0, 3, 1, 2)


def _mixed_kernels(weight: Tensor) -> Tensor:
    """(6, out, in, 1, 3), channels_last in memory."""
    fan_out, fan_in = weight.shape[:2]
    by_row = weight.permute(2, 0, 3, 1).reshape(KERNEL, -1)
    return torch.mm(_matrices()[0], by_row).view(MIXED, fan_out, 1, KERNEL, fan_in).permute(0, 1, 4, 2, 3)


def _mixed_rows(rows: Tensor, starts: list[int]) -> Tensor:
    """From (N, H, numbers) the six mixed rows of the six from each start on: (6, N, starts, numbers); zeros outside."""
    mixed = rows.new_empty(MIXED, len(rows), len(starts), rows.shape[2])
    for n, sample in enumerate(rows):
        for tile, start in enumerate(starts):
            there = slice(max(start, 0), max(start + MIXED, 0))
            part = sample[there]
            skipped = there.start - start
            torch.mm(_matrices()[1][:, skipped : skipped + len(part)], part, out=mixed[:, n, tile])
    return mixed


def _unmix(results: Tensor, out: Tensor) -> None:
    """Write the rows that (6, N, tiles, numbers) stand for to (N, rows or more, numbers)."""
    for n, sample in enumerate(out):
        for tile in range(results.shape[2]):
            rows = sample[TILE * tile : TILE * (tile + 1)]
            torch.mm(_matrices()[2][: len(rows)], results[:, n, tile], out=rows)


@lru_cache(maxsize=1)
def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """What mixes the rows of a kernel (6, 3) and of the input (6, 6), and what leads back to the rows (4, 6).

    A product of two polynomials is known by its values at points, the last of them infinity, from which Lagrange's
    polynomials lead back to its coefficients; read the other way round, that is a correlation (Lavin and Gray 2016,
    section 4.1). Lagrange's denominators are with the kernel.
    """
    points = np.array([0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2)])
    others = [np.delete(points, i) for i in range(len(points))]
    kernels = _values(points, KERNEL)
    kernels[:-1] /= np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])[:, None]
    rows = np.zeros((MIXED, MIXED))
    for row, roots in zip(rows, [*others, points], strict=True):
        row[: len(roots) + 1] = np.poly(roots)[::-1]
    back = _values(points, TILE).T
    kernel_matrix, row_matrix, back_matrix = (torch.tensor(m, dtype=torch.float32) for m in (kernels, rows, back))
    return kernel_matrix, row_matrix, back_matrix


def _values(points: np.ndarray, length: int) -> np.ndarray:
    """Powers of the points below `length`, and for infinity the leading coefficient: (points + 1, length)."""
    return np.vstack([np.vander(points, length, increasing=True), np.eye(length)[-1:]])
