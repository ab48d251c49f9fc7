"""Adaptive discriminator augmentation (Karras et al. 2020, NeurIPS), and its pipe "person", which is safe for people.

Mirror, translation, scale, and mild brightness, contrast and saturation. No rotation and no tilt (people stand), no hue
(clothes' colours are the identity). Without rotation a geometric change is one resampling of the rows and one of the
columns, so it is two products with small matrices: anti-aliased, batched, and differentiable as often as needed.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reidgen.generators.augmentation import bgc

Pipe = Literal["person", "bgc", "none"]
TRANSLATE = 0.125  # of the size: whole pixels, uniform; and deviation of the fractional translation
SCALE_STD = 0.2  # of log2, both the isotropic and the anisotropic one
BRIGHTNESS_STD, CONTRAST_STD, SATURATION_STD = 0.1, 0.25, 0.5  # the last two of log2
CUT = 2.5  # normal draws end at so many deviations, so that no draw makes a person vanish
LOBES = 3  # of the Lanczos kernel
MIRROR, WHOLE, ISO, ANISO, FRACTION, BRIGHT, CONTRAST, SATURATE = range(8)


@dataclass(frozen=True)
class Draws:
    """What happens to each of B samples; all tensors on the CPU in float64.

    Attributes:
        scale: (B, 2), magnification of rows and of columns.
        shift: (B, 2), pixels downwards and to the right.
        mirror: bool (B,).
        brightness: (B,), added; the images lie in -1 to 1.
        contrast, saturation: (B,), factors.
    """

    scale: Tensor
    shift: Tensor
    mirror: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor


def draw(count: int, size: tuple[int, int], p: float, generator: torch.Generator) -> Draws:
    """Draw each change of each sample with probability p.

    Args:
        count: Samples B.
        size: (height, width) in pixels.
        p: Probability of each single change, 0 to 1.
        generator: CPU generator, the only source of randomness; the same number of draws whatever p is.
    """
    extent = torch.tensor(size, dtype=torch.float64)
    on = (torch.rand(count, 8, generator=generator, dtype=torch.float64) < p).double()
    uniform = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    normal = torch.randn(count, 7, generator=generator, dtype=torch.float64).clamp(-CUT, CUT)
    reach = TRANSLATE * extent
    whole = ((2 * uniform[:, :2] - 1) * reach).round() * on[:, WHOLE, None]
    fraction = normal[:, :2] * reach * on[:, FRACTION, None]
    iso, aniso = (SCALE_STD * normal[:, 2] * on[:, ISO], SCALE_STD * normal[:, 3] * on[:, ANISO])
    return Draws(
        scale=torch.exp2(torch.stack([iso - aniso, iso + aniso], dim=1)),
        shift=whole + fraction,
        mirror=(uniform[:, 2] < 0.5) & on[:, MIRROR].bool(),
        brightness=BRIGHTNESS_STD * normal[:, 4] * on[:, BRIGHT],
        contrast=torch.exp2(CONTRAST_STD * normal[:, 5] * on[:, CONTRAST]),
        saturation=torch.exp2(SATURATION_STD * normal[:, 6] * on[:, SATURATE]),
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Do to images (B, 3, H, W), -1 to 1, what was drawn; differentiable, what lies outside is mirrored in."""
    height, width = images.shape[2:]
    still = torch.zeros_like(draws.mirror)
    rows = resampling_matrix(height, draws.scale[:, 0], draws.shift[:, 0], still).to(images)
    columns = resampling_matrix(width, draws.scale[:, 1], draws.shift[:, 1], draws.mirror).to(images)
    moved = rows[:, None] @ images @ columns[:, None].transpose(2, 3)
    matrix = colour_matrix(draws.contrast, draws.saturation).to(images)
    coloured = (matrix @ moved.flatten(2)).view(moved.shape)
    return coloured + draws.brightness.to(images)[:, None, None, None]


def augment(images: Tensor, p: float, generator: torch.Generator, *, pipe: Pipe = "person") -> Tensor:
    """Change each image in each way of a pipe with probability p; differentiable as often as needed.

    Args:
        images: (B, 3, H, W), -1 to 1; float32 or float64.
        p: Probability of each single change, 0 to 1; with 0, and with the pipe "none", the result is the images.
        generator: CPU generator, the only source of randomness.
        pipe: "person" is this module's, "bgc" the published one, with rotations and hue (module `bgc`).

    Returns:
        Images of the same shape, type and device.
    """
    if p == 0 or pipe == "none":
        return images
    size = (images.shape[2], images.shape[3])
    if pipe == "bgc":
        return bgc.apply(images, bgc.draw(len(images), size, p, generator))
    return apply(images, draw(len(images), size, p, generator))


def randomly_mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored left to right with probability 1/2, as a data set twice as large would be."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)


def resampling_matrix(size: int, scale: Tensor, shift: Tensor, mirror: Tensor) -> Tensor:
    """Matrices (B, size, size) in float32 that magnify about the middle, shift and mirror a row of pixels.

    The kernel is Lanczos' with three lobes, widened where the row shrinks, so that nothing aliases; each row sums to 1.

    Args:
        size: Pixels n.
        scale: (B,), 0.25 or more.
        shift: (B,), in pixels, after the magnification.
        mirror: bool (B,), applied first.
    """
    middle = (size - 1) / 2
    at = torch.arange(size, dtype=torch.float64)
    source = (at - middle - shift[:, None]) / scale[:, None] + middle
    source = torch.where(mirror[:, None], 2 * middle - source, source)
    sharpness = scale.clamp(max=1)[:, None, None]
    reach = math.ceil(LOBES / sharpness.min().item())
    taps = source.floor()[:, :, None] + torch.arange(1 - reach, reach + 1)
    distance = (source[:, :, None] - taps) * sharpness
    weights = torch.where(distance.abs() < LOBES, torch.sinc(distance) * torch.sinc(distance / LOBES), 0.0)
    weights = torch.where(weights.abs() < 1e-12, 0.0, weights)  # sin(pi n) is not quite 0
    weights = weights / weights.sum(dim=2, keepdim=True)
    folded = taps.long() % (2 * size)
    folded = torch.where(folded < size, folded, 2 * size - 1 - folded)
    return torch.zeros(len(scale), size, size, dtype=torch.float64).scatter_add_(2, folded, weights).float()


def colour_matrix(contrast: Tensor, saturation: Tensor) -> Tensor:
    """Matrices (B, 3, 3) in float32: contrast times the saturation about the grey axis, (B,) factors each."""
    grey = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    colour = torch.eye(3, dtype=torch.float64) - grey
    return (contrast[:, None, None] * (grey + saturation[:, None, None] * colour)).float()


def next_probability(p: float, sign_mean: float, *, target: float, images: int, ada_kimg: float) -> float:
    """The augmentation probability after `images` more images (Karras et al. 2020, NeurIPS, section 3.1).

    Args:
        p: The probability so far.
        sign_mean: r_t, the mean of sign(D(real)).
        target: p grows while r_t is above it.
        images: Real images since the last update.
        ada_kimg: Thousands of images in which p can go from 0 to 1.
    """
    direction = (sign_mean > target) - (sign_mean < target)
    return min(max(p + direction * images / (ada_kimg * 1000), 0.0), 1.0)
