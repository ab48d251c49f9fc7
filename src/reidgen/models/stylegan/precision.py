"""Half precision where it pays: in the layers of the four highest resolutions.

The scheme of Karras et al. (2020, NeurIPS, appendix D): these layers hold nearly all the memory and the time; the rest,
the styles, and all parameters stay in float32. In float16 a layer clamps what it puts out to +-256, far below the
largest number and at a bound that healthy trainings do not reach; bfloat16 has float32's range and needs no clamp,
which would cost a fifth of a training step on a CPU.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

CLAMP = 256.0
HALF_RESOLUTIONS = 4  # the highest ones


class HalfLayer(nn.Module):
    """A layer that can compute in half precision.

    Attributes:
        half_dtype: Number format in which the layer computes; None is float32 (or float64, where its input is).
    """

    half_dtype: torch.dtype | None = None

    def enter(self, x: Tensor) -> Tensor:
        """The input in the layer's number format."""
        return at_least_float32(x) if self.half_dtype is None else x.to(self.half_dtype)

    def leave(self, x: Tensor) -> Tensor:
        """The output, clamped as `clamp` says."""
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    @property
    def clamp(self) -> float | None:
        """The bound of the layer's output: 256 in float16, none otherwise."""
        return CLAMP if self.half_dtype == torch.float16 else None


class HalfNetwork(Protocol):
    """A network some of whose layers can compute in half precision."""

    def half_layers(self) -> Sequence[HalfLayer]:
        """Those layers: the ones of the four highest resolutions."""


def use_half(network: HalfNetwork, dtype: torch.dtype | None) -> None:
    """Let the layers of the four highest resolutions compute in a half precision, or with None in float32 again."""
    for layer in network.half_layers():
        layer.half_dtype = dtype


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor in float32 where it was coarser; float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
