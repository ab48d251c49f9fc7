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

from reidgen.models.resampling import Activation, Extent, Fall, Source, Taps, phases

BLOCK = 16  # channels
GATHERED = 4  # blocks that are gathered at once: 256 bytes of each pixel, since single cache lines are slow to collect
CACHED_BYTES = 6 * 2**20  # of the fine grid that is worked on at a time


class Piece(NamedTuple):
    """Samples and channels of the map that are gathered at once, in blocks of `width` channels."""

    samples: slice
    channels: slice
    width: int


def polyphase(sources: list[Source], step: Activation, fall: Fall, inside: Extent) -> Tensor:
    """See `resampling.Chain`; maps coarser than float32 are computed in float32."""
    count, channels = sources[0].x.shape[:2]
    multiple = math.lcm(*(source.rise.factor for source in sources))
    span = (fall.span[0], -(-fall.span[1] // multiple) * multiple)
    cached = max(1, CACHED_BYTES // (4 * BLOCK * span[0] * span[1]))
    gathered = min(max(cached, GATHERED), count * -(-channels // BLOCK))
    risers = [_Riser(source, fall.start, span, gathered) for source in sources]
    through = _Step(step, fall.start, span, inside, min(cached, gathered))
    faller = _Faller(fall, span[1])
    done = torch.empty(gathered, *fall.size, BLOCK)
    out = torch.empty((count, channels, *fall.size), dtype=sources[0].x.dtype, memory_format=torch.channels_last)
    for piece in _pieces(count, channels, gathered):
        target = _blocks(out, piece)
        blocks = max(riser.gather(piece) for riser in risers)
        for first in range(0, blocks, cached):
            part = slice(first, min(first + cached, blocks))
            faller.store(through([riser.planes(part) for riser in risers], risers[0].bound), done[part])
        target.copy_(done[:blocks].unflatten(0, target.shape[:2])[..., : piece.width])
    return out


class _Riser:
    """Blocks of one source on their way up: gathered with the margins that the filter needs, then filtered."""

    def __init__(self, source: Source, start: Extent, span: Extent, blocks: int) -> None:
        rise, channels = source.rise, span[1] * BLOCK
        self.source, self.factor, self.bound = source, rise.factor, math.inf
        self.kernels, self.norm = [], 0.0
        for vertical, horizontal in rise.pairs:
            down, top = phases(vertical, rise.factor, rise.offset[0] + start[0])
            right, left = phases(horizontal, rise.factor, rise.offset[1] + start[1])
            self.kernels.append(([_kernel([phase], channels) for phase in down], _kernel(right, BLOCK)))
            self.norm += _norm(down) * _norm(right)
            self.corner, lengths = (top, left), (len(down[0]), len(right[0]))
        rows, columns = (-(-s // rise.factor) + n - 1 for s, n in zip(span, lengths, strict=True))
        self.gathered = torch.zeros(blocks, rows, columns, rise.factor, BLOCK)

    def gather(self, piece: Piece) -> int:
        """Collect those channels of the source, add their bias, and say how many blocks they are."""
        x = _blocks(self.source.x, piece)
        samples, blocks, *size = x.shape[:4]
        overlaps = [_overlap(*axis) for axis in zip(size, self.corner, self.gathered.shape[1:3], strict=True)]
        taken, placed = zip(*overlaps, strict=True)
        target = self.gathered[: samples * blocks].unflatten(0, (samples, blocks))[:, :, *placed, :, : piece.width]
        values = x[:, :, *taken, None, :].expand_as(target)
        if self.source.bias is None:
            target.copy_(values)
        else:
            bias = self.source.bias[piece.channels].view(blocks, 1, 1, 1, piece.width)
            torch.add(values, bias, out=target)
        used = self.gathered[: samples * blocks]
        self.bound = self.norm * max(used.amax().item(), -used.amin().item())
        return samples * blocks

    def planes(self, part: slice) -> list[Tensor]:
        """Those blocks on the fine grid, one tensor (blocks, rows, columns * 16) for each phase of the rows."""
        x = self.gathered[part]
        total: list[Tensor] = []
        for down, right in self.kernels:
            wide = _along(x.flatten(3).flatten(0, 1), right).view(*x.shape[:2], -1)
            planes = [_along(wide, kernel) for kernel in down]
            total = [a.add_(b) for a, b in zip(total, planes, strict=True)] if total else planes
        return total


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


class _Faller:
    """The way down, for blocks of the fine grid."""

    def __init__(self, fall: Fall, columns: int) -> None:
        self.factor = fall.factor
        self.kernels = []
        for vertical, horizontal in fall.pairs:
            wide = (columns - len(horizontal)) // fall.factor + 1
            self.kernels.append((_kernel([vertical], wide * BLOCK), _kernel([horizontal], BLOCK)))

    def store(self, fine: Tensor, out: Tensor) -> None:
        """From (blocks, rows, columns, 16) to `out`, which may have fewer columns than could be computed."""
        total: Tensor | None = None
        for vertical, horizontal in self.kernels:
            wide = _along(fine.flatten(0, 1), horizontal, self.factor).unflatten(0, fine.shape[:2])
            y = _along(wide.flatten(2), vertical, self.factor).unflatten(2, (-1, BLOCK))[:, :, : out.shape[2]]
            total = y if total is None else total.add_(y)
        assert total is not None
        out.copy_(total)


def _along(x: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Correlate (count, length, channels) along its length with a kernel (channels, 1, 1, taps) of each channel."""
    if kernel.shape[-1] == 1 and stride == 1 and bool((kernel == 1).all()):
        return x
    y = functional.conv2d(x.unsqueeze(1).permute(0, 3, 1, 2), kernel, stride=(1, stride), groups=x.shape[2])
    return y.permute(0, 2, 3, 1).squeeze(1).contiguous()


def _kernel(phases: list[list[float]] | list[Taps], channels: int) -> Tensor:
    """Depthwise weights (phases * channels, 1, 1, taps)."""
    return torch.tensor(phases)[:, None, None, None].expand(-1, channels, 1, 1, -1).flatten(0, 1).contiguous()


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
