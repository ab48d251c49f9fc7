"""StyleGAN3 in its configurations T and R, at any (height, width) whose width is the height or half of it.

Karras et al. 2021, *Alias-free generative adversarial networks*. On the rectangle everything is defined in image
heights, so the canvas is a window onto the same field that a square one shows more of.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.models.filtered.filter_design import lowpass, radial_lowpass
from reidgen.models.filtered.filtered_lrelu import filtered_lrelu
from reidgen.models.layers import DEMOD_EPS, GAIN, SLOPE, EqualLinear
from reidgen.models.stylegan.fourier import FourierInput
from reidgen.models.stylegan.generator import GeneratorNetwork, Noise
from reidgen.models.stylegan.mapping import Mapping
from reidgen.models.stylegan.modulated_conv import modulated_conv
from reidgen.models.stylegan.precision import CLAMP, HALF_RESOLUTIONS, HalfLayer, at_least_float32
from reidgen.models.stylegan.schedule import LAYERS, Config, LayerPlan, filter_taps, schedule

OUTPUT_SCALE = 0.25
MAGNITUDE_HALF_LIFE = 20_000  # images


class SynthesisLayer(HalfLayer):
    """Modulated convolution, bias, leaky ReLU between an upsampling and a downsampling filter.

    Attributes:
        plan: Rates, sizes and channels.
        affine: w -> scale of each input channel; its bias starts at 1.
        weight: (out, in, k, k), drawn from N(0, 1).
        bias: (out,).
        magnitude_ema: Running mean of the squared input, whose root the input is divided by; follows in training mode.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, w_dim: int, plan: LayerPlan) -> None:
        super().__init__()
        self.plan = plan
        fan_in, fan_out = plan.before.channels, plan.after.channels
        self.affine = EqualLinear(w_dim, fan_in, bias=1.0)
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in, plan.kernel, plan.kernel))
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.register_buffer("magnitude_ema", torch.ones([]))
        for name, taps in layer_filters(plan).items():
            self.register_buffer(name, taps, persistent=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in, H, W), (N, w_dim) -> (N, out, H', W'), channels_last in memory."""
        x = self.enter(x)
        if self.training:
            self._track(x)
        y = modulated_conv(x, *self._factors(w), crop=self.plan.crop)
        if self.plan.colours:
            return (y + self.bias.to(y.dtype)[:, None, None]).clamp(-CLAMP, CLAMP)
        return filtered_lrelu(
            y,
            self.up_filter,
            self.down_filter,
            bias=self.bias,
            up=self.plan.up,
            down=self.plan.down,
            padding=self.plan.padding_after_crop,
            gain=GAIN,
            slope=SLOPE,
            clamp=CLAMP,
        )

    def _factors(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights over the input's magnitude, factors of each sample's inputs (N, in) and of its outputs (N, out)."""
        gain = self.magnitude_ema.rsqrt()
        style, fan_in = self.affine(w), self.weight[0].numel()
        if self.plan.colours:
            return self.weight * (gain / math.sqrt(fan_in)), style, style.new_ones(len(style), 3)
        # weights and styles of unit size keep float16 far from its limits
        style = style * (style.square().mean(dim=1, keepdim=True) + DEMOD_EPS).rsqrt()
        energy = self.weight.square().sum(dim=(2, 3))
        scale = energy.sum(dim=1).rsqrt()
        sums = functional.linear(style.square(), energy * scale.square()[:, None])
        return self.weight * (scale * gain)[:, None, None, None], style, (sums + DEMOD_EPS / fan_in).rsqrt()

    @torch.no_grad()
    def _track(self, x: Tensor) -> None:
        """Let the magnitude follow the batch, with a half-life of 20,000 images (Karras et al. 2021, section 3.1)."""
        mean_square = at_least_float32(torch.linalg.vector_norm(x, dtype=self.bias.dtype)).square() / x.numel()
        self.magnitude_ema.lerp_(mean_square, 1 - 0.5 ** (len(x) / MAGNITUDE_HALF_LIFE))


class Synthesis(nn.Module):
    """From one w a layer to the image.

    Attributes:
        input: The waves, moved by the first w.
        layers: One a w of the rest.
    """

    def __init__(
        self, w_dim: int, *, size: tuple[int, int], config: Config, channel_base: int, channel_max: int, layers: int
    ) -> None:
        super().__init__()
        plans = schedule(size, config=config, channel_base=channel_base, channel_max=channel_max, layers=layers)
        first = plans[0].before
        self.input = FourierInput(w_dim, first.channels, size=first.size, rate=first.rate, bandwidth=first.cutoff)
        self.layers = nn.ModuleList(SynthesisLayer(w_dim, plan) for plan in plans)

    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """From ws (N, num_ws, w_dim) to images (N, 3, H, W), about -1 to 1; there is no noise to give."""
        assert len(noise) == 0 or noise == "const", "StyleGAN3 has no noise"
        styles = ws.unbind(dim=1)
        x = self.input(styles[0])
        for layer, w in zip(self.layers, styles[1:], strict=True):
            x = layer(x, w)
        return at_least_float32(x) * OUTPUT_SCALE

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """None: an empty list."""
        return []


class Generator(GeneratorNetwork):
    """StyleGAN3's generator.

    Args:
        z_dim: Width of the latent z.
        w_dim: Width of the style w.
        size: (height, width) of the images; the height a power of two >= 16, the width equal to it or half of it.
        config: "t" is equivariant to translation, "r" also to rotation; published with twice the channels.
        channel_base: Channels at cutoff f cycles per image height are min(channel_base / (2 f), channel_max).
        channel_max: See channel_base.
        mapping_layers: Layers of the mapping network.
        layers: Layers of the synthesis network, besides the one that writes colours.
    """

    def __init__(
        self,
        z_dim: int = 512,
        w_dim: int = 512,
        *,
        size: tuple[int, int],
        config: Config,
        channel_base: int = 32768,
        channel_max: int = 512,
        mapping_layers: int = 2,
        layers: int = LAYERS,
    ) -> None:
        plans = schedule(size, config=config, channel_base=channel_base, channel_max=channel_max, layers=layers)
        super().__init__(z_dim, w_dim, size=size, layer_rates=[plans[0].before.rate, *[p.after.rate for p in plans]])
        self._largest_map = max(plan.after.channels * math.prod(plan.after.size) for plan in plans)
        self.mapping = Mapping(z_dim, w_dim, layers=mapping_layers)
        self.synthesis: Synthesis = Synthesis(
            w_dim, size=size, config=config, channel_base=channel_base, channel_max=channel_max, layers=layers
        )

    @property
    def largest_map(self) -> int:
        """How many numbers the largest map of one image has, margins included."""
        return self._largest_map

    def half_layers(self) -> list[HalfLayer]:
        """The layers of the four highest sampling rates, which may compute in half precision."""
        layers = [layer for layer in self.synthesis.layers if isinstance(layer, SynthesisLayer)]
        return [layer for layer in layers if layer.plan.after.rate * 2**HALF_RESOLUTIONS > self.size[0]]


def layer_filters(plan: LayerPlan) -> dict[str, Tensor | None]:
    """A layer's `up_filter` (taps,) and `down_filter`, (taps,) or radial (taps, taps); None where there is none."""
    if plan.colours:
        return {"up_filter": None, "down_filter": None}
    before, after, rate = plan.before, plan.after, plan.inner_rate
    up = lowpass(filter_taps(plan.up), cutoff=before.cutoff, half_width=before.half_width, rate=rate)
    design = radial_lowpass if plan.radial else lowpass
    down = design(filter_taps(plan.down), cutoff=after.cutoff, half_width=after.half_width, rate=rate)
    return {"up_filter": up.float(), "down_filter": down.float()}
