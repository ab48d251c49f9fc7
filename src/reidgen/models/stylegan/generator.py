"""What every generator network has in common: z -> mapping -> w, one w a layer -> synthesis -> image."""

from collections.abc import Sequence
from typing import Literal, Protocol

from torch import Tensor, nn

from reidgen.models.stylegan.precision import HalfLayer

Noise = Sequence[Tensor] | Literal["const"]


class Mapper(Protocol):
    """From the latent z to w."""

    @property
    def w_avg(self) -> Tensor:
        """(w_dim,), mean of w."""

    def __call__(self, z: Tensor) -> Tensor:
        """From z (N, z_dim) to w (N, w_dim)."""

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Move w (..., w_dim) towards the mean: w_avg + psi * (w - w_avg)."""

    def track(self, w: Tensor) -> None:
        """Let the mean follow a batch (N, w_dim) of w."""


class Synthesizer(Protocol):
    """From one w a layer to the image."""

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """(height, width) of the noise of each layer, in order; empty for networks without noise."""

    def __call__(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """From ws (N, num_ws, w_dim) to images (N, 3, H, W), about -1 to 1; noise: one (N, H, W) a layer."""


class GeneratorNetwork(nn.Module):
    """A generator whose layers each take a w.

    Attributes:
        z_dim: Width of the latent z.
        w_dim: Width of the style w.
        size: (height, width) of the images.
        layer_rates: The height in pixels (StyleGAN3: the sampling rate) at which each w acts, in order.
        mapping: z (N, z_dim) -> w (N, w_dim), and the mean of w.
        synthesis: ws (N, num_ws, w_dim) -> images.
    """

    mapping: Mapper
    synthesis: Synthesizer

    def __init__(self, z_dim: int, w_dim: int, *, size: tuple[int, int], layer_rates: Sequence[int]) -> None:
        super().__init__()
        self.z_dim, self.w_dim, self.size = z_dim, w_dim, size
        self.layer_rates = tuple(layer_rates)

    @property
    def num_ws(self) -> int:
        """How many w the synthesis takes."""
        return len(self.layer_rates)

    @property
    def largest_map(self) -> int:
        """How many numbers the largest map of one image has, about: what decides how many images fit in memory."""
        return 64 * self.size[0] * self.size[1]

    def half_layers(self) -> list[HalfLayer]:
        """The layers that can compute in half precision, see `models.precision`."""
        return []

    def styles(self, z: Tensor, *, psi: float = 1.0) -> Tensor:
        """From z (N, z_dim) to ws (N, num_ws, w_dim), truncated by psi."""
        return self.spread(self.mapping.truncate(self.mapping(z), psi))

    def spread(self, w: Tensor) -> Tensor:
        """The same w (N, w_dim) for every layer: (N, num_ws, w_dim)."""
        return w[:, None].expand(-1, self.num_ws, -1)

    def forward(self, z: Tensor, *, psi: float = 1.0, noise: Noise = "const") -> Tensor:
        """From z (N, z_dim) to images (N, 3, H, W), about -1 to 1."""
        return self.synthesis(self.styles(z, psi=psi), noise)
