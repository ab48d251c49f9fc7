"""Random changes to a whole batch at once, drawn per sample, as tensor operations on the batch's device.

A batch costs one pass over its bytes and one over its floats: rows of the padded batch are copied by index,
normalisation is one multiply-add over rows of width times channels, and erasing touches the erased rows alone.
"""

import functools
from dataclasses import dataclass, fields

import torch

from reidgen.config import AugmentConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma
CPU_BLOCK = 8  # samples changed at a time
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
    """

    flip: torch.Tensor
    top: torch.Tensor
    left: torch.Tensor
    erase: torch.Tensor
    jitter: torch.Tensor
    translate: torch.Tensor

    def part(self, which: slice) -> "Draws":
        """The draws of some of the samples."""
        return Draws(*(getattr(self, field.name)[which] for field in fields(self)))


def augment(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Translate, jitter, mirror, pad-and-crop, normalise and erase each sample by its own random draws.

    Args:
        images: uint8 (B, 3, H, W), best in channels_last memory.
        config: Probabilities and ranges.
        generator: A CPU generator, the only source of the draws; seed it by run and step, and the batch is the same on
            every device and after every resume.

    Returns:
        float32 (B, 3, H, W) in channels_last memory, normalised by ImageNet's mean and deviation.
    """
    size = (images.shape[2], images.shape[3])
    return apply(images, draw(len(images), size, config, generator), config)


def draw(count: int, size: tuple[int, int], config: AugmentConfig, generator: torch.Generator) -> Draws:
    """Draw the changes for `count` samples of `size` (height, width).

    Each sample takes the same number of random numbers whatever the config says, so that switching one change off
    leaves the others as they were; those of translations are drawn after all others, and only where there are any.
    """
    uniform = torch.rand((count, 9 + 2 * ERASE_TRIES), generator=generator)
    span = 2 * config.pad + 1
    return Draws(
        flip=uniform[:, 0] < config.flip,
        top=_whole(uniform[:, 1], span),
        left=_whole(uniform[:, 2], span),
        erase=_boxes(uniform[:, 3], uniform[:, 4:6], uniform[:, 9:].view(count, 2, ERASE_TRIES), size, config),
        jitter=1 + config.jitter * (2 * uniform[:, 6:9] - 1),
        translate=_translations(count, size, config, generator),
    )


def apply(images: torch.Tensor, draws: Draws, config: AugmentConfig) -> torch.Tensor:
    """Do to a uint8 batch (B, 3, H, W) what was drawn for it; returns what `augment` returns."""
    pixels = images.permute(0, 2, 3, 1).contiguous()
    changed = torch.empty(pixels.shape, device=pixels.device)
    for part in _blocks(pixels):
        _apply(pixels[part], draws.part(part), config, changed[part])
    return changed.permute(0, 3, 1, 2)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """A uint8 batch (B, 3, H, W) as float32 in channels_last memory, (x / 255 - mean) / std of ImageNet."""
    pixels = images.permute(0, 2, 3, 1).contiguous()
    changed = torch.empty(pixels.shape, device=pixels.device)
    for part in _blocks(pixels):
        _normalise(pixels[part], changed[part])
    return changed.permute(0, 3, 1, 2)


def _blocks(pixels: torch.Tensor) -> list[slice]:
    """The whole batch on a GPU; on a CPU a few samples at a time, so that what is made on the way stays in cache."""
    length = CPU_BLOCK if pixels.device.type == "cpu" else max(len(pixels), 1)
    return [slice(start, start + length) for start in range(0, len(pixels), length)]


def _apply(pixels: torch.Tensor, draws: Draws, config: AugmentConfig, changed: torch.Tensor) -> None:
    if config.translate > 0:
        pixels = _translate(pixels, draws.translate)
    if config.jitter > 0:
        pixels = _jitter(pixels, draws.jitter)
    pixels = _flip_and_crop(pixels, draws, config.pad)
    _normalise(pixels, changed)
    if config.erase > 0:
        _erase(changed, draws.erase)


def _whole(uniform: torch.Tensor, below: int | torch.Tensor) -> torch.Tensor:
    """Whole numbers 0 to below - 1 from uniform ones; float32 may round a product up to `below` itself."""
    return torch.minimum((uniform * below).long(), torch.as_tensor(below) - 1)


def _enlarged(size: tuple[int, int]) -> tuple[int, int]:
    return round(size[0] * ENLARGED), round(size[1] * ENLARGED)


def _translations(count: int, size: tuple[int, int], config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    if config.translate == 0:
        return torch.full((count, 2), -1)
    uniform = torch.rand((count, 3), generator=generator)
    spans = [big - small + 1 for big, small in zip(_enlarged(size), size, strict=True)]
    places = torch.stack([_whole(uniform[:, 1 + axis], span) for axis, span in enumerate(spans)], dim=1)
    return torch.where((uniform[:, 0] < config.translate)[:, None], places, -1)


def _translate(pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Take parts of (B, H, W, C) enlarged bilinearly, without making the enlarged samples; float32, 0 ... 255."""
    size = (pixels.shape[1], pixels.shape[2])
    which = (places[:, 0] >= 0).nonzero().squeeze(1)
    whole = pixels.float()
    if not len(which):
        return whole
    taken = whole.index_select(0, which.to(pixels.device))
    for axis in (0, 1):  # rows, then columns: bilinear interpolation is linear along each
        low, high, share = _between(places[which, axis], size[axis], _enlarged(size)[axis])
        shape = (len(which), -1, 1, 1) if axis == 0 else (len(which), 1, -1, 1)
        low, high, share = (part.to(pixels.device).view(shape) for part in (low, high, share))
        first = torch.take_along_dim(taken, low, dim=1 + axis)
        taken = torch.lerp(first, torch.take_along_dim(taken, high, dim=1 + axis), share)
    return whole.index_copy(0, which.to(pixels.device), taken)


def _between(start: torch.Tensor, length: int, enlarged: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For `length` places from `start` (n,) on the enlarged axis: the two old places beside it and the second's share.

    The middle of pixel i lies at i + 1/2; beyond the outermost middles the outermost pixel goes on.
    """
    middles = (start[:, None] + torch.arange(length) + 0.5) * (length / enlarged) - 0.5
    middles = middles.clamp(0, length - 1)
    low = middles.floor()
    return low.long(), (low.long() + 1).clamp(max=length - 1), middles - low


def _boxes(
    chance: torch.Tensor, place: torch.Tensor, shape: torch.Tensor, size: tuple[int, int], config: AugmentConfig
) -> torch.Tensor:
    """Boxes of random erasing (Zhong et al. 2020, algorithm 1): area and aspect uniform, tried again until one fits.

    The paper tries without end; here each sample has `ERASE_TRIES` tries, and erases nothing should none of them fit.
    """
    height, width = size
    (area_low, area_high), (aspect_low, aspect_high) = config.erase_area, config.erase_aspect
    area = (area_low + (area_high - area_low) * shape[:, 0]) * height * width
    aspect = aspect_low + (aspect_high - aspect_low) * shape[:, 1]
    tall, wide = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (tall < height) & (wide < width)
    first = fits.long().argmax(dim=1, keepdim=True)
    tall, wide = tall.gather(1, first).squeeze(1), wide.gather(1, first).squeeze(1)
    active = fits.any(dim=1) & (chance < config.erase)
    top, left = _whole(place[:, 0], height - tall + 1), _whole(place[:, 1], width - wide + 1)
    return torch.stack([top, left, tall, wide], dim=1) * active[:, None]


def _jitter(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast, saturation, in this order, each clipped to 0 ... 255 (float32)."""
    brightness, contrast, saturation = factors.to(pixels.device).view(-1, 3, 1, 1, 1).unbind(1)
    luma = torch.tensor(GREY, device=pixels.device)
    pixels = (pixels * brightness).clamp_(0, 255)
    mean = (pixels @ luma).mean(dim=(1, 2)).view(-1, 1, 1, 1)
    pixels = torch.lerp(mean, pixels, contrast).clamp_(0, 255)
    return torch.lerp((pixels @ luma).unsqueeze(-1), pixels, saturation).clamp_(0, 255)


def _flip_and_crop(pixels: torch.Tensor, draws: Draws, pad: int) -> torch.Tensor:
    """Mirror, pad with zeros on each side, and crop to the old size.

    Mirrored samples are put behind the batch, and rows of the padded whole are then chosen by index: each row of a crop
    is one run of bytes.
    """
    count, height, width, channels = pixels.shape
    which = draws.flip.nonzero().squeeze(1)
    source = torch.arange(count)
    source[which] = count + torch.arange(len(which))
    padded = pixels.new_zeros((count + len(which), height + 2 * pad, width + 2 * pad, channels))
    inner = padded[:, pad : pad + height, pad : pad + width]
    inner[:count] = pixels
    inner[count:] = pixels.index_select(0, which.to(pixels.device)).flip(2)
    rows = (source * padded.shape[1] + draws.top)[:, None] + torch.arange(height)
    starts = (rows * padded.shape[2] + draws.left[:, None]) * channels
    runs = padded.view(-1).unfold(0, width * channels, 1)
    return runs.index_select(0, starts.view(-1).to(pixels.device)).view(pixels.shape)


def _normalise(pixels: torch.Tensor, changed: torch.Tensor) -> None:
    """Write (B, H, W, 3) in 0 ... 255 normalised into float32 of the same shape, in rows of width times channels."""
    width = pixels.shape[2]
    scale, shift, _ = _constant_rows(width, pixels.device)
    rows = changed.view(-1, width * 3).copy_(pixels.reshape(-1, width * 3))
    rows.mul_(scale).add_(shift)


def _erase(pixels: torch.Tensor, boxes: torch.Tensor) -> None:
    """Write ImageNet's mean into the boxes of the normalised batch, as it stands there in Luo et al. 2019 (BoT).

    Only the rows that a box touches are read: times 0 and plus the mean within the box's columns, times 1 and plus 0
    beside it, which leaves the numbers there as they are.
    """
    _, height, width, channels = pixels.shape
    y, x, rows = torch.arange(height), torch.arange(width), pixels.view(-1, width * channels)
    top, left, tall, wide = boxes[:, :, None].unbind(1)
    touched = ((y >= top) & (y < top + tall)).view(-1).nonzero().squeeze(1)
    within = ((x >= left) & (x < left + wide)).repeat_interleave(3, dim=1).float()
    sample = (touched // height).to(rows.device)
    touched = touched.to(rows.device)
    within = within.to(rows.device)
    keep, fill = 1 - within, within * _constant_rows(width, rows.device)[2]
    erased = rows.index_select(0, touched).mul_(keep.index_select(0, sample)).add_(fill.index_select(0, sample))
    rows.index_copy_(0, touched, erased)


@functools.lru_cache(maxsize=16)
def _constant_rows(width: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Factor and summand of the normalisation and ImageNet's mean, each repeated for the pixels of a row: (W * 3,)."""
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    scale, shift, fill = (row.repeat(width).to(device) for row in (1 / (255 * std), -mean / std, mean))
    return scale, shift, fill
