"""DCGAN at any (height, width) whose width is the height or half of it (Radford et al. 2016, section 3, figure 1)."""

import itertools

import torch
from torch import Tensor, nn

from reidgen.models.stylegan.generator import GeneratorNetwork, Noise
from reidgen.models.stylegan.precision import at_least_float32

START = 4  # height of the first map
SLOPE = 0.2
WEIGHT_STD = 0.02
MOST = 8  # channels of the smallest maps, in those of the largest


class Identity(nn.Module):
    """The latent itself is w: a DCGAN has no mapping network, and the mean of z is known.

    Attributes:
        w_avg: (w_dim,), zeros.
    """

    w_avg: Tensor

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        """(N, w_dim), as it is."""
        return z

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Move w (..., w_dim) towards the mean: psi * w."""
        return w if psi == 1 else w * psi

    def track(self, w: Tensor) -> None:
        """The mean does not follow a batch: it is zero."""


class Synthesis(nn.Module):
    """From z to the image: a projection, then transposed convolutions that double the map, with batch normalisation.

    In training mode an image depends on its batch; in evaluation mode the running statistics are used, and it does not.
    """

    def __init__(self, z_dim: int, *, size: tuple[int, int], width: int) -> None:
        super().__init__()
        channels = map_channels(size[0], width)[::-1]
        start = (START, START * size[1] // size[0])
        layers: list[nn.Module] = [nn.ConvTranspose2d(z_dim, channels[0], start, bias=False)]
        for fan_in, fan_out in itertools.pairwise(channels):
            layers += [nn.BatchNorm2d(fan_in), nn.ReLU(), _double(fan_in, fan_out, bias=False)]
        layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU(), _double(channels[-1], 3, bias=True), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _draw_weights(self)

    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """From ws (N, 1, z_dim) to images (N, 3, H, W), -1 to 1; there is no noise but z."""
        image: Tensor = self.layers(ws[:, 0, :, None, None])
        return at_least_float32(image)

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """None."""
        return []


class Generator(GeneratorNetwork):
    """DCGAN's generator, whose w is the latent z itself and is one for the whole image.

    Args:
        z_dim: Width of the latent z.
        size: (height, width) of the images; the height a power of two >= 16, the width equal to it or half of it.
        width: Channels at half the height; see `map_channels`.
    """

    def __init__(self, z_dim: int = 100, *, size: tuple[int, int], width: int = 64) -> None:
        super().__init__(z_dim, z_dim, size=size, layer_rates=(START,))
        self.mapping = Identity(z_dim)
        self.synthesis = Synthesis(z_dim, size=size, width=width)


class Discriminator(nn.Module):
    """Images -> one logit each, high for real ones; convolutions that halve the map, normalised but for the first.

    In training mode a logit depends on its batch, so real crops and fakes are judged in batches of their own.

    Args:
        size: (height, width) of the images; the height a power of two >= 16, the width equal to it or half of it.
        width: Channels at half the height; see `map_channels`.
    """

    def __init__(self, size: tuple[int, int], *, width: int = 64) -> None:
        super().__init__()
        channels = map_channels(size[0], width)
        layers: list[nn.Module] = [_halve(3, channels[0], bias=True), nn.LeakyReLU(SLOPE)]
        for fan_in, fan_out in itertools.pairwise(channels):
            layers += [_halve(fan_in, fan_out, bias=False), nn.BatchNorm2d(fan_out), nn.LeakyReLU(SLOPE)]
        layers.append(nn.Conv2d(channels[-1], 1, (START, START * size[1] // size[0])))
        self.layers = nn.Sequential(*layers)
        _draw_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), -1 to 1 -> logits (N, 1) in float32."""
        logits: Tensor = self.layers(images.contiguous(memory_format=torch.channels_last))
        return at_least_float32(logits.flatten(1))


def map_channels(height: int, width: int) -> list[int]:
    """Channels of the maps of height H / 2, H / 4, ... 4: `width`, doubling at each step, up to eight times as many."""
    halvings = (height // START).bit_length() - 1
    return [width * min(1 << i, MOST) for i in range(halvings)]


def _double(fan_in: int, fan_out: int, *, bias: bool) -> nn.Module:
    return nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1, bias=bias)


def _halve(fan_in: int, fan_out: int, *, bias: bool) -> nn.Module:
    return nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1, bias=bias)


def _draw_weights(network: nn.Module) -> None:
    """Weights N(0, 0.02^2), biases 0 (section 3)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, std=WEIGHT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
