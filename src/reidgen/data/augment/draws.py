"""What is drawn for each sample of a batch: seeded by run and step, the same on every device and after a resume."""

from dataclasses import dataclass, fields

import torch

from reidgen.config import AugmentConfig

ERASE_TRIES = 10  # boxes drawn per sample, of which the first that fits is erased
ENLARGED = 1.125  # by which a translated sample is made larger before its part is taken


@dataclass(frozen=True)
class Draws:
    """What shall happen to each of B samples. All tensors are on the CPU.

    Attributes:
        flip: bool (B,), mirror left and right.
        top, left: int64 (B,), where the crop starts in the padded sample, 0 to 2 * pad; `pad` leaves it where it was.
        erase: int64 (B, 4), top, left, height and width of the erased box after the crop; height 0 erases nothing.
        jitter: float32 (B, 3), factors of brightness, contrast and saturation.
        translate: int64 (B, 2), top and left of the part that is taken of the enlarged sample; -1 leaves it as it is.
        grey: int64 (B, 4), the box that loses its colours after the crop, as `erase`.
    """

    flip: torch.Tensor
    top: torch.Tensor
    left: torch.Tensor
    erase: torch.Tensor
    jitter: torch.Tensor
    translate: torch.Tensor
    grey: torch.Tensor

    def part(self, which: slice) -> "Draws":
        """The draws of some of the samples."""
        return Draws(*(getattr(self, field.name)[which] for field in fields(self)))


def draw(count: int, size: tuple[int, int], config: AugmentConfig, generator: torch.Generator) -> Draws:
    """Draw the changes for `count` samples of `size` (height, width).

    Each sample takes the same number of random numbers whatever the config says, so that switching one change off
    leaves the others as they were; those of translations and grey patches are drawn after all others, and only where
    there are any.
    """
    uniform = torch.rand((count, 9 + 2 * ERASE_TRIES), generator=generator)
    span = 2 * config.pad + 1
    return Draws(
        flip=uniform[:, 0] < config.flip,
        top=_whole(uniform[:, 1], span),
        left=_whole(uniform[:, 2], span),
        erase=_boxes(uniform[:, 3:6], uniform[:, 9:], config.erase, size, config),
        jitter=1 + config.jitter * (2 * uniform[:, 6:9] - 1),
        translate=_translations(count, size, config, generator),
        grey=_patches(count, size, config, generator),
    )


def _whole(uniform: torch.Tensor, below: int | torch.Tensor) -> torch.Tensor:
    """Whole numbers 0 to below - 1 from uniform ones; float32 may round a product up to `below` itself."""
    return torch.minimum((uniform * below).long(), torch.as_tensor(below) - 1)


def enlarged(size: tuple[int, int], by: float = ENLARGED) -> tuple[int, int]:
    """(height, width) of a sample before a part of it is taken."""
    return round(size[0] * by), round(size[1] * by)


def _translations(count: int, size: tuple[int, int], config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    if config.translate == 0:
        return torch.full((count, 2), -1)
    uniform = torch.rand((count, 3), generator=generator)
    return torch.where((uniform[:, 0] < config.translate)[:, None], places(uniform[:, 1:], size), -1)


def _patches(count: int, size: tuple[int, int], config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    if config.grey == 0:
        return torch.zeros((count, 4), dtype=torch.int64)
    uniform = torch.rand((count, 3 + 2 * ERASE_TRIES), generator=generator)
    return _boxes(uniform[:, :3], uniform[:, 3:], config.grey, size, config)


def places(uniform: torch.Tensor, size: tuple[int, int], by: float = ENLARGED) -> torch.Tensor:
    """Top and left of parts of enlarged samples, from numbers below 1 (N, 2): int64 (N, 2), all places alike."""
    spans = [big - small + 1 for big, small in zip(enlarged(size, by), size, strict=True)]
    return torch.stack([_whole(uniform[:, axis], span) for axis, span in enumerate(spans)], dim=1)


def _boxes(
    place: torch.Tensor, shape: torch.Tensor, share: float, size: tuple[int, int], config: AugmentConfig
) -> torch.Tensor:
    """Boxes of random erasing (Zhong et al. 2020, algorithm 1): area and aspect uniform, tried again until one fits.

    The paper tries without end; here each sample has `ERASE_TRIES` tries, and no box should none of them fit.

    Args:
        place: Uniform numbers (B, 3): whether there is a box, and where.
        shape: Uniform numbers (B, 2 * ERASE_TRIES): areas, and aspects.
        share: Probability of a box.
        size: (height, width).
        config: The ranges.
    """
    height, width = size
    (area_low, area_high), (aspect_low, aspect_high) = config.erase_area, config.erase_aspect
    areas, aspects = shape.view(-1, 2, ERASE_TRIES).unbind(1)
    area = (area_low + (area_high - area_low) * areas) * height * width
    aspect = aspect_low + (aspect_high - aspect_low) * aspects
    tall, wide = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (tall < height) & (wide < width)
    first = fits.long().argmax(dim=1, keepdim=True)
    tall, wide = tall.gather(1, first).squeeze(1), wide.gather(1, first).squeeze(1)
    active = fits.any(dim=1) & (place[:, 0] < share)
    top, left = _whole(place[:, 1], height - tall + 1), _whole(place[:, 2], width - wide + 1)
    return torch.stack([top, left, tall, wide], dim=1) * active[:, None]
