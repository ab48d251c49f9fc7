"""The mapping network z -> w of the style generators."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.models.layers import GAIN, SLOPE, EqualLinear

LR_SCALE = 0.01
AVERAGE_DECAY = 0.998


class Mapping(nn.Module):
    """Fully connected layers on the normalised z (Karras et al. 2019, section 2), and the mean of w for truncation.

    Attributes:
        layers: `EqualLinear` layers, learning 100 times more slowly than the rest.
        w_avg: (w_dim,), mean of w.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, *, layers: int) -> None:
        super().__init__()
        widths = itertools.chain([z_dim], itertools.repeat(w_dim, layers))
        self.layers = nn.ModuleList(EqualLinear(a, b, lr_scale=LR_SCALE) for a, b in itertools.pairwise(widths))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        """(N, z_dim) -> (N, w_dim)."""
        x = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE) * GAIN
        return x

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Move w (..., w_dim) towards the mean: w_avg + psi * (w - w_avg). Karras et al. 2019, appendix B."""
        return w if psi == 1 else self.w_avg.lerp(w, psi)

    @torch.no_grad()
    def track(self, w: Tensor) -> None:
        """Let the mean follow a batch (N, w_dim) of w, decay 0.998."""
        self.w_avg.lerp_(w.detach().to(self.w_avg.dtype).mean(dim=0), 1 - AVERAGE_DECAY)
