"""Moving pixels, masks and points: translation, mirroring, padding and cropping by what was drawn."""

import torch

from reidgen.config import AugmentConfig
from reidgen.data.augment.draws import ENLARGED, Draws, enlarged

# Left and right of COCO's 17 key points change places in a mirrored picture: nose, eyes, ears, shoulders, elbows,
# wrists, hips, knees, ankles.
MIRRORED_POINTS = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)


def move(pixels: torch.Tensor, draws: Draws, config: AugmentConfig) -> torch.Tensor:
    """Translate, mirror, pad and crop a batch (B, H, W, C); uint8 stays uint8 where nothing is translated."""
    if config.translate > 0:
        pixels = translate(pixels, draws.translate)
    return flip_and_crop(pixels, draws, config.pad)


def move_masks(masks: torch.Tensor, draws: Draws, config: AugmentConfig) -> torch.Tensor:
    """The masks of crops, moved as the crops are: uint8 (B, 1, H, W), 0 where the padding comes in."""
    moved = move(masks.permute(0, 2, 3, 1).contiguous(), draws, config)
    return moved.float().round().to(torch.uint8).permute(0, 3, 1, 2)


def move_points(points: torch.Tensor, draws: Draws, config: AugmentConfig, *, size: tuple[int, int]) -> torch.Tensor:
    """The key points of crops, moved as the crops are.

    Args:
        points: (B, 17, 3), COCO's points: x and y in pixels of the crop, where the middle of the first pixel lies at
            .5, and visibility 2 seen, 1 hidden, 0 outside.
        draws: What was drawn for the crops.
        config: Likewise.
        size: (height, width) of the crops.

    Returns:
        The same shape. Left and right points of mirrored crops have changed places. Points that leave the crop have
        visibility 0.
    """
    height, width = size
    x, y, seen = points.float().unbind(2)
    taken = (draws.translate[:, 0] >= 0).to(x.device)[:, None]
    top, left = (draws.translate[:, axis].to(x.device)[:, None] for axis in (0, 1))
    tall, wide = enlarged(size)
    x = torch.where(taken, x * (wide / width) - left, x)
    y = torch.where(taken, y * (tall / height) - top, y)
    flip = draws.flip.to(x.device)[:, None]
    x = torch.where(flip, width - x, x) + config.pad - draws.left.to(x.device)[:, None]
    y = y + config.pad - draws.top.to(x.device)[:, None]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    moved = torch.stack([x, y, torch.where(inside, seen, 0.0)], dim=2)
    return torch.where(flip[:, :, None], moved[:, MIRRORED_POINTS, :], moved)


def translate(pixels: torch.Tensor, places: torch.Tensor, by: float = ENLARGED) -> torch.Tensor:
    """Take parts of (B, H, W, C) enlarged bilinearly, without making the enlarged samples; float32.

    Args:
        pixels: The samples.
        places: Top and left of each part, int64 (B, 2); -1 leaves a sample as it is.
        by: How much they are enlarged.
    """
    size = (pixels.shape[1], pixels.shape[2])
    which = (places[:, 0] >= 0).nonzero().squeeze(1)
    whole = pixels.float()
    if not len(which):
        return whole
    taken = whole.index_select(0, which.to(pixels.device))
    for axis in (0, 1):  # rows, then columns: bilinear interpolation is linear along each
        low, high, share = _between(places[which, axis], size[axis], enlarged(size, by)[axis])
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


def flip_and_crop(pixels: torch.Tensor, draws: Draws, pad: int) -> torch.Tensor:
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
