"""Random changes to a whole batch at once, drawn per sample, as tensor operations on the batch's device.

A batch costs one pass over its bytes and one over its floats: rows of the padded batch are copied by index,
normalisation is one multiply-add over rows of width times channels, and erasing touches the erased rows alone.
"""

import functools

import torch

from reidgen.config import AugmentConfig
from reidgen.data.augment.draws import Draws, draw
from reidgen.data.augment.geometry import flip_and_crop, translate

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma
CPU_BLOCK = 8  # samples changed at a time


def augment(images: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Translate, jitter, mirror, pad-and-crop, grey, normalise and erase each sample by its own random draws.

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
        pixels = translate(pixels, draws.translate)
    if config.jitter > 0:
        pixels = _jitter(pixels, draws.jitter)
    pixels = flip_and_crop(pixels, draws, config.pad)
    if config.grey > 0:
        pixels = _grey(pixels, draws.grey)
    _normalise(pixels, changed)
    if config.erase > 0:
        _erase(changed, draws.erase)


def _jitter(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast, saturation, in this order, each clipped to 0 ... 255 (float32)."""
    brightness, contrast, saturation = factors.to(pixels.device).view(-1, 3, 1, 1, 1).unbind(1)
    luma = torch.tensor(GREY, device=pixels.device)
    pixels = (pixels * brightness).clamp_(0, 255)
    mean = (pixels @ luma).mean(dim=(1, 2)).view(-1, 1, 1, 1)
    pixels = torch.lerp(mean, pixels, contrast).clamp_(0, 255)
    return torch.lerp((pixels @ luma).unsqueeze(-1), pixels, saturation).clamp_(0, 255)


def _grey(pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Luma instead of colours within the boxes (Gong et al. 2021, local greyscale transformation); float32."""
    pixels = pixels.float()
    luma = torch.tensor(GREY, device=pixels.device)
    for sample, (top, left, tall, wide) in enumerate(boxes.tolist()):
        patch = pixels[sample, top : top + tall, left : left + wide]
        patch.copy_((patch @ luma).unsqueeze(-1))
    return pixels


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
