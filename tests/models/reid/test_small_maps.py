"""Wide convolutions on small maps against plain ones in float64, and where they are used."""

import pytest
import torch
from torch.nn import functional

from reidgen.models.reid import small_maps
from reidgen.models.reid.small_maps import WideConv


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(small_maps, "LEAST_WEIGHTS", 0)


def wide(channels=5, width=6, dtype=torch.float32):
    torch.manual_seed(channels)
    return WideConv(channels, width).to(dtype=dtype, memory_format=torch.channels_last)


def plain_in_double(x, weight, slope):
    x, weight = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    y = functional.conv2d(x, weight, padding=1)
    return (y, *torch.autograd.grad(y, (x, weight), slope.double()))


# A float32 sum of n products is off by at most n roundings, each 2**-24 of the sum of their magnitudes (and terms of
# higher order), in any order of adding: Higham 2002, section 3.1. No sum here has more than 3 x 8 x 4 + 9 products.
SUMMED = 105 * 2**-24 * 1.001


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (2, 2), (4, 2), (5, 3), (8, 4)])
def test_values_and_gradients_are_those_of_a_plain_convolution(always, size, memory):
    conv = wide()
    x = torch.randn(3, 5, *size).contiguous(memory_format=memory).requires_grad_()
    slope = torch.randn(3, 6, *size)
    y = conv(x)
    assert "ByTaps" in type(y.grad_fn).__name__
    ours = (y, *torch.autograd.grad(y, (x, conv.weight), slope))
    expected = plain_in_double(x, conv.weight, slope)
    magnitudes = plain_in_double(x.abs(), conv.weight.abs(), slope.abs())
    for found, wanted, magnitude in zip(ours, expected, magnitudes, strict=True):
        assert ((found.double() - wanted).abs() <= SUMMED * magnitude).all()
    assert ours[2].stride() == conv.weight.stride()  # else each step copies it


def test_gradients_of_gradients(always):
    conv, x = wide(), torch.randn(2, 5, 4, 2, requires_grad=True)

    def penalty(convolve):
        (slope,) = torch.autograd.grad(convolve(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), (x, conv.weight))

    plain = penalty(lambda image: functional.conv2d(image, conv.weight, padding=1))
    for found, wanted in zip(penalty(conv), plain, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)


def test_only_wide_weights_that_learn_on_small_maps_go_by_taps():
    x, weight = torch.zeros(2, 512, 4, 2), torch.zeros(512, 512, 3, 3, requires_grad=True)
    assert small_maps.pays(x, weight)
    assert not small_maps.pays(x, weight.detach())
    assert not small_maps.pays(torch.zeros(2, 512, 16, 8), weight)
    assert not small_maps.pays(x, torch.zeros(64, 64, 3, 3, requires_grad=True))
    assert not small_maps.pays(x.double(), weight)
    with torch.no_grad():
        assert not small_maps.pays(x, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not small_maps.pays(x, weight)
