"""The filtered leaky ReLU against its definition: zeros inserted, dense two-dimensional filters."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from reidgen.models import filtered_lrelu
from tests.models import reference_stylegan3 as reference

PADS = [(0, 0, 0, 0), (11, 10, 9, 12), (-3, 8, 5, -2), (7, 7, 30, 1), (-3, -2, -4, -1)]
KINDS = ["separable", "dense down", "dense up", "none"]


def filters(kind, up, down):
    chosen = {
        "separable": (torch.rand(6 * up), torch.rand(6 * down - 1)),
        "dense down": (torch.rand(6 * up), torch.rand(8, 7)),
        "dense up": (torch.rand(5, 6), torch.rand(12)),
        "none": (None, None),
    }[kind]
    return [None if taps is None else taps / taps.sum() for taps in chosen]


def error(ours, expected):
    """Greatest difference, in units of the greatest value."""
    assert ours.shape == expected.shape
    return ((ours.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-3)).item()


def in_double(function, x, up_filter, down_filter, *, bias, **arguments):
    wide = [None if taps is None else taps.double() for taps in (up_filter, down_filter)]
    return function(x.double(), *wide, bias=bias.double(), **arguments)


@pytest.mark.parametrize(("up", "down"), list(itertools.product((1, 2, 4), repeat=2)))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_definition(up, down, kind):
    torch.manual_seed(up * 10 + down)
    taps = filters(kind, up, down)
    for index, padding in enumerate(PADS):
        count, channels = [(2, 3), (1, 19), (1, 1), (3, 33), (1, 16)][index]
        x, bias = torch.randn(count, channels, 37, 34), torch.randn(channels)
        arguments = {"up": up, "down": down, "padding": padding, "gain": 1.3, "slope": 0.2, "clamp": 0.8}
        expected = in_double(reference.filtered_lrelu, x, *taps, bias=bias, **arguments)
        assert error(in_double(filtered_lrelu.filtered_lrelu, x, *taps, bias=bias, **arguments), expected) < 1e-12
        assert error(filtered_lrelu.filtered_lrelu(x, *taps, bias=bias, **arguments), expected) < 1e-6


@pytest.mark.parametrize(
    ("up", "down", "padding"), [(2, 2, (3, 5, -2, 1)), (4, 2, (2, -1, 7, 4)), (1, 2, (6, 6, 7, 7))]
)
@pytest.mark.parametrize("clamp", [None, 0.7])
def test_derivatives_of_both_orders(up, down, padding, clamp):
    torch.manual_seed(1)
    up_filter, down_filter = torch.rand(3 * up).double(), torch.rand(4, 3).double()
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)

    def function(x, bias):
        return filtered_lrelu.filtered_lrelu(
            x, up_filter, down_filter, bias=bias, up=up, down=down, padding=padding, gain=1.4, slope=0.2, clamp=clamp
        )

    assert gradcheck(function, (x, bias))
    assert gradgradcheck(function, (x, bias))
