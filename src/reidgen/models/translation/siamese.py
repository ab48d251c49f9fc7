"""SPGAN's similarity network, whose distances tell people apart (Deng et al. 2018, section 3.2)."""

import itertools

from torch import Tensor, nn

from reidgen.models.translation.blocks import SLOPE, draw_weights, laid_out
from reidgen.models.translation.unet import KEPT

CONVOLUTIONS, HIDDEN = 4, 128


class SimilarityNetwork(nn.Module):
    """Images -> points on the unit sphere: four convolutions that halve, each with a pooling that halves, then 128, 64.

    At 256x256 the map ends at 1x1, as published. At a smaller canvas a pooling halves only the sides that leave two
    pixels to every convolution after it.

    Args:
        size: (height, width) of the images, 16 or more.
        width: Channels of the first map; they double with each convolution.
    """

    def __init__(self, size: tuple[int, int], *, width: int = 64) -> None:
        super().__init__()
        plan = [3, *[width << i for i in range(CONVOLUTIONS)]]
        steps: list[nn.Module] = []
        sides = list(size)
        for left, (fan_in, fan_out) in zip(range(CONVOLUTIONS)[::-1], itertools.pairwise(plan), strict=True):
            sides = [side // 2 for side in sides]
            pool = [2 if side // 2 >= 1 << left else 1 for side in sides]
            sides = [side // by for side, by in zip(sides, pool, strict=True)]
            steps += [nn.Conv2d(fan_in, fan_out, 4, 2, 1), nn.LeakyReLU(SLOPE), nn.MaxPool2d((pool[0], pool[1]))]
        self.layers = nn.Sequential(*steps)
        self.hidden = nn.Sequential(nn.Linear(plan[-1] * sides[0] * sides[1], HIDDEN), nn.LeakyReLU(SLOPE))
        self.last = nn.Linear(HIDDEN, 64)
        draw_weights(self)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """(N, 3, H, W), -1 to 1 -> unit vectors (N, 64) in float32.

        Args:
            images: The crops.
            kept: What dropout keeps, bool (N, HIDDEN); None switches it off.
        """
        x = self.hidden(self.layers(laid_out(images)).flatten(1))
        x = x if kept is None else x * kept / KEPT
        return nn.functional.normalize(self.last(x).float())
