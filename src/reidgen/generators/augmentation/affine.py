"""Turning, scaling and shifting images as Karras et al. 2020 (NeurIPS), appendix B, do: at twice the resolution.

Upsample by two with the low-pass filter of the wavelet sym6, sample bilinearly where the transformation says,
downsample by two. What lies outside of an image is its reflection. The downsampling filter is the mirror image of the
upsampling one and the wavelet is orthogonal, so images that stay, or move by whole pixels, come back as they were.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

# Daubechies' least asymmetric filter with six vanishing moments (Ten Lectures on Wavelets, 1992, section 6.4).
# fmt: off
SYM6 = (
    0.015404109327045, 0.003490712084222, -0.117990111148520, -0.048311742585698, 0.491055941927974, 0.787641141028651,
    0.337929421728166, -0.072637522786377, -0.021060292512371, 0.044724901770781, 0.001767711864254, -0.007800708325032,
)
# fmt: on
TAPS = len(SYM6)
# Taps in front of the largest, which counts as the filter's middle: pixel i is at place 2 i of the upsampled row. The
# filter is not symmetric and its centre of mass is 0.1 places further, but edges of real crops are at the largest tap:
# turned by 90 degrees they come back 5 dB better than with the centre of mass, and by other angles equally well.
BEFORE = TAPS // 2 - 1
PIXELS = 1 << 14  # that are moved at a time on a CPU, so that what is in between stays in its cache
Adjoint = Callable[[Tensor], Tensor]


def affine(images: Tensor, transforms: Tensor) -> Tensor:
    """Move what is in the images (B, 3, H, W).

    Differentiable as often as needed, which functional.grid_sample is not.

    Args:
        images: float32 or float64; H and W are 2 or more.
        transforms: (B, 2, 3) on the CPU in float64: from a place in an image, in homogeneous pixels (downwards, to the
            right, 1) from the image's middle, to its new place.

    Returns:
        Images of the same shape, type and device.
    """
    linear = torch.linalg.inv(transforms[:, :, :2])
    inverse = torch.cat([linear, -linear @ transforms[:, :, 2:]], dim=2).to(images)
    few = max(PIXELS // images[0, 0].numel(), 1) if images.is_cpu else len(images)
    return torch.cat([_affine(*part) for part in zip(images.split(few), inverse.split(few), strict=True)])


def _affine(images: Tensor, inverse: Tensor) -> Tensor:
    """Images (B, 3, H, W), and from places in the result to places in the image, (B, 2, 3)."""
    height, width = images.shape[2:]
    upper, left, lower, right = _matrices(height, width, images.dtype, images.device)
    fine = _Sample.apply(upper @ images @ left.t(), _grid(inverse, height, width))
    return lower @ (fine @ right.t())


def margin(size: int) -> int:
    """Places of the upsampled row, on each side, that are computed from reflected pixels.

    They suffice for translations up to an eighth of the size. Further out, the upsampled row itself is reflected, which
    is not quite the same, as the filter is not quite symmetric, and saves three fifths of the plane.
    """
    return size // 4 + TAPS // 2


@functools.cache
def _matrices(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """Both directions' matrices, up and then down."""
    with torch.inference_mode(False):  # they are kept, and what is made in inference mode can never be differentiated
        matrices = (upsampling(height), upsampling(width), downsampling(height), downsampling(width))
        return tuple(matrix.to(device, dtype) for matrix in matrices)


def upsampling(size: int) -> Tensor:
    """Matrix (2 size - 1 + 2 margin, size) in float64: a row of pixels, reflected, at twice the resolution."""
    reach = margin(size)
    places = torch.arange(-reach, 2 * size - 1 + reach)
    matrix = torch.zeros(len(places), size, dtype=torch.float64)
    for i in range(TAPS // 2):
        pixel = torch.div(places + BEFORE, 2, rounding_mode="floor") - i
        tap = torch.tensor(SYM6, dtype=torch.float64)[places - 2 * pixel + BEFORE]
        matrix.scatter_add_(1, fold(pixel, size)[:, None], math.sqrt(2) * tap[:, None])
    return matrix


def downsampling(size: int) -> Tensor:
    """Matrix (size, 2 size + 10) in float64: places -5 ... 2 size + 4 of an upsampled row -> a row of pixels."""
    matrix = torch.zeros(size, 2 * size + TAPS - 2, dtype=torch.float64)
    for pixel in range(size):
        matrix[pixel, 2 * pixel : 2 * pixel + TAPS] = torch.tensor(SYM6, dtype=torch.float64) / math.sqrt(2)
    return matrix


def fold(places: Tensor, size: int) -> Tensor:
    """Integers -> 0 ... size - 1, reflected about the first and the last, which are not repeated."""
    folded = places % (2 * size - 2)
    return torch.where(folded < size, folded, 2 * size - 2 - folded)


def _grid(inverse: Tensor, height: int, width: int) -> Tensor:
    """Where each place of the fine result is taken from: (B, 2 H + 10, 2 W + 10, 2), as grid_sample wants it."""
    downwards, rightwards = (
        torch.arange(TAPS - 2 + 2 * size, device=inverse.device, dtype=inverse.dtype) - (BEFORE + size - 1)
        for size in (height, width)
    )
    grid = inverse.new_empty(len(inverse), len(downwards), len(rightwards), 2)
    for axis, size in ((0, height), (1, width)):
        by_row, by_column, shift = inverse[:, axis, :, None].unbind(1)
        source = (by_row * downwards)[:, :, None] + (by_column * rightwards + 2 * shift + size - 1)[:, None]
        _normalise(source, size, out=grid[..., 1 - axis])
    return grid


def _normalise(source: Tensor, size: int, *, out: Tensor) -> None:
    """Places of an upsampled row -> -1 ... 1 over the computed ones; those outside are reflected into the image."""
    last, reach = 2 * size - 2, margin(size)
    reflected = (source - 2 * last * (source / (2 * last)).round_()).abs_()
    inside = torch.where((source - last / 2).abs_() <= last / 2 + reach, source, reflected)
    torch.sub(inside.add_(reach).mul_(2 / (last + 2 * reach)), 1, out=out)


class _Sample(Function):
    """Bilinear sampling. It is linear in the plane, so its derivative is its adjoint, whose derivative it is again."""

    @staticmethod
    def forward(ctx: Any, plane: Tensor, grid: Tensor) -> Tensor:
        """(B, C, h, w), (B, h', w', 2) -> (B, C, h', w')."""
        ctx.save_for_backward(grid)
        samples, ctx.adjoint = (
            sample_and_adjoint(plane, grid) if ctx.needs_input_grad[0] else (sample(plane, grid), None)
        )
        return samples

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The adjoint."""
        return _Spread.apply(gradients[0], *ctx.saved_tensors, ctx.adjoint), None


class _Spread(Function):
    """The adjoint of `_Sample`: each value is added to the four places that it would be taken from."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, adjoint: Adjoint) -> Tensor:
        """(B, C, h', w'), (B, h', w', 2) -> (B, C, h, w)."""
        ctx.save_for_backward(grid)
        return adjoint(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The adjoint of the adjoint."""
        return _Sample.apply(gradients[0], *ctx.saved_tensors), None, None


def sample(plane: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples (B, C, h', w') of planes (B, C, h, w) at (x, y) of the grid (B, h', w', 2), -1 to 1."""
    return functional.grid_sample(plane, grid, mode="bilinear", padding_mode="border", align_corners=True)


def sample_and_adjoint(plane: Tensor, grid: Tensor) -> tuple[Tensor, Adjoint]:
    """`sample`, and the function that spreads values (B, C, h', w') over the plane as its derivative does."""
    if not plane.is_cpu:  # PyTorch's own derivative adds in an order that is left to chance there
        return sample(plane, grid), functools.partial(spread, grid=grid, extent=plane.shape)
    with torch.enable_grad():
        own = plane.detach().requires_grad_()
        samples = sample(own, grid)

    def adjoint(values: Tensor) -> Tensor:
        (spread_values,) = torch.autograd.grad(samples, own, values, retain_graph=True)
        return spread_values

    return samples.detach(), adjoint


def spread(values: Tensor, *, grid: Tensor, extent: torch.Size) -> Tensor:
    """The adjoint of `sample` with sums in a fixed order on CUDA too: the same bits each time."""
    count, channels, height, width = extent
    x, y = ((grid[..., i] + 1) * (size - 1) / 2 for i, size in ((0, width), (1, height)))
    column, row = x.floor().clamp(0, width - 2), y.floor().clamp(0, height - 2)
    first = torch.arange(count, device=values.device)[:, None, None] * (height * width)
    first = first + (row * width + column).long()
    plane = values.new_zeros(count * height * width, channels)
    rows = values.permute(0, 2, 3, 1)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - (y - row - down).abs()) * (1 - (x - column - right).abs())
        place = (first + down * width + right).flatten()
        plane.index_put_((place,), (rows * weight[..., None]).reshape(-1, channels), accumulate=True)
    return plane.view(count, height, width, channels).permute(0, 3, 1, 2).contiguous()
