import dataclasses

import pytest
import torch

from reidgen.config import StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import setup
from reidgen.errors import spelled
from reidgen.generators.training.estimate import Estimate, estimate, gamma_line
from reidgen.generators.training.style import StyleGANTraining


@pytest.fixture
def training(tiny, crops):
    return StyleGANTraining(tiny, setup("cpu"), CropStore.open(crops.train, size=(16, 8)), ramp=True)


def test_multiply_adds_of_the_discriminator_counted_by_hand(training):
    """16x8 pixels, channels 4, 8, 8; each filter is a 4x4 convolution a channel."""
    blocks = 0
    for height, fan_in, fan_out in ((16, 4, 8), (8, 8, 8)):
        full, half = height * height // 2, height * height // 8
        blocks += 9 * fan_in * fan_in * full  # conv0
        blocks += 16 * fan_in * (height + 1) * (height // 2 + 1) + 9 * fan_in * fan_out * half  # blur, conv1
        blocks += 16 * fan_in * half + fan_in * fan_out * half  # skip
    expected = 3 * 4 * 128 + blocks + 9 * 9 * 8 * 8 + 64 * 8 + 8  # colours, last convolution (4x2), two layers
    assert estimate(training).macs[1] == expected


def test_parameters_and_the_memory_that_grows_with_the_batch(training, tiny):
    cost = estimate(training)
    counts = [sum(p.numel() for p in network.parameters()) for network in (training.generator, training.discriminator)]
    assert list(cost.parameters) == counts
    assert cost.fixed_bytes >= 4 * (4 * sum(counts) + counts[0])
    assert cost.bytes_of(8) - cost.bytes_of(4) == 4 * cost.image_bytes
    # at the least, the input of each 3x3 convolution of D is kept, of fakes and of reals
    assert cost.image_bytes > 2 * 4 * (4 * 128 + 4 * 128 + 8 * 32 + 8 * 32)
    wide = dataclasses.replace(tiny, size=(32, 16))
    larger = StyleGANTraining(wide, setup("cpu"), CropStore(torch.zeros(8, 32, 16, 3).byte().numpy()), ramp=True)
    assert estimate(larger).image_bytes > 2 * cost.image_bytes


def test_a_training_goes_on_as_if_nothing_was_measured(training, tiny, crops):
    before = {name: value.clone() for name, value in training.generator.state_dict().items()}
    estimate(training)
    assert training.generator.training and training.discriminator.training
    assert all(torch.equal(before[name], value) for name, value in training.generator.state_dict().items())
    assert all(parameter.grad is None for parameter in training.generator.parameters())


def test_lines_for_people(tiny):
    cost = Estimate((22_900_000, 21_800_000), (5.67e9, 5.85e9), fixed_bytes=2**30, image_bytes=2**28)
    line = cost.line(dataclasses.replace(tiny, batch=32, accumulate=4))
    assert "generator: 22.9 M parameters, 5.67 GMAC an image; discriminator: 21.8 M, 5.85 GMAC" in line
    assert "about 3 GiB" in line and "batch 32 in 4 parts" in line
    assert spelled(gamma_line(StyleGANConfig())).startswith(
        "R1 weight: gamma=0.0512, 0.0002 * height * width / batch; worth trying: 0.0128 to 0.512"
    )
    relativistic = StyleGANConfig(loss="relativistic", size=(64, 64))
    assert spelled(gamma_line(relativistic)).startswith(
        "R1 and R2 weight: gamma=0.6, 0.6 * (height * width / 64^2)^1.5"
    )
    assert "as asked" in gamma_line(dataclasses.replace(tiny, gamma=2.0))
