"""An upsampling filter, a pointwise step and a downsampling filter as products with banded matrices.

For GPUs, whose matrix units make the zeros of the matrices cheaper than any pass over memory, and for float64.
"""

from functools import lru_cache

import torch
from torch import Tensor

from reidgen.models.filtered.resampling import Activation, Extent, Fall, Pairs, Rise, Source, Taps

CHUNK_BYTES = 2**30  # of the fine grid that is held at a time


def banded(sources: list[Source], step: Activation, fall: Fall, inside: Extent) -> Tensor:
    """Rise, pointwise step, fall: the same function as `polyphase.polyphase`, in the number format of the map."""
    x = sources[0].x
    sample_bytes = x.element_size() * x.shape[1] * fall.span[0] * fall.span[1]
    samples = max(1, CHUNK_BYTES // sample_bytes)
    done = []
    for n in range(0, len(x), samples):
        fine = [_rise(source, slice(n, n + samples), fall) for source in sources]
        if len(fine) == 1:
            step.apply(fine[0], out=fine[0])
        else:
            step.derivative(fine[0], fine[1], out=fine[1])
        done.append(_fall(fine[-1], fall, inside))
    return torch.cat(done).permute(0, 3, 1, 2)


def _rise(source: Source, samples: slice, fall: Fall) -> Tensor:
    """(samples, rows, columns, C) of the fine grid."""
    x = source.x[samples].permute(0, 2, 3, 1)
    if source.bias is not None:
        x = x + source.bias.to(x.dtype)
    size = x.shape[1], x.shape[2]
    return _apply(x, *_rise_matrices(source.rise, fall.start, fall.span, size, x.dtype, x.device))


def _fall(fine: Tensor, fall: Fall, inside: Extent) -> Tensor:
    """From (samples, rows, columns, C) of the fine grid, of which only the part `inside` has samples."""
    return _apply(fine, *_fall_matrices(fall, inside, fine.dtype, fine.device))


def _apply(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """The sum over pairs of a matrix along H and one along W of (N, H, W, C), in two matrix products.

    The first gives the rows of all pairs next to each other, and the second adds the pairs up.
    """
    count, height, width, channels = x.shape
    y = torch.matmul(down, x.reshape(count, height, width * channels))
    y = torch.matmul(right, y.view(-1, right.shape[1], channels))
    return y.view(count, -1, len(right), channels)


@lru_cache(maxsize=256)
def _rise_matrices(
    rise: Rise, start: Extent, span: Extent, size: Extent, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    def index(axis: int) -> Tensor:
        m, i = torch.arange(span[axis], device=device)[:, None], torch.arange(size[axis], device=device)
        return m + start[axis] + rise.offset[axis] - rise.factor * i

    down, right = _combined(rise.pairs, index(0), index(1))
    return down.to(dtype), right.to(dtype)


@lru_cache(maxsize=256)
def _fall_matrices(fall: Fall, inside: Extent, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    def index(axis: int) -> Tensor:
        q, m = torch.arange(fall.size[axis], device=device)[:, None], torch.arange(fall.span[axis], device=device)
        there = (m >= -fall.start[axis]) & (m < inside[axis] - fall.start[axis])
        return torch.where(there, m - fall.factor * q, -1)

    down, right = _combined(fall.pairs, index(0), index(1))
    return down.to(dtype), right.to(dtype)


def _combined(pairs: Pairs, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices (rows * pairs, rows) and (columns, pairs * columns), given which tap each of their elements is."""
    vertical = torch.stack([_taps_at(v, down) for v, _ in pairs], dim=1).flatten(0, 1)
    return vertical, torch.cat([_taps_at(h, right) for _, h in pairs], dim=1)


def _taps_at(taps: Taps, index: Tensor) -> Tensor:
    """The tap of each index, zero outside."""
    inside = (index >= 0) & (index < len(taps))
    return torch.where(
        inside, torch.tensor(taps, dtype=torch.float64, device=index.device)[index.clamp(0, len(taps) - 1)], 0.0
    )
