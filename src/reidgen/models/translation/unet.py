"""The U-Net generator of pix2pix at any canvas (Isola et al. 2017, section 3.2.1 and appendix 6.1.1)."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reidgen.models.translation.blocks import SLOPE, Norm, channel_plan, draw_weights, halvings, laid_out, normalisation

KEPT = 0.5  # share of the activations that dropout keeps
DEEPEST = 8  # halvings of the paper's network, at 256x256
DROPPING = 3  # layers of the decoder with dropout, from the inside


class UNet(nn.Module):
    """Image and maps -> image: halve to the bottleneck, double back, each map beside the one of its size on the way in.

    The noise of the paper is dropout in the inner layers, in training and afterwards; here it is given, so that the
    same noise makes the same image. The innermost map is not normalised: with one pixel and one image it would be zero.

    Args:
        channels: Of the input: 3, and one for each map beside the crop.
        size: (height, width) of the images.
        width: Channels of the first map; they double with each halving, up to eight times.
        depth: Halvings; None takes as many as both sides allow, at most eight.
        norm: "instance" is what the paper's batch normalisation does with its batch of one image.
    """

    def __init__(
        self, channels: int, *, size: tuple[int, int], width: int = 64, depth: int | None = None, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        depth = min(halvings(size), DEEPEST) if depth is None else depth
        plan = channel_plan(depth, width)
        self.downs = nn.ModuleList([_halve(channels, plan[0])])
        for fan_in, fan_out in itertools.pairwise(plan):
            inner = len(self.downs) == depth - 1
            layers = [nn.LeakyReLU(SLOPE), _halve(fan_in, fan_out, bias=inner)]
            self.downs.append(nn.Sequential(*layers, *([] if inner else [normalisation(norm, fan_out)])))
        self.ups = nn.ModuleList()
        for level in range(depth - 1, 0, -1):
            fan_in = plan[level] * (1 if level == depth - 1 else 2)
            fan_out = plan[level - 1]
            self.ups.append(
                nn.Sequential(nn.ReLU(), _double(fan_in, fan_out, bias=False), normalisation(norm, fan_out))
            )
        last = plan[0] * (1 if depth == 1 else 2)
        self.last = nn.Sequential(nn.ReLU(), _double(last, 3, bias=True), nn.Tanh())
        dropped = [level for level in range(depth - 1, 0, -1) if plan[level - 1] == plan[-1]][:DROPPING]
        self.noise_shapes = [(plan[level - 1], size[0] >> level, size[1] >> level) for level in dropped]
        draw_weights(self)

    def forward(self, seen: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """From what is seen (N, channels, H, W), -1 to 1, to images (N, 3, H, W), -1 to 1, in float32.

        Args:
            seen: The crops, and the maps beside them.
            noise: What dropout keeps: bool (N, *shape) for each of `noise_shapes`; none switches dropout off.
        """
        skips = [self.downs[0](laid_out(seen))]
        for down in itertools.islice(self.downs, 1, None):
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up, kept in itertools.zip_longest(self.ups, noise[: len(self.ups)]):
            x = up(x)
            x = x if kept is None else x * kept / KEPT
            x = torch.cat([x, skips.pop()], dim=1)
        image: Tensor = self.last(x)
        return image.float()


def draw_noise(shapes: Sequence[tuple[int, int, int]], generators: Sequence[torch.Generator]) -> list[Tensor]:
    """What dropout keeps, bool (N, C, H, W) for each shape; an image's noise depends on its own generator alone."""
    return [torch.stack([torch.rand(shape, generator=one) < KEPT for one in generators]) for shape in shapes]


def _halve(fan_in: int, fan_out: int, *, bias: bool = True) -> nn.Module:
    return nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1, bias=bias)


def _double(fan_in: int, fan_out: int, *, bias: bool) -> nn.Module:
    return nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1, bias=bias)
