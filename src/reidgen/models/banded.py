"""An upsampling filter, a pointwise step and a downsampling filter as products with banded matrices.

For GPUs, whose matrix units make the zeros of the matrices cheaper than any pass over memory, and for float64.
"""

from functools import lru_cache

import torch
from torch import Tensor

from reidgen.models.resampling import Activation, Extent, Fall, Source, Taps

CHUNK_BYTES = 2**30  # of the fine grid that is held at a time


def banded(sources: list[Source], step: Activation, fall: Fall, inside: Extent) -> Tensor:
    """See `resampling.Chain`."""
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
    factor, offset = source.rise.factor, source.rise.offset
    total: Tensor | None = None
    for vertical, horizontal in source.rise.pairs:
        along = [
            _rise_matrix(taps, factor, o + s, (span, size), x.dtype, x.device)
            for taps, o, s, span, size in zip(
                (vertical, horizontal), offset, fall.start, fall.span, x.shape[1:3], strict=True
            )
        ]
        y = _apply(x, *along)
        total = y if total is None else total.add_(y)
    assert total is not None
    return total


def _fall(fine: Tensor, fall: Fall, inside: Extent) -> Tensor:
    total: Tensor | None = None
    for pair in fall.pairs:
        along = [
            _fall_matrix(taps, fall.factor, (max(0, -s), i - s), (size, span), fine.dtype, fine.device)
            for taps, s, i, size, span in zip(pair, fall.start, inside, fall.size, fall.span, strict=True)
        ]
        y = _apply(fine, along[0], along[1])
        total = y if total is None else total.add_(y)
    assert total is not None
    return total


def _apply(x: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """The matrices along H and W of (N, H, W, C)."""
    count, height, width, channels = x.shape
    y = torch.matmul(horizontal, x.reshape(count * height, width, channels))
    return torch.matmul(vertical, y.view(count, height, -1)).view(count, len(vertical), len(horizontal), channels)


@lru_cache(maxsize=1024)
def _rise_matrix(
    taps: Taps, factor: int, offset: int, shape: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    m, i = torch.arange(shape[0])[:, None], torch.arange(shape[1])
    return _toeplitz(taps, m + offset - factor * i).to(device, dtype)


@lru_cache(maxsize=1024)
def _fall_matrix(
    taps: Taps, factor: int, kept: Extent, shape: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    q, m = torch.arange(shape[0])[:, None], torch.arange(shape[1])
    matrix = _toeplitz(taps, m - factor * q)
    matrix[:, : kept[0]] = 0
    matrix[:, kept[1] :] = 0
    return matrix.to(device, dtype)


def _toeplitz(taps: Taps, index: Tensor) -> Tensor:
    """The tap of each index, zero outside."""
    inside = (index >= 0) & (index < len(taps))
    return torch.where(inside, torch.tensor(taps, dtype=torch.float64)[index.clamp(0, len(taps) - 1)], 0.0)
