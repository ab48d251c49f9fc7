"""Convolutions whose input and output channels are scaled sample by sample, in the cheapest of several equal forms.

Maps are channels_last in memory throughout.
"""

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.models.stylegan import winograd
from reidgen.models.stylegan.winograd import Sides


def modulated_conv(
    x: Tensor, weight: Tensor, style: Tensor, demodulation: Tensor, *, crop: Sides = (0, 0, 0, 0)
) -> Tensor:
    """Convolve with weight * style * demodulation, padded so that every overlap with the map counts.

    Where a set of weights is smaller than a sample's map, each sample gets a set of its own, and the map is read and
    written once; elsewhere the map is scaled before and after one shared convolution, which is the same function.

    Args:
        x: (N, in, H, W).
        weight: (out, in, k, k).
        style: (N, in), factors of the input channels.
        demodulation: (N, out), factors of the output channels.
        crop: Samples of the output that nobody needs: (left, right, top, bottom).

    Returns:
        (N, out, H + k - 1, W + k - 1), less what is cropped, in the number format of x. Karras et al. 2020 (CVPR),
        section 2.2.
    """
    kernel = weight.shape[-1]
    left, right, top, bottom = (kernel - 1 - side for side in crop)
    sides = left, right, top, bottom
    # batched GPU convolutions lose more by the loop over samples than the scaling costs
    if weight.numel() > x[0].numel() or (x.is_cuda and kernel > 1):
        y = _padded_conv(x * _per_channel(style, x), weight.to(x.dtype), sides)
        return y * _per_channel(demodulation, x)
    # the factors' product first: a kernel's numbers are then scaled in one run, ten times as fast on CPUs
    factors = demodulation[:, :, None] * style[:, None, :]
    own = (weight * factors[..., None, None]).to(x.dtype)
    if kernel == 1 and x.is_cuda:
        return _batched_product(_padded(x, sides), own[..., 0, 0])
    parts = [_padded_conv(sample, weights, sides) for sample, weights in zip(x.split(1), own.unbind(), strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _padded_conv(x: Tensor, weight: Tensor, sides: Sides) -> Tensor:
    if winograd.pays(x, weight):
        return winograd.convolved(x, weight, sides)
    convolve = pixel_product if weight.shape[-1] == 1 else functional.conv2d
    return convolve(_padded(x, sides), weight)


def _padded(x: Tensor, sides: Sides) -> Tensor:
    """Outside of the convolution: by more than one within it, the gradient of the weights is three times slower on
    CPUs.
    """
    return functional.pad(x, sides) if any(sides) else x


def pixel_product(x: Tensor, weight: Tensor) -> Tensor:
    """The 1x1 convolution of (N, in, H, W) with (out, in, 1, 1).

    The rows of the map are given to torch as samples: few samples are multiplied by another library than many, at half
    the speed on CPUs whose widest instructions that library does not use.
    """
    count, fan_in, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(count * height, width, fan_in)
    y = functional.conv2d(rows.transpose(1, 2)[:, :, None], weight)
    return y[:, :, 0].transpose(1, 2).reshape(count, height, width, -1).permute(0, 3, 1, 2)


def _batched_product(x: Tensor, weight: Tensor) -> Tensor:
    count, fan_in, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(count, height * width, fan_in)
    return torch.bmm(pixels, weight.transpose(1, 2)).view(count, height, width, -1).permute(0, 3, 1, 2)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype)[:, :, None, None]
