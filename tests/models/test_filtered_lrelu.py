"""The filtered leaky ReLU against its definition: zeros inserted, dense two-dimensional filters."""

import itertools

import pytest
import torch
from torch.nn import functional

from reidgen.models.filtered_lrelu import filtered_lrelu


def dense(taps):
    return torch.ones(1, 1) if taps is None else torch.outer(taps, taps) if taps.ndim == 1 else taps


def convolve(x, kernel):
    kernel = kernel.to(x).flip(0, 1).expand(x.shape[1], 1, *kernel.shape)
    return functional.conv2d(x, kernel, groups=x.shape[1])


def reference(x, up_filter, down_filter, *, bias, up, down, padding, gain, slope, clamp):
    y = x + bias[:, None, None]
    n, c, h, w = y.shape
    zeros = y.new_zeros(n, c, h * up, w * up)
    zeros[:, :, ::up, ::up] = y
    y = convolve(functional.pad(zeros, padding), dense(up_filter) * up * up)
    y = functional.leaky_relu(y, slope) * gain
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return convolve(y, dense(down_filter))[:, :, ::down, ::down]


def relative_error(ours, expected):
    return ((ours - expected).abs().max() / expected.abs().max()).item()


PADS = [(0, 0, 0, 0), (11, 10, 9, 12), (-3, 8, 5, -2), (7, 7, 30, 1)]


@pytest.mark.parametrize(("up", "down"), list(itertools.product((1, 2, 4), repeat=2)))
@pytest.mark.parametrize("padding", PADS)
@pytest.mark.parametrize("kinds", ["separable", "dense down", "dense up", "none"])
def test_equals_the_definition(up, down, padding, kinds):
    torch.manual_seed(up * 10 + down)
    x, bias = torch.randn(2, 3, 37, 31, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    filters = {
        "separable": (torch.rand(6 * up), torch.rand(6 * down - 1)),
        "dense down": (torch.rand(6 * up), torch.rand(8, 7)),
        "dense up": (torch.rand(5, 6), torch.rand(12)),
        "none": (None, None),
    }[kinds]
    up_filter, down_filter = (None if f is None else f.double() / f.sum() for f in filters)
    arguments = {"up": up, "down": down, "padding": padding, "gain": 1.3, "slope": 0.2, "clamp": 0.8}
    expected = reference(x, up_filter, down_filter, bias=bias, **arguments)
    got = filtered_lrelu(x, up_filter, down_filter, bias=bias, **arguments)
    assert got.shape == expected.shape
    assert relative_error(got, expected) < 1e-12
    single = [None if f is None else f.float() for f in (up_filter, down_filter)]
    got = filtered_lrelu(x.float(), *single, bias=bias.float(), **arguments)
    assert relative_error(got.double(), expected) < 1e-6
