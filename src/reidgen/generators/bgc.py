"""The published augmentation pipe "bgc": pixel blitting, geometry, colour (Karras et al. 2020, NeurIPS, appendix B).

It turns people upside down and changes the colours of their clothes; generators can learn that from it if the
probability grows high. `reidgen.generators.ada` has a pipe that is safe for people.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reidgen.generators.affine import affine, fold

TRANSLATE = 0.125  # of the size: the farthest whole translation, and the deviation of the fractional one
SCALE_STD = 0.2  # of log2, both the isotropic and the anisotropic one
BRIGHTNESS_STD, CONTRAST_STD, SATURATION_STD = 0.2, 0.5, 1.0  # the last two of log2
MIRROR, QUARTER, WHOLE, ISO, BEFORE, ANISO, AFTER, FRACTION, BRIGHT, CONTRAST, FLIP, HUE, SATURATE = range(13)


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
    reach = TRANSLATE * torch.tensor(size, dtype=torch.float64)
    chance = torch.full((13,), p, dtype=torch.float64)
    chance[[BEFORE, AFTER]] = 1 - math.sqrt(1 - p)
    on = torch.rand(count, 13, generator=generator, dtype=torch.float64) < chance
    uniform = torch.rand(count, 8, generator=generator, dtype=torch.float64)
    normal = (
        torch.randn(count, 7, generator=generator, dtype=torch.float64)
        * on[:, [ISO, ANISO, FRACTION, FRACTION, BRIGHT, CONTRAST, SATURATE]]
    )
    before, after, hue = ((2 * uniform[:, 4:7] - 1) * math.pi * on[:, [BEFORE, AFTER, HUE]]).unbind(1)
    return Draws(
        mirror=(uniform[:, 0] < 0.5) & on[:, MIRROR],
        quarters=(4 * uniform[:, 1]).long() * on[:, QUARTER],
        whole=((2 * uniform[:, 2:4] - 1) * reach).round() * on[:, WHOLE, None],
        scale=torch.exp2(SCALE_STD * normal[:, 0]),
        before=before,
        stretch=torch.exp2(SCALE_STD * normal[:, 1]),
        after=after,
        shift=normal[:, 2:4] * reach,
        brightness=BRIGHTNESS_STD * normal[:, 4],
        contrast=torch.exp2(CONTRAST_STD * normal[:, 5]),
        flip=(uniform[:, 7] < 0.5) & on[:, FLIP],
        hue=hue,
        saturation=torch.exp2(SATURATION_STD * normal[:, 6]),
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Do to images (B, 3, H, W), -1 to 1, float32 or float64, what was drawn; differentiable as often as needed.

    What lies outside is reflected in. All but the mirroring and the quarter turns is one resampling, so that nothing is
    blurred twice; samples that are only mirrored, turned by quarters, or left alone are not resampled.
    """
    turned = blit(images, draws.mirror, draws.quarters)
    transforms = geometry(draws)
    moving = (transforms != torch.eye(3, dtype=torch.float64)).any(dim=(1, 2)).nonzero()[:, 0]
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
    """Transforms (B, 3, 3) as `affine` takes them: whole shift, scale, turn, stretch, turn, shift, in this order."""
    one = torch.ones_like(draws.scale)
    moved = _translation(draws.whole)
    for then in (
        _diagonal(draws.scale, draws.scale, one),
        _rotation(draws.before),
        _diagonal(1 / draws.stretch, draws.stretch, one),
        _rotation(draws.after),
        _translation(draws.shift),
    ):
        moved = then @ moved
    return moved


def colour(draws: Draws) -> Tensor:
    """Matrices (B, 3, 3) on RGB: contrast, luma flip, hue, saturation, in this order; the brightness comes first."""
    grey = torch.full((3, 3), 1 / 3, dtype=torch.float64)  # projection on the axis (1, 1, 1)
    eye = torch.eye(3, dtype=torch.float64)
    flip = eye - 2 * grey * draws.flip[:, None, None]
    cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    cos, sin = draws.hue.cos()[:, None, None], draws.hue.sin()[:, None, None]
    hue = grey + cos * (eye - grey) + sin * cross
    saturation = grey + (eye - grey) * draws.saturation[:, None, None]
    return saturation @ hue @ flip * draws.contrast[:, None, None]


def _diagonal(*values: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack(values, dim=1))


def _translation(shift: Tensor) -> Tensor:
    matrix = torch.eye(3, dtype=torch.float64).repeat(len(shift), 1, 1)
    matrix[:, :2, 2] = shift
    return matrix


def _rotation(angle: Tensor) -> Tensor:
    """Counterclockwise as seen; the first axis points downwards."""
    matrix = torch.eye(3, dtype=torch.float64).repeat(len(angle), 1, 1)
    matrix[:, 0, 0], matrix[:, 0, 1] = angle.cos(), -angle.sin()
    matrix[:, 1, 0], matrix[:, 1, 1] = angle.sin(), angle.cos()
    return matrix
