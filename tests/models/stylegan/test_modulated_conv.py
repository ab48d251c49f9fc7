"""The forms of a modulated convolution against its definition, and their gradients against each other's."""

import pytest
import torch
from torch.nn import functional

from reidgen.models.stylegan.modulated_conv import modulated_conv, pixel_product


def slow(x, weight, style, demodulation):
    """One set of weights a sample, channel by channel."""
    out = []
    for sample, incoming, outgoing in zip(x, style, demodulation, strict=True):
        own = torch.stack([torch.stack([k * s for k, s in zip(row, incoming, strict=True)]) for row in weight])
        own = torch.stack([row * d for row, d in zip(own, outgoing, strict=True)])
        out.append(functional.conv2d(sample[None], own, padding=weight.shape[-1] - 1)[0])
    return torch.stack(out)


# the map is larger than the weights in the first two cases, and smaller in the last two
@pytest.mark.parametrize(("count", "size", "kernel"), [(3, (9, 7), 1), (1, (11, 8), 3), (3, (2, 1), 1), (2, (3, 2), 3)])
@pytest.mark.parametrize("crop", [(0, 0, 0, 0), (0, 0, 1, 0), (1, 2, 5, 4)])
def test_both_forms_are_the_definition(count, size, kernel, crop):
    if sum(crop[:2]) >= size[1] + kernel - 1 or sum(crop[2:]) >= size[0] + kernel - 1:
        crop = (0, 0, 0, 1)
    torch.manual_seed(0)
    arguments = [
        torch.randn(count, 5, *size, dtype=torch.float64),
        torch.randn(4, 5, kernel, kernel, dtype=torch.float64),
        torch.rand(count, 5, dtype=torch.float64) + 0.5,
        torch.rand(count, 4, dtype=torch.float64) + 0.5,
    ]
    for argument in arguments:
        argument.requires_grad_()
    left, right, top, bottom = crop
    expected = slow(*arguments)
    expected = expected[..., top : expected.shape[2] - bottom, left : expected.shape[3] - right]
    fast = modulated_conv(*arguments, crop=crop)
    torch.testing.assert_close(fast, expected)
    direction = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(fast, arguments, direction),
        torch.autograd.grad(expected, arguments, direction),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("crop", [(0, 0, 0, 0), (0, 1, 3, 0)])
def test_maps_stay_channels_last(count, kernel, crop):
    x = torch.randn(count, 8, 12, 6).contiguous(memory_format=torch.channels_last)
    y = modulated_conv(x, torch.randn(6, 8, kernel, kernel), torch.ones(count, 8), torch.ones(count, 6), crop=crop)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_pixel_product_reads_any_layout():
    x, weight = torch.randn(2, 5, 6, 4), torch.randn(3, 5, 1, 1)
    expected = torch.einsum("nihw,oi->nohw", x, weight[..., 0, 0])
    torch.testing.assert_close(pixel_product(x, weight), expected)
    torch.testing.assert_close(pixel_product(x.contiguous(memory_format=torch.channels_last), weight), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_number_format_is_that_of_the_map(dtype):
    x = torch.randn(2, 8, 12, 6).to(dtype)
    y = modulated_conv(x, torch.randn(6, 8, 1, 1), torch.ones(2, 8), torch.ones(2, 6))
    assert y.dtype == dtype
