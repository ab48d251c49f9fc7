"""The patch discriminator of pix2pix: one logit for each overlapping patch (Isola et al. 2017, appendix 6.1.2)."""

import itertools

from torch import Tensor, nn

from reidgen.models.translation.blocks import SLOPE, Norm, channel_plan, draw_weights, laid_out, normalisation

KERNEL = 4


class PatchDiscriminator(nn.Module):
    """What is seen -> logits of its patches, high for real ones; with 3 halvings a patch is 70x70 pixels.

    Args:
        channels: Of the input: 3, and 3 or more for the condition.
        width: Channels of the first map; they double, up to eight times.
        layers: Convolutions that halve the map: 1, 3 and 5 are the 16x16, 70x70 and 286x286 of the paper.
        norm: Normalisation of all maps but the first.
    """

    def __init__(self, channels: int, *, width: int = 64, layers: int = 3, norm: Norm = "batch") -> None:
        super().__init__()
        plan = channel_plan(layers + 1, width)
        steps: list[nn.Module] = [nn.Conv2d(channels, plan[0], KERNEL, 2, 1), nn.LeakyReLU(SLOPE)]
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(plan)):
            stride = 2 if i + 1 < layers else 1
            steps += [nn.Conv2d(fan_in, fan_out, KERNEL, stride, 1, bias=False), normalisation(norm, fan_out)]
            steps.append(nn.LeakyReLU(SLOPE))
        steps.append(nn.Conv2d(plan[-1], 1, KERNEL, 1, 1))
        self.layers = nn.Sequential(*steps)
        draw_weights(self)

    def forward(self, seen: Tensor) -> Tensor:
        """(N, channels, H, W), -1 to 1 -> logits (N, 1, h, w) in float32."""
        logits: Tensor = self.layers(laid_out(seen))
        return logits.float()


def most_layers(size: tuple[int, int], *, wanted: int = 3) -> int:
    """The halvings, up to those wanted, that leave a logit: each side must be 3 pixels or more after them."""
    return max((layers for layers in range(1, wanted + 1) if min(size) >> layers >= 3), default=0)
