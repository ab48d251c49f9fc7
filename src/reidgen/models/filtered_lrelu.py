"""Leaky ReLU between an upsampling and a downsampling low-pass filter (Karras et al. 2021, section 3.2).

Both filters are applied as separable passes of banded matrices.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


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
    times `gain`, clamp to +-`clamp`, convolve with `down_filter`, keep every `down`-th sample.

    Args:
        x: (N, C, H, W).
        up_filter: (taps,) of a separable filter, or (rows, columns); None is the single tap 1.
        down_filter: The same for the way down.
        bias: (C,).
        up: Upsampling factor.
        down: Downsampling factor.
        padding: (left, right, top, bottom) in samples of the upsampled grid; negative crops.
        gain: Factor after the leaky ReLU.
        slope: Of the leaky ReLU for negative values.
        clamp: Greatest magnitude after the gain; None for no limit.

    Returns:
        (N, C, H', W') with H' = ceil((H * up + top + bottom - up taps - down taps + 2) / down), and so for W'.
        Karras et al. 2021, *Alias-free generative adversarial networks*, section 3.2 and appendix F.
    """
    left, right, top, bottom = padding
    if bias is not None:
        x = x + bias.to(x.dtype)[:, None, None]
    y = _filter(x, up_filter, rates=(up, 1), rows=(top, bottom), columns=(left, right), gain=up * up)
    y = functional.leaky_relu(y, slope) * gain
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return _filter(y, down_filter, rates=(1, down), rows=(0, 0), columns=(0, 0), gain=1.0)


def _filter(
    x: Tensor,
    taps: Tensor | None,
    *,
    rates: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    gain: float,
) -> Tensor:
    passes = []
    for vertical, horizontal in _separated(taps):
        across = _band(horizontal, x.shape[3], rates, columns).to(x)
        along = _band(vertical, x.shape[2], rates, rows).to(x)
        passes.append(along @ (x @ across.T))
    return sum(passes[1:], passes[0]) * gain


def _separated(taps: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    if taps is None:
        return [(torch.ones(1), torch.ones(1))]
    if taps.ndim == 1:
        return [(taps, taps)]
    u, s, v = torch.linalg.svd(taps.double())
    kept = int((s > s[0] * torch.finfo(taps.dtype).eps).sum())
    return [(u[:, i] * s[i], v[i]) for i in range(kept)]


def _band(taps: Tensor, size: int, rates: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Matrix (out, size) of zero insertion, padding, convolution and decimation along one axis."""
    up, down = rates
    out = -(-(size * up + sum(padding) - len(taps) + 1) // down)
    tap = torch.arange(out)[:, None] * down + len(taps) - 1 - padding[0] - torch.arange(size) * up
    inside = (tap >= 0) & (tap < len(taps))
    return torch.where(inside, taps.double().cpu()[tap.clamp(0, len(taps) - 1)], 0.0)
