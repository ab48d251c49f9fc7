"""bfloat16 on a CPU: what the processor computes wrongly is computed in float32, whatever processor it is."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from reidgen.engine.devices import bfloat16
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.models.dcgan import Discriminator, Generator
from reidgen.models.resnet import ResNet
from reidgen.models.stylegan.encoder import Encoder

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(bfloat16, "_sound", {})


@pytest.fixture
def broken(monkeypatch):
    """A processor whose convolutions put, in bfloat16, on maps one pixel wide, out what lies in memory."""
    right = bfloat16._computed

    def computed(func, given, slope, dtype):
        out = right(func, given, slope, dtype)
        return [x * torch.nan for x in out] if dtype == torch.bfloat16 and given[0][0].shape[-1] == 1 else out

    monkeypatch.setattr(bfloat16, "_computed", computed)


def _in_bfloat16(conv, image):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return conv(image)


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_gradients_are_numbers(name):
    network = ResNet(name)
    network.initialise(torch.Generator().manual_seed(0))
    _check_gradients(network, torch.rand(2, 3, 32, 16))


def test_gradients_of_an_encoder_are_numbers():
    network = Encoder("resnet18", size=(16, 8), num_ws=1, w_dim=3, width=16)
    network.initialise(torch.Generator().manual_seed(0))
    _check_gradients(network, torch.rand(4, 3, 16, 8), torch.rand(4, 3, 16, 8))


def test_gradients_of_a_dcgan_are_numbers():
    _check_gradients(Discriminator((32, 16), width=64), torch.rand(8, 3, 32, 16))
    _check_gradients(Generator(8, size=(32, 16), width=64), torch.rand(8, 8))


def _check_gradients(network, *inputs):
    """Some times, as memory that nobody has written is not the same each time."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim == 4]
    for _ in range(3):
        bfloat16._poison(*inputs, *weights)
        network.zero_grad()
        with sound_bfloat16(CPU, "bf16", tell=False), torch.autocast("cpu", dtype=torch.bfloat16):
            out = network(*inputs)
        assert out.isfinite().all()
        out.float().square().sum().backward()
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in network.parameters())


def test_a_wrong_convolution_leaves_bfloat16_and_is_told_once(broken, capsys):
    conv, image = nn.Conv2d(4, 4, 3, stride=2, padding=1), torch.rand(2, 4, 4, 1)
    with sound_bfloat16(CPU, "bf16") as kept:
        found = [_in_bfloat16(conv, image) for _ in range(2)]
        strided = _in_bfloat16(nn.ConvTranspose2d(4, 4, 2), image)
    assert found[0].dtype == strided.dtype == torch.bfloat16
    assert torch.equal(found[0], conv(image).to(torch.bfloat16)) and torch.equal(*found)
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "conv2d of (2, 4, 4, 1) by (4, 4, 3, 3)" in told and "kept in float32" in told
    assert kept == [
        "conv2d of (2, 4, 4, 1) by (4, 4, 3, 3)",
        "conv_transpose2d of (2, 4, 4, 1) by (4, 4, 2, 2)",
    ]


def test_a_layer_of_half_precision_is_guarded_too(broken):
    image, weight = torch.rand(2, 4, 4, 1).bfloat16(), torch.rand(4, 4, 3, 3).bfloat16()
    with sound_bfloat16(CPU, "bf16", tell=False) as kept:
        found = functional.conv2d(image, weight=weight, padding=[1, 1])
    assert len(kept) == 1
    assert torch.equal(found, functional.conv2d(image.float(), weight.float(), padding=1).bfloat16())


def test_a_right_convolution_stays(broken, capsys):
    conv, image = nn.Conv2d(4, 4, 1), torch.rand(2, 4, 4, 2)
    with sound_bfloat16(CPU, "bf16") as kept:
        assert torch.equal(_in_bfloat16(conv, image), _in_bfloat16(conv, image))
        assert conv(image).dtype == torch.float32  # no part of an autocast
    assert torch.equal(_in_bfloat16(conv, image), _in_bfloat16(conv, image))
    assert kept == [] and capsys.readouterr().err == ""
    assert list(bfloat16._sound.values()) == [True]


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_each_of_output_and_gradients_is_compared(monkeypatch, wrong):
    right = bfloat16._computed

    def computed(func, given, slope, dtype):
        out = right(func, given, slope, dtype)
        if dtype == torch.bfloat16:
            out[wrong] = out[wrong] + 0.05 * out[wrong].abs().max()
        return out

    arguments = ((torch.zeros(2, 3, 4, 4), torch.zeros(3, 3, 3, 3)), {"padding": 1})
    assert bfloat16._agrees(torch.conv2d, *arguments)
    monkeypatch.setattr(bfloat16, "_computed", computed)
    assert not bfloat16._agrees(torch.conv2d, *arguments)


def test_the_test_draws_nothing_of_the_run(broken):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.no_grad(), sound_bfloat16(CPU, "bf16", tell=False) as kept:
        _in_bfloat16(nn.Conv2d(1, 1, 1).requires_grad_(False), torch.ones(1, 1, 2, 2))
    assert kept == [] and len(bfloat16._sound) == 1
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    nn.Conv2d(1, 1, 1)
    assert torch.equal(torch.get_rng_state(), after)


def test_other_precisions_and_devices_are_not_looked_at():
    make = partial(nn.Conv2d, 1, 1, 1)
    for device, precision in ((CPU, "float32"), (torch.device("cuda"), "bf16")):
        with sound_bfloat16(device, precision):
            _in_bfloat16(make(), torch.ones(1, 1, 2, 2))
    assert bfloat16._sound == {}
