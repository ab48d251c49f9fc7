"""StarGAN's discriminator: real or not for each patch, and which domain, at any canvas (Choi et al. 2018, table 5)."""

import itertools

from torch import Tensor, nn

from reidgen.models.translation.blocks import halvings, laid_out

SLOPE = 0.01
DEEPEST = 6  # halvings of the paper's network


class LabelDiscriminator(nn.Module):
    """Images -> logits of patches and of domains. Its weights start as torch's do: the paper does not say how.

    Args:
        domains: How many there are.
        size: (height, width) of the images; the last map has what is left after the halvings, 2x1 for 128x64.
        width: Channels of the first map; they double with each halving.
        depth: Halvings; None takes as many as both sides allow, at most six.
    """

    def __init__(self, domains: int, *, size: tuple[int, int], width: int = 64, depth: int | None = None) -> None:
        super().__init__()
        depth = min(halvings(size), DEEPEST) if depth is None else depth
        plan = [3, *[width << i for i in range(depth)]]
        steps: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(plan):
            steps += [nn.Conv2d(fan_in, fan_out, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*steps)
        self.source = nn.Conv2d(plan[-1], 1, 3, padding=1, bias=False)
        self.domain = nn.Conv2d(plan[-1], domains, (size[0] >> depth, size[1] >> depth), bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W), -1 to 1 -> patches (N, 1, h, w) and domains (N, domains), in float32."""
        x = self.layers(laid_out(images))
        return self.source(x).float(), self.domain(x).flatten(1).float()
