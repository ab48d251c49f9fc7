"""Convolutions of 3x3 on CPUs where the weights are large and the map is small, as at the end of a residual network.

A plain convolution goes through all weights once a sample. With 512 x 512 x 9 of them (9 MB) on a map of 4x2 the cores
then wait for memory most of the time. Here each of the nine taps is one matrix product over the pixels of the whole
batch: the weights are read once a batch, and products with the zeros outside the map are left out.
"""

from typing import Any

import torch
from torch import Tensor, nn

KERNEL, MIDDLE = 3, 1
MOST_PIXELS = 32  # of a map; above them a plain convolution is as fast
LEAST_WEIGHTS = 2**19  # 2 MB: smaller ones stay in the cache from sample to sample

Span = tuple[slice, slice]


class WideConv(nn.Conv2d):
    """A 3x3 convolution of stride 1 without bias; trainings on a CPU compute it tap by tap where that is faster."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width, KERNEL, padding=KERNEL // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width, H, W)."""
        if not pays(x, self.weight):
            return super().forward(x)
        found = _ByTaps.apply(x, self.weight)
        assert isinstance(found, Tensor)
        return found


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether the taps are faster and allowed: weights (out, in, 3, 3) that learn, in float32 on a CPU.

    Without gradient the plain convolution stays: there the result of a sample does not depend on the size of its batch.
    """
    learns = torch.is_grad_enabled() and weight.requires_grad and not torch.compiler.is_compiling()
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return learns and plain and x.shape[2] * x.shape[3] <= MOST_PIXELS and weight.numel() >= LEAST_WEIGHTS


class _ByTaps(torch.autograd.Function):
    """conv2d(x, weight, padding=1), pixels as rows: (N, H, W, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _summed(x, weight.permute(2, 3, 1, 0), backwards=False)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (slope,), (x, weight) = slopes, ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient shall have gradients itself
            return _plain_gradients(slope, x, weight, ctx.needs_input_grad)
        wanted = ctx.needs_input_grad
        by_x = _summed(slope, weight.permute(2, 3, 0, 1), backwards=True) if wanted[0] else None
        return by_x, _by_weight(slope, x, weight) if wanted[1] else None


def _summed(x: Tensor, taps: Tensor, *, backwards: bool) -> Tensor:
    """Sum over taps (3, 3, in, out) of the shifted x (N, in, H, W) times each; backwards they shift the other way."""
    rows = x.permute(0, 2, 3, 1)
    summed = torch.mm(rows.reshape(-1, x.shape[1]), taps[MIDDLE, MIDDLE]).view(*rows.shape[:3], taps.shape[3])
    for (i, j), one, other in _spans(x.shape[2], x.shape[3]):
        source, target = (other, one) if backwards else (one, other)
        if (i, j) != (MIDDLE, MIDDLE):
            part = summed[:, target[0], target[1]]
            pixels = rows[:, source[0], source[1]].reshape(-1, x.shape[1])
            part += torch.mm(pixels, taps[i, j]).view(part.shape)
    return summed.permute(0, 3, 1, 2)


def _by_weight(slope: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the weights, in their memory order."""
    every = min(x.shape[2:]) > MIDDLE  # else some taps meet nothing but zeros
    found = torch.empty_like(weight) if every else torch.zeros_like(weight)
    rows, slopes, taps = x.permute(0, 2, 3, 1), slope.permute(0, 2, 3, 1), found.permute(2, 3, 0, 1)
    for (i, j), source, target in _spans(x.shape[2], x.shape[3]):
        pixels = rows[:, source[0], source[1]].reshape(-1, x.shape[1])
        torch.mm(slopes[:, target[0], target[1]].reshape(-1, slope.shape[1]).t(), pixels, out=taps[i, j])
    return found


def _plain_gradients(
    slope: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    mask = [wanted[0], wanted[1], False]
    ones = [1, 1]
    by_x, by_weight, _ = torch.ops.aten.convolution_backward(
        slope, x, weight, None, ones, ones, ones, False, [0, 0], 1, mask
    )
    return by_x, by_weight


def _spans(height: int, width: int) -> list[tuple[tuple[int, int], Span, Span]]:
    """Each tap that meets the map: its place, the (rows, columns) that it reads, and those that it writes."""
    places = [(i, j) for i in range(KERNEL) for j in range(KERNEL) if abs(i - MIDDLE) < height]
    return [
        ((i, j), (_part(i, height), _part(j, width)), (_part(2 * MIDDLE - i, height), _part(2 * MIDDLE - j, width)))
        for i, j in places
        if abs(j - MIDDLE) < width
    ]


def _part(place: int, length: int) -> slice:
    """The numbers of an axis that stay within it after a step of `place` - 1 back."""
    step = place - MIDDLE
    return slice(max(step, 0), length + min(step, 0))
