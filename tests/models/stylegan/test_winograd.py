"""Convolutions with fewer multiplications against plain ones in float64, and where they are used."""

import pytest
import torch
from torch.nn import functional

from reidgen.models.stylegan import winograd
from reidgen.models.stylegan.modulated_conv import modulated_conv

ERROR = 4e-6  # of float32, in units of the whole map: a norm over many roundings, which hardly depends on their order


def apart(ours, expected):
    return ((ours.double() - expected.double()).norm() / expected.double().norm()).item()


@pytest.fixture
def unmixed(monkeypatch):
    """Calls of the step that only this way of convolving has."""
    calls = []
    monkeypatch.setattr(
        winograd, "_unmix", lambda *arguments, was=winograd._unmix: (calls.append(1), was(*arguments))[1]
    )
    return calls


@pytest.mark.parametrize(
    "sides", [(2, 2, 2, 2), (1, 0, 1, 0), (0, 1, 0, 2), (-3, -4, -3, -4), (0, -2, 5, -6), (3, 1, 7, 6)]
)
@pytest.mark.parametrize(("count", "height", "width"), [(1, 15, 12), (2, 16, 13), (3, 17, 14)])
def test_every_padding_and_height(count, height, width, sides):
    torch.manual_seed(height)
    x = torch.randn(count, 5, height, width).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(3, 5, 3, 3)
    expected = functional.conv2d(functional.pad(x.double(), sides), weight.double())
    ours = winograd.convolved(x, weight, sides)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        ours.double(), expected, rtol=0, atol=2e-6 * expected.square().mean().sqrt().item() + 1e-5
    )


def test_rows_in_several_blocks(monkeypatch):
    x, weight = torch.randn(2, 8, 21, 6), torch.randn(4, 8, 3, 3)
    whole = winograd.convolved(x, weight, (2, 2, 2, 2))
    monkeypatch.setattr(winograd, "BLOCK_BYTES", 2 * 4 * 6 * 8 * winograd.MIXED)  # two tiles
    assert apart(winograd.convolved(x, weight, (2, 2, 2, 2)), whole) < 2 * ERROR  # each is that far from the exact one
    monkeypatch.setattr(winograd, "BLOCK_BYTES", 1)
    assert apart(winograd.convolved(x, weight, (2, 2, 2, 2)), whole) < 2 * ERROR


def test_rounding_with_many_channels(unmixed):
    torch.manual_seed(0)
    x, weight = torch.randn(1, 256, 16, 16), torch.randn(32, 256, 3, 3)
    expected = functional.conv2d(x.double(), weight.double())
    assert apart(winograd.convolved(x, weight, (0, 0, 0, 0)), expected) < ERROR
    assert unmixed  # so it was not the plain convolution


def test_what_is_no_number_stays_where_it_is():
    x, weight = torch.zeros(1, 2, 24, 5), torch.ones(1, 2, 3, 3)
    x[0, 0, 12, 2] = torch.nan
    touched = winograd.convolved(x, weight, (1, 1, 1, 1))[0, 0].isnan()
    assert touched[11:14, 1:4].all()
    assert not touched[:8].any() and not touched[16:].any()


def test_it_is_used_for_large_maps_without_gradient_alone(monkeypatch):
    monkeypatch.setattr(winograd, "LEAST", 3 * 4 * 9 * 6 * 5)
    x, weight = torch.randn(2, 4, 6, 5), torch.randn(3, 4, 3, 3)
    assert winograd.pays(x, weight)
    assert not winograd.pays(x[:, :, :5], weight)
    assert not winograd.pays(x, weight[:, :, :1, :1])
    assert not winograd.pays(x.bfloat16(), weight.bfloat16())
    assert not winograd.pays(x.double(), weight.double())
    assert not winograd.pays(x.requires_grad_(), weight)
    with torch.no_grad():
        assert winograd.pays(x, weight)


@pytest.mark.parametrize("size", [(9, 7), (3, 2)])  # a set of weights for each sample, and one for all
@pytest.mark.parametrize("crop", [(0, 0, 0, 0), (1, 2, 1, 2), (0, 0, 3, 0)])
def test_modulated_convolutions_are_the_same_both_ways(size, crop, monkeypatch, unmixed):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 4, *size), torch.randn(5, 4, 3, 3)
    factors = torch.rand(3, 4) + 0.5, torch.rand(3, 5) + 0.5
    expected = modulated_conv(x, weight, *factors, crop=crop)
    monkeypatch.setattr(winograd, "LEAST", 0)
    assert apart(modulated_conv(x, weight, *factors, crop=crop), expected) < 2 * ERROR
    assert unmixed
