"""The published augmentation pipe "bgc": pixel blitting, geometry, colour (Karras et al. 2020, NeurIPS, appendix B).

It turns people upside down and changes the colours of their clothes; generators can learn that from it if the
probability grows high. `reidgen.generators.augmentation.ada` has a pipe that is safe for people.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reidgen.generators.augmentation.affine import affine, fold

TRANSLATE = 0.125  # of the size: the farthest whole translation, and the deviation of the fractional one
BRIGHTNESS_STD = 0.2
LOG2_STD = torch.tensor([0.2, 0.2, 0.5, 1.0], dtype=torch.float64)  # of scale, stretch, contrast, saturation
GREY = torch.full((3, 3), 1 / 3, dtype=torch.float64)  # projects RGB on its grey axis, the luma
PLANE = torch.eye(3, dtype=torch.float64) - GREY  # and on the plane of hue and saturation
QUARTER = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(
    3
)  # turns that plane by 90


@dataclass(frozen=True)
class Draws:
    """What happens to each of B samples, in this order; all tensors on the CPU, in float64 where nothing is said.

    Attributes:
        mirror: bool (B,), left and right change places.
        quarters: int (B,), 0 to 3 turns by 90 degrees counterclockwise.
        whole: (B, 2), whole pixels downwards and to the right.
        scale: (B,), magnification.
        before: (B,), turn in radians, counterclockwise.
        stretch: (B,), magnification to the right; downwards it is 1 / stretch.
        after: (B,), another turn.
        shift: (B, 2), pixels downwards and to the right.
        brightness: (B,), added; the images lie in -1 to 1.
        contrast: (B,), factor.
        flip: bool (B,), bright and dark change places, hue and saturation stay.
        hue: (B,), turn of the colours about the grey axis in radians.
        saturation: (B,), factor.
    """

    mirror: Tensor
    quarters: Tensor
    whole: Tensor
    scale: Tensor
    before: Tensor
    stretch: Tensor
    after: Tensor
    shift: Tensor
    brightness: Tensor
    contrast: Tensor
    flip: Tensor
    hue: Tensor
    saturation: Tensor


def draw(count: int, size: tuple[int, int], p: float, generator: torch.Generator) -> Draws:
    """Draw each change of each sample with probability p.

    The two turns have probability 1 - sqrt(1 - p) each, so that a sample is turned at all with probability p.

    Args:
        count: Samples B.
        size: (height, width) in pixels.
        p: Probability of each single change, 0 to 1.
        generator: CPU generator, the only source of randomness; the same number of draws whatever p is.
    """
    turned = 1 - math.sqrt(1 - p)
    # mirror, flip, quarters, before, after, hue, whole, scale, stretch, contrast, saturation, brightness, shift
    chances = torch.tensor([p, p, p, turned, turned, p, p, p, p, p, p, p, p], dtype=torch.float64)
    on = torch.rand(count, 13, generator=generator, dtype=torch.float64) < chances
    uniform = torch.rand(count, 8, generator=generator, dtype=torch.float64)
    normal = torch.randn(count, 7, generator=generator, dtype=torch.float64) * on[:, [*range(7, 13), 12]]
    reach = TRANSLATE * torch.tensor(size, dtype=torch.float64)
    coins = (uniform[:, :2] < 0.5) & on[:, :2]
    angles = (2 * uniform[:, 2:5] - 1) * math.pi * on[:, 3:6]
    factors = torch.exp2(normal[:, :4] * LOG2_STD)
    return Draws(
        mirror=coins[:, 0],
        quarters=(4 * uniform[:, 5]).long() * on[:, 2],
        whole=((2 * uniform[:, 6:] - 1) * reach).round() * on[:, 6, None],
        scale=factors[:, 0],
        before=angles[:, 0],
        stretch=factors[:, 1],
        after=angles[:, 1],
        shift=normal[:, 5:] * reach,
        brightness=BRIGHTNESS_STD * normal[:, 4],
        contrast=factors[:, 2],
        flip=coins[:, 1],
        hue=angles[:, 2],
        saturation=factors[:, 3],
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Do to images (B, 3, H, W), -1 to 1, float32 or float64, what was drawn; differentiable as often as needed.

    What lies outside is reflected in. All but the mirroring and the quarter turns is one resampling, so that nothing is
    blurred twice; samples that are only mirrored, turned by quarters, or left alone are not resampled.
    """
    turned = blit(images, draws.mirror, draws.quarters)
    transforms = geometry(draws)
    moving = (transforms != torch.eye(2, 3, dtype=torch.float64)).any(dim=(1, 2)).nonzero()[:, 0]
    if len(moving):
        which = moving.to(images.device)
        turned = turned.index_copy(0, which, affine(turned.index_select(0, which), transforms[moving]))
    matrix = colour(draws)
    offset = (matrix.sum(dim=2) * draws.brightness[:, None]).to(images)
    return torch.baddbmm(offset[:, :, None], matrix.to(images), turned.flatten(2)).view(images.shape)


def blit(images: Tensor, mirror: Tensor, quarters: Tensor) -> Tensor:
    """Mirror images (B, C, H, W), then turn them counterclockwise by quarters, pixel by pixel.

    An upright image that lies down keeps its canvas: what does not fit is cut off above and below the middle, and what
    is missing is reflected in, as after any other turn.

    Args:
        images: Sides of equal parity.
        mirror: bool (B,).
        quarters: int (B,), 0 to 3.
    """
    if not (mirror.any() or quarters.any()):
        return images
    sources = symmetries((images.shape[2], images.shape[3]))[4 * mirror + quarters].to(images.device)
    return images.flatten(2).gather(2, sources[:, None].expand(-1, images.shape[1], -1)).view(images.shape)


@functools.cache
def symmetries(size: tuple[int, int]) -> Tensor:
    """From which pixel (row * width + column) each one is taken, int64 (8, H W): 0 to 3 turns, then those mirrored."""
    with torch.inference_mode(False):  # they are kept, and a derivative may need them later
        pixels = torch.arange(size[0] * size[1]).view(size)
        turned = []
        for image in (pixels, pixels.flip(1)):
            quarter = quarter_turn(image)
            turned += [image, quarter, image.flip(0, 1), quarter.flip(0, 1)]
        return torch.stack([image.flatten() for image in turned])


def quarter_turn(image: Tensor) -> Tensor:
    """An image (H, W) turned by 90 degrees counterclockwise about its middle, on the same canvas."""
    (height, width), lying = image.shape, torch.rot90(image)
    rows = fold(torch.arange(height) - (height - width) // 2, width)
    columns = fold(torch.arange(width) - (width - height) // 2, height)
    return lying[rows][:, columns]


def geometry(draws: Draws) -> Tensor:
    """Transforms (B, 2, 3) as `affine` takes them: whole shift, scale, turn, stretch, turn, shift, in this order."""
    sizes = draws.scale[:, None] * torch.stack([1 / draws.stretch, draws.stretch], dim=1)
    linear = _rotation(draws.after) @ (sizes[:, :, None] * _rotation(draws.before))
    return torch.cat([linear, linear @ draws.whole[:, :, None] + draws.shift[:, :, None]], dim=2)


def colour(draws: Draws) -> Tensor:
    """Matrices (B, 3, 3) on RGB: contrast, luma flip, hue, saturation; the brightness comes before them.

    The flip acts on the grey axis, hue and saturation on the plane across it, so their order is of no matter.
    """
    luma = (1 - 2 * draws.flip.double())[:, None, None] * GREY
    cos, sin = (part[:, None, None] for part in (draws.hue.cos(), draws.hue.sin()))
    colours = draws.saturation[:, None, None] * (cos * PLANE + sin * QUARTER)
    return draws.contrast[:, None, None] * (luma + colours)


def _rotation(angle: Tensor) -> Tensor:
    """Counterclockwise as seen, (B, 2, 2); the first axis points downwards."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
