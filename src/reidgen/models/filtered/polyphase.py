"""An upsampling filter, a pointwise step and a downsampling filter on CPUs in float32, without any inserted zero.

The fine grid between the filters has up to 16 times the samples of the map, so it is never held whole: blocks of 16
channels (one cache line, one vector register) are gathered from the map and go through all steps while they are in the
cache. Within a block the channels are innermost, which is the layout in which depthwise convolutions run at the
machine's full rate:

- along the rows, each sample is stored once for every phase of the upsampling, so that one depthwise convolution with a
  kernel a phase writes its outputs interleaved, as the fine grid has them;
- along the columns, all samples of a row are channels of a convolution over the rows; each phase is one convolution,
  and the pointwise step writes it to every `factor`-th row.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.models.filtered.resampling import Activation, Extent, Fall, Source, Taps, phases

BLOCK = 16  # channels
GATHERED = 8  # blocks that are gathered at once: 512 bytes of each pixel, since single cache lines are slow to collect
SEPARABLE = 2  # outer products; a filter with more is applied as it is
CACHED_BYTES = 3 * 2**20  # of the fine grid that is worked on at a time


class Piece(NamedTuple):
    """Samples and channels of the map that are gathered at once, in blocks of `width` channels."""

    samples: slice
    channels: slice
    width: int


def polyphase(sources: list[Source], step: Activation, fall: Fall, inside: Extent) -> Tensor:
    """Rise, pointwise step, fall, in float32, also for maps of coarser numbers.

    Args:
        sources: One map x, for f(U x), or two of the same samples and channels, for f'(U x) * V y.
        step: f.
        fall: The way back.
        inside: Rows and columns of the fine grid, from 0 on, that exist; the fall takes zeros elsewhere.

    Returns:
        (N, C, *fall.size) in the number format of x, channels_last.
    """
    count, channels = sources[0].x.shape[:2]
    multiple = math.lcm(*(source.rise.factor for source in sources))
    span = (fall.span[0], -(-fall.span[1] // multiple) * multiple)
    cached = max(1, CACHED_BYTES // (4 * BLOCK * span[0] * span[1]))
    gathered = min(max(cached, GATHERED), count * -(-channels // BLOCK))
    risers = [_Riser(source, fall.start, span, gathered, cached) for source in sources]
    through = _Step(step, fall.start, span, inside, min(cached, gathered))
    falling = _Correlator(
        [([v], [h]) for v, h in fall.pairs],
        stride=fall.factor,
        columns=(span[1] - len(fall.pairs[0][1])) // fall.factor + 1,
    )
    out = torch.empty((count, channels, *fall.size), dtype=sources[0].x.dtype, memory_format=torch.channels_last)
    for piece in _pieces(count, channels, gathered):
        blocks = max(riser.gather(piece) for riser in risers)
        done: list[Tensor] = []
        for first in range(0, blocks, cached):
            part = slice(first, min(first + cached, blocks))
            (low,) = falling(through([riser.planes(part) for riser in risers], risers[0].bound))
            done += low[:, :, : fall.size[1]].unbind()  # more columns than asked for, where the fine grid is wider
        _scatter(done, out, piece)
    return out


class _Correlator:
    """A filter of blocks with one kernel for each phase of the rows and each phase of the columns.

    Filters of one or two outer products go along the rows and then along the columns; for more products the dense
    kernel is faster (its convolution is bound by arithmetic, theirs by the cache).

    Args:
        products: Kernels of the phases along the columns, and along the rows, for each outer product.
        stride: Of both.
        columns: How many samples of a row come out, all phases together.
    """

    def __init__(self, products: list[tuple[list[Taps], list[Taps]]], *, stride: int, columns: int) -> None:
        self.stride = stride
        self.separable: list[tuple[list[Tensor], Tensor]] = []
        self.dense: list[Tensor] = []
        if len(products) <= SEPARABLE:
            for down, right in products:
                right_kernel = torch.tensor(right)[:, None, :]
                down_kernels = [torch.tensor(taps)[None, None, :] for taps in down]
                self.separable.append(
                    ([_depthwise(k, columns * BLOCK) for k in down_kernels], _depthwise(right_kernel, BLOCK))
                )
        else:
            factors = [torch.tensor(kernels, dtype=torch.float64) for kernels in zip(*products, strict=True)]
            dense = torch.einsum("rpi,rqj->pqij", *factors).float()
            self.dense = [_depthwise(kernels, BLOCK) for kernels in dense]

    def __call__(self, x: Tensor) -> list[Tensor]:
        """From (blocks, rows, columns, channels) to one such tensor for each phase of the columns."""
        if self.dense:
            return [_correlate(x, kernel, (self.stride, self.stride)) for kernel in self.dense]
        total: list[Tensor] = []
        for down, right in self.separable:
            wide = _correlate(x, right, (1, self.stride))
            flat = wide.flatten(2).unsqueeze(1)
            planes = [
                _correlate(flat, kernel, (1, self.stride)).squeeze(1).unflatten(2, wide.shape[2:]) for kernel in down
            ]
            total = [a.add_(b) for a, b in zip(total, planes, strict=True)] if total else planes
        return total


class _Riser:
    """Up to `blocks` of one source: gathered with the margins that the filter needs, then led up, `most` at a time."""

    def __init__(self, source: Source, start: Extent, span: Extent, blocks: int, most: int) -> None:
        rise = source.rise
        self.source, self.bound = source, math.inf
        down, top = zip(*(phases(v, rise.factor, rise.offset[0] + start[0]) for v, _ in rise.pairs), strict=True)
        right, left = zip(*(phases(h, rise.factor, rise.offset[1] + start[1]) for _, h in rise.pairs), strict=True)
        products = list(zip(down, right, strict=True))
        columns = span[1] // rise.factor
        self.corner = top[0], left[0]
        self.norm = sum(_norm(v) * _norm(h) for v, h in products)
        self.filter = _Correlator(products, stride=1, columns=span[1])
        rows = -(-span[0] // rise.factor)
        room = rows + len(down[0][0]) - 1, columns + len(right[0][0]) - 1
        self.factor = rise.factor
        self.gathered = torch.zeros(blocks, *room, BLOCK)
        self.copies = torch.empty(min(blocks, most), *room, rise.factor * BLOCK)

    def gather(self, piece: Piece) -> int:
        """Collect those channels of the source, add their bias, and say how many blocks they are."""
        x = _blocks(self.source.x, piece)
        samples, blocks, *size = x.shape[:4]
        overlaps = [_overlap(*axis) for axis in zip(size, self.corner, self.gathered.shape[1:3], strict=True)]
        taken, placed = zip(*overlaps, strict=True)
        used = self.gathered[: samples * blocks]
        target = used.unflatten(0, (samples, blocks))[:, :, *placed, : piece.width]
        if self.source.bias is None:
            target.copy_(x[:, :, *taken])
        else:
            bias = self.source.bias[piece.channels].view(blocks, 1, 1, piece.width)
            torch.add(x[:, :, *taken], bias, out=target)
        self.bound = self.norm * max(used.amax().item(), -used.amin().item())
        return samples * blocks

    def planes(self, part: slice) -> list[Tensor]:
        """Those blocks on the fine grid, one tensor (blocks, rows, columns * 16) for each phase of the columns."""
        x = self.gathered[part]
        copies = x if self.factor == 1 else torch.cat([x] * self.factor, dim=3, out=self.copies[: len(x)])
        return [plane.flatten(2) for plane in self.filter(copies)]


class _Step:
    """The pointwise step, which puts the phases of the rows together on the fine grid."""

    def __init__(self, step: Activation, start: Extent, span: Extent, inside: Extent, blocks: int) -> None:
        self.step = step
        self.fine = torch.empty(blocks, span[0], span[1] * BLOCK)
        self.steep: Tensor | None = None
        self.first = tuple(max(0, -s) for s in start)
        self.last = tuple(i - s for i, s in zip(inside, start, strict=True))

    def __call__(self, planes: list[list[Tensor]], bound: float) -> Tensor:
        """Those blocks of f(x), or with two sources of f'(x) * y: (blocks, rows, columns, 16)."""
        fine = self.fine[: len(planes[0][0])]
        if len(planes) == 1:
            for x, rows in _interleaved(planes[0], fine):
                self.step.apply(x, out=rows, bound=bound)
            return fine.unflatten(2, (-1, BLOCK))
        if self.steep is None:
            self.steep = torch.empty_like(self.fine)
        steep = self.steep[: len(fine)]
        for x, rows in _interleaved(planes[0], steep):
            rows.copy_(x)
        for (y, rows), (_, x) in zip(_interleaved(planes[1], fine), _interleaved(planes[1], steep), strict=True):
            self.step.derivative(x, y, out=rows, bound=bound)
        return self._cut(fine.unflatten(2, (-1, BLOCK)))

    def _cut(self, fine: Tensor) -> Tensor:
        """Zeros where the fine grid has no samples."""
        fine[:, : self.first[0]] = 0
        fine[:, self.last[0] :] = 0
        fine[:, :, : self.first[1]] = 0
        fine[:, :, self.last[1] :] = 0
        return fine


def _correlate(x: Tensor, kernel: Tensor, stride: Extent) -> Tensor:
    """Correlate (count, rows, columns, channels) with (phases * channels, 1, rows, columns) kernels, phases inside.

    Where a kernel has phases, each has its own copy of the channels in x, and its outputs follow each other as columns.
    """
    if kernel.shape[2:] == (1, 1) and stride == (1, 1) and bool((kernel == 1).all()):
        return x
    y = functional.conv2d(x.permute(0, 3, 1, 2), kernel, stride=stride, groups=x.shape[3])
    return y.permute(0, 2, 3, 1).contiguous()


def _depthwise(kernels: Tensor, channels: int) -> Tensor:
    """From (phases, [rows,] columns) to depthwise weights (phases * channels, 1, rows, columns)."""
    kernels = kernels.view(len(kernels), 1, 1, -1, kernels.shape[-1])
    return kernels.expand(-1, channels, -1, -1, -1).flatten(0, 1).contiguous()


def _norm(kernels: list[list[float]]) -> float:
    """By how much a rise can exceed the greatest magnitude of its input."""
    return max(sum(abs(tap) for tap in kernel) for kernel in kernels)


def _overlap(size: int, corner: int, room: int) -> tuple[slice, slice]:
    """The part of a row of `size` samples that lies in `room` samples from `corner` on, and its place there."""
    first, last = max(0, corner), max(0, corner, min(size, corner + room))
    return slice(first, last), slice(first - corner, last - corner)


def _interleaved(planes: list[Tensor], fine: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each phase of the rows, without rows beyond the grid, and the rows of the fine grid that are its own."""
    for phase, plane in enumerate(planes):
        rows = fine[:, phase :: len(planes)]
        yield plane[:, : rows.shape[1]], rows


def _blocks(x: Tensor, piece: Piece) -> Tensor:
    """A view (samples, blocks, H, W, width) of those samples and channels."""
    part = x[piece.samples, piece.channels]
    return part.permute(0, 2, 3, 1).unflatten(3, (-1, piece.width)).permute(0, 3, 1, 2, 4)


def _scatter(blocks: list[Tensor], out: Tensor, piece: Piece) -> None:
    """Put blocks (H, W, 16) to their samples and channels; joined first, which makes longer runs of channels."""
    samples = out[piece.samples, piece.channels].permute(0, 2, 3, 1)
    each = len(blocks) // len(samples)
    for n, sample in enumerate(samples):
        sample.copy_(torch.cat(blocks[n * each : (n + 1) * each], dim=2)[..., : sample.shape[2]])


def _pieces(count: int, channels: int, blocks: int) -> Iterator[Piece]:
    """All samples and channels in pieces of at most so many blocks; what is left of the channels last."""
    whole = channels // BLOCK
    if whole:
        samples = max(1, blocks // whole)
        parts = -(-whole * samples // blocks) if samples == 1 else 1
        wide = -(-whole // parts) * BLOCK
        for n in range(0, count, samples):
            for c in range(0, whole * BLOCK, wide):
                yield Piece(slice(n, min(n + samples, count)), slice(c, min(c + wide, whole * BLOCK)), BLOCK)
    if channels % BLOCK:
        for n in range(0, count, blocks):
            yield Piece(slice(n, min(n + blocks, count)), slice(whole * BLOCK, channels), channels % BLOCK)
