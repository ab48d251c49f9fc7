"""The filtered leaky ReLU against its definition: zeros inserted, dense two-dimensional filters."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from reidgen.models.filtered import banded, polyphase
from reidgen.models.filtered.filter_design import radial_lowpass
from reidgen.models.filtered.filtered_lrelu import filtered_lrelu, separable
from reidgen.models.stylegan.schedule import schedule
from reidgen.models.stylegan3 import layer_filters
from tests.models import reference_stylegan3 as reference

PADS = [(0, 0, 0, 0), (11, 10, 9, 12), (-3, 8, 5, -2), (7, 7, 12, 1), (-3, -2, -4, -1)]
SHAPES = [(2, 3), (1, 19), (1, 1), (2, 17), (1, 16)]  # samples, channels: whole blocks of 16, parts of one, both
KINDS = ["separable", "dense down", "dense up", "none"]


def filters(kind, up, down):
    chosen = {
        "separable": (torch.rand(3 * up), torch.rand(4 * down - 1)),
        "dense down": (torch.rand(6 * up), torch.rand(8, 7)),
        "dense up": (torch.rand(5, 6), torch.rand(12)),
        "none": (None, None),
    }[kind]
    return [None if taps is None else taps / taps.sum() for taps in chosen]


def error(ours, expected):
    """Greatest difference, in units of the greatest value; maps may be zero all over."""
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
    shapes = list(zip(PADS, SHAPES, strict=True))
    for padding, (count, channels) in shapes[(up + down) % 2 :: 2]:
        x, bias = torch.randn(count, channels, 26, 23), torch.randn(channels)
        arguments = {"up": up, "down": down, "padding": padding, "gain": 1.3, "slope": 0.2, "clamp": 0.8}
        expected = in_double(reference.filtered_lrelu, x, *taps, bias=bias, **arguments)
        assert error(in_double(filtered_lrelu, x, *taps, bias=bias, **arguments), expected) < 1e-12
        assert error(filtered_lrelu(x, *taps, bias=bias, **arguments), expected) < 1e-6


@pytest.mark.parametrize(
    ("config", "index", "clamp"), [("r", 5, 1.0), ("r", 9, 256.0), ("r", 13, 1.0), ("t", 8, 256.0), ("t", 12, 1.0)]
)
def test_layers_of_the_generator_and_their_gradients(config, index, clamp):
    torch.manual_seed(index)
    plan = schedule((32, 16), config=config, channel_base=2048, channel_max=32)[index]
    taps = list(layer_filters(plan).values())
    size = [side + plan.kernel - 1 for side in plan.before.size]
    arguments = {
        "up": plan.up,
        "down": plan.down,
        "padding": plan.padding,
        "gain": 2**0.5,
        "slope": 0.2,
        "clamp": clamp,
    }
    results = []
    direction = torch.randn(1, 17, *plan.after.size)
    values, offsets = torch.randn(1, 17, *size), torch.randn(17)
    for function, dtype in ((reference.filtered_lrelu, torch.float64), (filtered_lrelu, torch.float32)):
        x, bias = values.to(dtype).requires_grad_(), offsets.to(dtype).requires_grad_()
        y = function(x, *(t.to(dtype) for t in taps), bias=bias, **arguments)
        results.append((y, *torch.autograd.grad((y * direction).sum(), (x, bias))))
    for expected, ours in zip(*results, strict=True):
        assert error(ours, expected) < 1e-6


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
        return filtered_lrelu(
            x, up_filter, down_filter, bias=bias, up=up, down=down, padding=padding, gain=1.4, slope=0.2, clamp=clamp
        )

    assert gradcheck(function, (x, bias), fast_mode=True)
    assert gradgradcheck(function, (x, bias), fast_mode=True)


def second_order(x, bias, taps, arguments):
    """A gradient of a gradient, as R1 takes it, of a function of the output that is not linear."""
    y = filtered_lrelu(x, *taps, bias=bias, **arguments)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    return torch.autograd.grad(slope.square().sum(), (x, bias))


def test_second_derivatives_in_float32_are_those_in_float64():
    torch.manual_seed(2)
    taps = [torch.rand(12) / 6, torch.rand(8, 8) / 30]
    arguments = {"up": 4, "down": 2, "padding": (3, 2, 5, -3), "clamp": 0.9}
    x, bias = torch.randn(2, 18, 9, 11, requires_grad=True), torch.randn(18, requires_grad=True)
    ours = second_order(x, bias, taps, arguments)
    wide = [t.detach().double().requires_grad_() for t in (x, bias)]
    expected = second_order(*wide, [t.double() for t in taps], arguments)
    for a, b in zip(ours, expected, strict=True):
        assert error(a, b) < 2e-6


@pytest.mark.parametrize("cached", [1, 2**14, 2**30])
def test_the_size_of_the_chunks_makes_no_difference(cached, monkeypatch):
    torch.manual_seed(3)
    taps = [torch.rand(12) / 6, torch.rand(12) / 6]
    arguments = {"up": 2, "down": 2, "padding": (3, 9, 10, -3), "clamp": 3.0}
    x, bias = torch.randn(3, 83, 9, 11), torch.randn(83)
    expected = in_double(reference.filtered_lrelu, x, *taps, bias=bias, gain=1.0, slope=0.2, **arguments)
    monkeypatch.setattr(polyphase, "CACHED_BYTES", cached)
    monkeypatch.setattr(banded, "CHUNK_BYTES", cached)
    assert error(filtered_lrelu(x, *taps, bias=bias, gain=1.0, **arguments), expected) < 1e-6
    assert error(in_double(filtered_lrelu, x, *taps, bias=bias, gain=1.0, **arguments), expected) < 1e-12


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_float32_rounded_once(dtype, layout):
    torch.manual_seed(4)
    taps = [torch.rand(12) / 6, torch.rand(12) / 6]
    x, bias = torch.randn(2, 20, 9, 11).to(dtype).contiguous(memory_format=layout), torch.randn(20)
    arguments = {"bias": bias, "up": 2, "down": 2, "padding": (5, 5, 5, 5), "clamp": 256.0}
    expected = filtered_lrelu(x.float(), *taps, **arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = filtered_lrelu(x, *taps, **arguments)
    assert ours.dtype == dtype
    assert torch.equal(ours, expected.to(dtype))
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_values_that_are_not_finite_stay_in_their_channel():
    x = torch.zeros(1, 20, 8, 8)
    x[0, 3, 4, 4], x[0, 18, 4, 4] = float("nan"), 1e6
    taps = torch.ones(4) / 4
    y = filtered_lrelu(x, taps, taps, up=2, down=2, padding=(3, 3, 3, 3), gain=1.0, clamp=2.0)
    assert y[0, 3].isnan().any()
    assert not y[0, [c for c in range(20) if c != 3]].isnan().any()
    assert 1.5 < y[0, 18].max() <= 2.0  # clamped although the bound on the block's values is not a number


def test_a_radial_filter_is_as_many_separable_ones_as_its_precision_tells():
    taps = radial_lowpass(12, cutoff=2.0, half_width=6.0, rate=32)
    values = torch.linalg.svdvals(taps)
    assert 1e-4 < values[1] / values[0] < 1e-2
    assert values[2] / values[0] < 1e-6
    assert len(separable(taps.float())) == 2
    assert len(separable(taps)) > 2
    assert len(separable(torch.outer(torch.arange(5.0), torch.rand(7)))) == 1
    rebuilt = sum(torch.outer(torch.tensor(v), torch.tensor(h)) for v, h in separable(taps.float()))
    assert error(rebuilt, taps) < 1e-6


def test_filters_that_change_in_place_are_taken_apart_again():
    taps = torch.ones(4, 4) / 16
    before = separable(taps)
    taps.mul_(2)
    assert separable(taps) != before
    assert filtered_lrelu(torch.ones(1, 1, 4, 4), None, taps, gain=1.0).item() == pytest.approx(2.0)


def test_works_in_inference_mode():
    x = torch.randn(1, 2, 6, 6)
    with torch.inference_mode():
        taps = torch.ones(4) / 4
        y = filtered_lrelu(x, taps, taps, up=2, down=2, padding=(3, 3, 3, 3), clamp=1.0)
    plain = torch.ones(4) / 4
    assert torch.equal(y, filtered_lrelu(x, plain, plain, up=2, down=2, padding=(3, 3, 3, 3), clamp=1.0))


def test_only_the_input_is_kept_for_the_backward_pass():
    x, bias = torch.randn(1, 32, 20, 20, requires_grad=True), torch.zeros(32, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda t: t):
        filtered_lrelu(x, torch.ones(24) / 24, torch.ones(12) / 12, bias=bias, up=4, down=2, padding=(9, 9, 9, 9))
    assert sum(kept) == x.numel() + bias.numel()


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_a_gpu_computes_the_same(dtype, tolerance):
    torch.manual_seed(5)
    plan = schedule((64, 32), config="r", channel_base=2048, channel_max=32)[9]
    taps = list(layer_filters(plan).values())
    values, direction = torch.randn(2, 40, *plan.before.size).to(dtype), torch.randn(2, 40, *plan.after.size)
    arguments = {"up": plan.up, "down": plan.down, "padding": plan.padding, "clamp": 256.0}
    results = []
    for device, number in (("cpu", torch.float64), ("cuda", dtype)):
        x = values.to(device, number).contiguous(memory_format=torch.channels_last).requires_grad_()
        bias = torch.linspace(-1, 1, 40, device=device, requires_grad=True)
        y = filtered_lrelu(x, *(t.to(device) for t in taps), bias=bias, **arguments)
        assert y.dtype == number
        results.append((y, *torch.autograd.grad((y * direction.to(y)).sum(), (x, bias))))
    for expected, ours in zip(*results, strict=True):
        assert error(ours.cpu(), expected.double()) < tolerance
