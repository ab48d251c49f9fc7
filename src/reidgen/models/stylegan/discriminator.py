"""The residual discriminator of StyleGAN2 and StyleGAN3 (Karras et al. 2020, CVPR, section 4.1)."""

import math

import torch
from torch import Tensor, nn

from reidgen.models.layers import GAIN, EqualConv, EqualLinear, leaky_relu
from reidgen.models.stylegan.precision import HALF_RESOLUTIONS, HalfLayer, at_least_float32

END = 4  # height of the last map


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second halving the map, beside a 1x1 convolution; both branches scaled by sqrt(1/2)."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.conv0 = EqualConv(fan_in, fan_in, 3)
        self.conv1 = EqualConv(fan_in, fan_out, 3, stride=2)
        self.skip = EqualConv(fan_in, fan_out, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / 2, W / 2)."""
        half = math.sqrt(0.5)
        return self.conv1(self.conv0(x), gain=half) + self.skip(x, activate=False, gain=half)


class Discriminator(nn.Module):
    """Images -> one logit each, high for real ones.

    Args:
        size: (height, width) of the images; the height a power of two >= 8, the width equal to it or half of it.
        channel_base: Channels at height h are min(channel_base / h, channel_max).
        channel_max: See channel_base.
        mbstd_group: Samples that share a minibatch statistic (Karras et al. 2018, section 3); the largest divisor of
            the batch up to this number is taken.
    """

    def __init__(
        self, size: tuple[int, int], *, channel_base: int = 16384, channel_max: int = 512, mbstd_group: int = 4
    ) -> None:
        super().__init__()
        self.size, self.mbstd_group = size, mbstd_group
        heights = [size[0] >> i for i in range(int(math.log2(size[0] // END)) + 1)]
        channels = [min(channel_base // height, channel_max) for height in heights]
        self.from_rgb = EqualConv(3, channels[0], 1)
        self.blocks = nn.ModuleDict(
            {str(height): ResidualBlock(a, b) for height, a, b in zip(heights, channels, channels[1:], strict=False)}
        )
        last, pixels = channels[-1], END * END * size[1] // size[0]
        self.conv = EqualConv(last + 1, last, 3)
        self.hidden = EqualLinear(last * pixels, last)
        self.logit = EqualLinear(last, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), -1 to 1 -> logits (N, 1)."""
        x = self.from_rgb(images.contiguous(memory_format=torch.channels_last))
        for block in self.blocks.values():
            x = block(x)
        x = self.conv(append_minibatch_std(at_least_float32(x), group=self.mbstd_group))
        return self.logit(leaky_relu(self.hidden(x.flatten(1)) * GAIN))

    def highest_blocks(self, count: int) -> list[nn.Module]:
        """The layers of the `count` highest resolutions, the ones that Freeze-D keeps fixed (Mo et al. 2020)."""
        return [self.from_rgb, *list(self.blocks.values())[:count]] if count else []

    def half_layers(self) -> list[HalfLayer]:
        """The layers of the four highest resolutions, see `models.precision`."""
        highest = self.highest_blocks(HALF_RESOLUTIONS)
        return [layer for part in highest for layer in part.modules() if isinstance(layer, HalfLayer)]


def append_minibatch_std(x: Tensor, *, group: int) -> Tensor:
    """Append a channel with the mean standard deviation over a group of samples (Karras et al. 2018, section 3).

    Args:
        x: (N, C, H, W). Sample i is in one group with i + N/G, i + 2N/G, ...
        group: Upper bound of the group size G, the largest divisor of N that is not above it.
    """
    count, _, height, width = x.shape
    size = next(g for g in range(min(group, count), 0, -1) if count % g == 0)
    grouped = x.reshape(size, count // size, *x.shape[1:])
    deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, deviation.repeat(size)[:, None, None, None].expand(-1, 1, height, width)], dim=1)
