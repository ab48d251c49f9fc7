"""Leaky ReLU between an upsampling and a downsampling low-pass filter (Karras et al. 2021, section 3.2).

The function f(x) = D s(U x) with linear filters U, D and a pointwise step s is saved for the backward pass by its input
alone: everything on the fine grid is computed again. Its derivatives are chains of the same kind, which are each
other's: D (s'(U x) * U v) along v, and U^T (s'(U x) * D^T g) back from g; so gradients of any order exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.utils.weak import WeakIdKeyDictionary

from reidgen.models.filtered.banded import banded
from reidgen.models.filtered.polyphase import polyphase
from reidgen.models.filtered.resampling import Activation, Extent, Fall, Pairs, Rise, Source

_separated: WeakIdKeyDictionary = WeakIdKeyDictionary()


def filtered_lrelu(
    x: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    *,
    bias: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Sequence[int] = (0, 0, 0, 0),
    gain: float = 2**0.5,
    slope: float = 0.2,
    clamp: float | None = None,
) -> Tensor:
    """Leaky ReLU computed at a higher sampling rate, which keeps its new frequencies from aliasing.

    In order: add `bias`, insert `up` - 1 zeros after each sample, pad, convolve with `up_filter` times up^2, leaky ReLU
    times `gain`, clamp to +-`clamp`, convolve with `down_filter`, keep every `down`-th sample. Filters of two
    dimensions are taken apart into as many separable ones as the precision of their numbers can tell from zero.

    Args:
        x: (N, C, H, W), fastest in channels_last.
        up_filter: (taps,) of a separable filter, or (rows, columns); None is the single tap 1. Gets no gradient.
        down_filter: The same for the way down.
        bias: (C,).
        up: Upsampling factor.
        down: Downsampling factor.
        padding: (left, right, top, bottom) in samples of the upsampled grid; negative crops.
        gain: Factor after the leaky ReLU, positive.
        slope: Of the leaky ReLU for negative values, 0 to 1.
        clamp: Greatest magnitude after the gain; None for no limit.

    Returns:
        (N, C, H', W') with H' = ceil((H * up + top + bottom - up taps - down taps + 2) / down), and so for W'; it is
        channels_last. Karras et al. 2021, *Alias-free generative adversarial networks*, section 3.2 and appendix F.
    """
    assert gain > 0 and 0 <= slope <= 1
    left, right, top, bottom = padding
    rising, falling = separable(up_filter), separable(down_filter)
    step = Activation(slope, float("inf") if clamp is None else clamp / gain)
    chain = _Chain(
        rising=_scaled(rising, up * up),
        falling=_scaled(falling, gain),
        up=up,
        down=down,
        offset=(_length(rising)[0] - 1 - top, _length(rising)[1] - 1 - left),
        size=(x.shape[2], x.shape[3]),
        padded=(x.shape[2] * up + top + bottom, x.shape[3] * up + left + right),
        step=step,
    )
    out: Tensor = _Forward.apply(x, bias, chain)
    return out


@dataclass(frozen=True)
class _Chain:
    """One call: the filters with their gains, and the grids.

    Attributes:
        rising: The filter on the way up.
        falling: The filter on the way down.
        up: Upsampling factor.
        down: Downsampling factor.
        offset: Of the rise.
        size: Of the input.
        padded: Of the upsampled grid with its padding.
        step: In between.
    """

    rising: Pairs
    falling: Pairs
    up: int
    down: int
    offset: Extent
    size: Extent
    padded: Extent
    step: Activation

    @property
    def out_size(self) -> Extent:
        """Of the output."""
        height, width = (
            -(-(padded - up - down + 2) // self.down)
            for padded, up, down in zip(self.padded, _length(self.rising), _length(self.falling), strict=True)
        )
        assert min(height, width) > 0, "the filters are longer than the map"
        return height, width

    @property
    def rise(self) -> Rise:
        """U."""
        return Rise(self.rising, self.up, self.offset)

    @property
    def fall(self) -> Fall:
        """D: a convolution, so the taps are turned."""
        return Fall(_turned(self.falling), self.down, (0, 0), self.out_size)

    @property
    def fall_back(self) -> Rise:
        """The transpose of D."""
        return Rise(_turned(self.falling), self.down, (0, 0))

    @property
    def rise_back(self) -> Fall:
        """The transpose of U."""
        return Fall(self.rising, self.up, (-self.offset[0], -self.offset[1]), self.size)

    def run(self, sources: list[Source], fall: Fall) -> Tensor:
        """Rise, step, fall; samples of the fine grid that D does not read count as zero."""
        x = sources[0].x
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            way = polyphase if x.device.type == "cpu" and x.dtype != torch.float64 else banded
            return way(sources, self.step, fall, self.fall.span)


class _Forward(Function):
    """D s(U (x + bias))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, chain: _Chain) -> Tensor:
        ctx.chain = chain
        ctx.save_for_backward(x, bias)
        return chain.run([Source(x, bias, chain.rise)], chain.fall)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, bias = ctx.saved_tensors
        back = _Back.apply(grad, x, bias, ctx.chain)
        wanted = bias is not None and ctx.needs_input_grad[1]
        return back, back.sum(dim=(0, 2, 3), dtype=bias.dtype) if wanted else None, None


class _Back(Function):
    """U^T (s'(U (x + bias)) * D^T grad); constant in x and the bias almost everywhere."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, bias: Tensor | None, chain: _Chain) -> Tensor:
        ctx.chain = chain
        ctx.save_for_backward(x, bias)
        return chain.run([Source(x, bias, chain.rise), Source(grad, None, chain.fall_back)], chain.rise_back)

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, ...]:
        x, bias = ctx.saved_tensors
        return _Along.apply(direction, x, bias, ctx.chain), None, None, None


class _Along(Function):
    """D (s'(U (x + bias)) * U direction); constant in x and the bias almost everywhere."""

    @staticmethod
    def forward(ctx: Any, direction: Tensor, x: Tensor, bias: Tensor | None, chain: _Chain) -> Tensor:
        ctx.chain = chain
        ctx.save_for_backward(x, bias)
        return chain.run([Source(x, bias, chain.rise), Source(direction, None, chain.rise)], chain.fall)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, bias = ctx.saved_tensors
        return _Back.apply(grad, x, bias, ctx.chain), None, None, None


def separable(taps: Tensor | None) -> Pairs:
    """A filter as a sum of outer products, of as many as its number format can tell from zero.

    Args:
        taps: (taps,), (rows, columns) or None for the single tap 1.

    Returns:
        (vertical, horizontal) taps of each product, by the singular value decomposition, as many as the numerical rank:
        singular values up to the format's epsilon times the longer side times the largest one are rounding. Of the
        radial 12x12 filters (singular values 1, 1.1e-3, 2e-7, ...) float32 takes two products, float64 all.
    """
    if taps is None:
        return (((1.0,), (1.0,)),)
    if taps.is_inference():  # such tensors do not tell when they change
        return _decomposed(taps.cpu())
    version, pairs = _separated.get(taps, (None, ()))
    if version != taps._version:
        pairs = _decomposed(taps.detach().cpu())
        _separated[taps] = taps._version, pairs
    return pairs


def _decomposed(taps: Tensor) -> Pairs:
    if taps.ndim == 1:
        return ((tuple(taps.tolist()), tuple(taps.tolist())),)
    u, s, v = torch.linalg.svd(taps.double(), full_matrices=False)
    rounding = s[0] * max(taps.shape) * torch.finfo(taps.dtype).eps
    kept = max(1, int((s > rounding).sum()))
    return tuple((tuple((u[:, i] * s[i]).tolist()), tuple(v[i].tolist())) for i in range(kept))


def _scaled(pairs: Pairs, gain: float) -> Pairs:
    return tuple((tuple(tap * gain for tap in vertical), horizontal) for vertical, horizontal in pairs)


def _turned(pairs: Pairs) -> Pairs:
    return tuple((vertical[::-1], horizontal[::-1]) for vertical, horizontal in pairs)


def _length(pairs: Pairs) -> Extent:
    return len(pairs[0][0]), len(pairs[0][1])
