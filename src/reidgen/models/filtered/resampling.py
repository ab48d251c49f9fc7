"""What a filtered pointwise step is, for all ways to compute it: taps, phases, grids.

A *rise* leads to the fine grid: y[m] = sum over i of f[m + offset - factor * i] * x[i] along each axis. A *fall* leads
back: y[q] = sum over k of f[k] * t[start + factor * q + k]. A filter of two dimensions is a sum of outer products of
vertical and horizontal taps; one product is a separable filter.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Taps = tuple[float, ...]
Pairs = tuple[tuple[Taps, Taps], ...]  # (vertical, horizontal), summed over
Extent = tuple[int, int]  # along (height, width)


@dataclass(frozen=True)
class Rise:
    """The way to the fine grid: `factor` samples there for each one here."""

    pairs: Pairs
    factor: int
    offset: Extent


@dataclass(frozen=True)
class Fall:
    """The way back to a coarse grid of `size`, from the sample `start` of the fine one on."""

    pairs: Pairs
    factor: int
    start: Extent
    size: Extent

    @property
    def span(self) -> Extent:
        """How many samples of the fine grid it reads."""
        vertical, horizontal = self.pairs[0]
        return (self.size[0] - 1) * self.factor + len(vertical), (self.size[1] - 1) * self.factor + len(horizontal)


@dataclass(frozen=True)
class Source:
    """A map (N, C, H, W) that rises, with or without a bias (C,) that is added before."""

    x: Tensor
    bias: Tensor | None
    rise: Rise


@dataclass(frozen=True)
class Activation:
    """The pointwise step f(x) = clamp(leaky ReLU(x), -limit, limit)."""

    slope: float
    limit: float

    def apply(self, x: Tensor, out: Tensor, *, bound: float = math.inf) -> None:
        """Write f(x) to `out`; no |x| is above `bound`."""
        torch.ops.aten.leaky_relu.out(x, self.slope, out=out)
        if not bound <= self.limit:  # NaN counts as beyond
            out.clamp_(-self.limit, self.limit)

    def derivative(self, x: Tensor, y: Tensor, out: Tensor, *, bound: float = math.inf) -> None:
        """Write f'(x) * y to `out`; no |x| is above `bound`."""
        torch.ops.aten.leaky_relu_backward.grad_input(y, x, self.slope, False, grad_input=out)
        if not bound <= self.limit:  # NaN counts as beyond
            low = -self.limit / self.slope if self.slope > 0 else -math.inf
            out.masked_fill_((x > self.limit).logical_or_(x < low), 0)


def phases(taps: Taps, factor: int, offset: int) -> tuple[list[list[float]], int]:
    """A rise along one axis as one correlation a phase.

    Args:
        taps: The filter f.
        factor: Of the rise.
        offset: Of the rise.

    Returns:
        kernels: One of equal length for each of the `factor` phases.
        first: y[factor * q + p] = sum over k of kernels[p][k] * x[q + first + k].
    """
    length = -(-len(taps) // factor)
    shifts = [divmod(p + offset, factor) for p in range(factor)]
    first = shifts[0][0] - (length - 1)
    kernels = [[0.0] * (shifts[-1][0] - first + 1) for _ in range(factor)]
    for kernel, (shift, rest) in zip(kernels, shifts, strict=True):
        for t, tap in enumerate(taps[rest::factor]):
            kernel[shift - t - first] = tap
    return kernels, first
