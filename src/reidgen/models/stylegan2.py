"""StyleGAN2 at any (height, width) whose width is the height or half of it (Karras et al. 2020: skip architecture)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reidgen.models.layers import GAIN, ModulatedConv, leaky_relu, upsample
from reidgen.models.stylegan.discriminator import Discriminator as Discriminator
from reidgen.models.stylegan.generator import GeneratorNetwork, Noise
from reidgen.models.stylegan.mapping import Mapping
from reidgen.models.stylegan.precision import HALF_RESOLUTIONS, HalfLayer, at_least_float32

START = 4  # height of the learned constant


class StyleLayer(HalfLayer):
    """Modulated convolution, noise, bias, leaky ReLU.

    Attributes:
        noise_strength: Learned factor of the noise, 0 at the start.
        noise_const: (H, W), the noise that is used where none is given.
    """

    noise_const: Tensor

    def __init__(self, fan_in: int, fan_out: int, w_dim: int, size: tuple[int, int], *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(fan_in, fan_out, 3, w_dim, up=up)
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """(N, in, H, W), (N, w_dim), noise (N, H, W) or None for the constant one -> (N, out, H', W')."""
        # the gain of the leaky ReLU is moved in front of it, where it costs nothing
        y = self.conv(self.enter(x), w, gain=GAIN)
        field = (self.noise_const[None] if noise is None else noise) * (self.noise_strength * GAIN)
        y = y + field[:, None].to(y.dtype)
        return self.leave(leaky_relu(y + (self.bias * GAIN).to(y.dtype)[:, None, None]))


class ToRGB(HalfLayer):
    """Modulated 1x1 convolution to three colours, without demodulation."""

    def __init__(self, fan_in: int, w_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(fan_in, 3, 1, w_dim)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in, H, W), (N, w_dim) -> (N, 3, H, W) in float32."""
        x = self.enter(x)
        count, fan_in, height, width = x.shape
        style = self.conv.affine(w) / math.sqrt(fan_in)
        weight = style[:, :, None] * self.conv.weight[:, :, 0, 0].t()
        # three outputs a pixel: a product with one small matrix a sample beats scaling the map
        pixels = x.permute(0, 2, 3, 1).reshape(count, height * width, fan_in)
        colours = at_least_float32(torch.bmm(pixels, weight.to(x.dtype))) + self.bias
        return self.leave(colours).view(count, height, width, 3).permute(0, 3, 1, 2)


class SynthesisBlock(nn.Module):
    """The layers of one resolution: an upsampling one (not in the first block), a plain one, and the colours."""

    def __init__(self, fan_in: int, fan_out: int, w_dim: int, size: tuple[int, int]) -> None:
        super().__init__()
        first = size[0] == START
        self.up = None if first else StyleLayer(fan_in, fan_out, w_dim, size, up=True)
        self.plain = StyleLayer(fan_out, fan_out, w_dim, size)
        self.to_rgb = ToRGB(fan_out, w_dim)

    def forward(
        self, x: Tensor, image: Tensor | None, styles: Sequence[Tensor], noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """Features and image so far, the w and noise of each layer -> features and image at this resolution."""
        if self.up is not None:
            x = self.up(x, styles[0], noise[0])
        x = self.plain(x, styles[-2], noise[-1])
        colours = self.to_rgb(x, styles[-1])
        return x, colours if image is None else upsample(image) + colours


class Synthesis(nn.Module):
    """From one w a layer to the image."""

    def __init__(self, w_dim: int, *, size: tuple[int, int], channel_base: int, channel_max: int) -> None:
        super().__init__()
        heights = block_heights(size)
        aspect = size[0] // size[1]
        channels = [min(channel_base // height, channel_max) for height in heights]
        self.const = nn.Parameter(torch.randn(channels[0], START, START // aspect))
        self.blocks = nn.ModuleDict(
            {
                str(height): SynthesisBlock(fan_in, fan_out, w_dim, (height, height // aspect))
                for height, fan_in, fan_out in zip(heights, [channels[0], *channels], channels, strict=False)
            }
        )

    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """From ws (N, num_ws, w_dim) to images (N, 3, H, W), about -1 to 1; noise: one (N, H, W) a layer."""
        layers = len(self.noise_shapes)
        fields: list[Tensor | None] = [None] * layers if isinstance(noise, str) else list(noise)
        assert len(fields) == layers, "one noise field a layer"
        styles = ws.unbind(dim=1)
        x = self.const[None].expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image, at = None, 0
        for block in self.blocks.values():
            count = 1 if block.up is None else 2
            # the colours share their w with the first layer of the next block
            x, image = block(x, image, styles[at : at + count + 1], fields[at : at + count])
            at += count
        assert image is not None
        return image

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """(height, width) of the noise of each layer, in order."""
        layers = [layer for layer in self.modules() if isinstance(layer, StyleLayer)]
        return [(layer.noise_const.shape[0], layer.noise_const.shape[1]) for layer in layers]


class Generator(GeneratorNetwork):
    """StyleGAN2's generator.

    Args:
        z_dim: Width of the latent z.
        w_dim: Width of the style w.
        size: (height, width) of the images; the height a power of two >= 8, the width equal to it or half of it.
        channel_base: Channels at height h are min(channel_base / h, channel_max).
        channel_max: See channel_base.
        mapping_layers: Layers of the mapping network.
    """

    synthesis: Synthesis

    def __init__(
        self,
        z_dim: int = 512,
        w_dim: int = 512,
        *,
        size: tuple[int, int],
        channel_base: int = 16384,
        channel_max: int = 512,
        mapping_layers: int = 2,
    ) -> None:
        super().__init__(z_dim, w_dim, size=size, layer_rates=layer_heights(size))
        self.mapping = Mapping(z_dim, w_dim, layers=mapping_layers)
        self.synthesis = Synthesis(w_dim, size=size, channel_base=channel_base, channel_max=channel_max)

    def half_layers(self) -> list[HalfLayer]:
        """The layers of the four highest resolutions, see `models.precision`."""
        highest = list(self.synthesis.blocks.values())[-HALF_RESOLUTIONS:]
        return [layer for block in highest for layer in block.modules() if isinstance(layer, HalfLayer)]


def block_heights(size: tuple[int, int]) -> list[int]:
    """Heights of the blocks, 4, 8, ..., H."""
    height, width = size
    power_of_two = height >= 2 * START and height & (height - 1) == 0
    assert power_of_two and width in (height, height // 2), f"{size} has no StyleGAN2"
    return [START << i for i in range(int(math.log2(height // START)) + 1)]


def layer_heights(size: tuple[int, int]) -> list[int]:
    """The height at which each w acts; the last one, of the final colours alone, counts with its block."""
    heights = block_heights(size)
    return [heights[0], *[height for height in heights[1:] for _ in range(2)], heights[-1]]
