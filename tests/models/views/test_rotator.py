import numpy as np
import pytest
import torch
from torch.nn import functional

from reidgen.models.resnet import ResNet
from reidgen.models.views.identity import MEAN, PARTS, STD, PartEncoder
from reidgen.models.views.rotator import Modulation, Rotator, exchanged
from reidgen.models.views.scales import ScaleDiscriminator


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def rotator():
    """A small rotator of grey structures."""
    torch.manual_seed(0)
    return Rotator(ResNet("resnet18"), planes=1, width=4, code=8).eval()


@pytest.mark.parametrize("size", [(16, 16), (32, 16), (64, 32), (36, 20)])
def test_any_size_of_multiples_of_four(rotator, size):
    features, codes = rotator.identity(drawn(2, 3, *size).tanh())
    assert features.shape == (2, 512) and codes.shape == (2, PARTS, 8)
    image = rotator(codes, drawn(2, 1, *size).tanh())
    assert image.shape == (2, 3, *size) and image.abs().max() <= 1


def test_key_points_have_seventeen_planes():
    network = Rotator(ResNet("resnet18"), planes=17, width=4, code=8).eval()
    assert network(drawn(1, PARTS, 8), drawn(1, 17, 32, 16)).shape == (1, 3, 32, 16)


def test_modulation_by_a_loop():
    layer = Modulation(3, 5).double()
    x, codes = drawn(2, 3, 8, 4).double(), drawn(2, PARTS, 5, seed=1).double()
    out = layer(x, codes)
    styles = layer.to_styles(codes)
    for n in range(2):
        for channel in range(3):
            values = x[n, channel]
            normed = (values - values.mean()) / (values.var(unbiased=False) + 1e-5).sqrt()
            for row in range(8):
                at = min(max((row + 0.5) / 8 * PARTS - 0.5, 0), PARTS - 1)  # place of the row among the parts' middles
                low = min(int(at), PARTS - 2)
                scale, shift = (
                    torch.lerp(styles[n, low, i], styles[n, low + 1, i], at - low) for i in (channel, 3 + channel)
                )
                assert torch.allclose(out[n, channel, row], normed[row] * (1 + scale) + shift)


def test_a_part_dresses_its_own_rows():
    layer = Modulation(2, 3)
    x, codes = drawn(1, 2, 16, 4), drawn(1, PARTS, 3)
    head = exchanged(codes, codes + 1, (0,))
    changed = (layer(x, head) - layer(x, codes)).abs().amax(dim=(0, 1, 3)) > 0
    assert changed.tolist() == [True] * 6 + [False] * 10  # to the middle of the second part


def test_exchanged_parts_are_the_others():
    own, others = torch.zeros(2, PARTS, 3), torch.ones(2, PARTS, 3)
    assert exchanged(own, others, (1, 3))[..., 0].tolist() == [[0, 1, 0, 1]] * 2
    assert torch.equal(exchanged(own, others, ()), own)


class Flat(torch.nn.Module):
    """A backbone whose map is the picture itself."""

    channels = 3

    def forward(self, images):
        return images


@pytest.mark.parametrize("height", [2, 8, 16])
def test_stripes_and_normalisation_by_hand(height):
    encoder = PartEncoder(Flat(), code=2)
    crops = drawn(1, 3, height, 3).tanh()
    features, codes = encoder(crops)
    pixels = ((crops[0].numpy() + 1) / 2 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    rows = pixels.mean(2)
    if height == 2:  # the middles of four stripes lie at -1/4, 1/4, 3/4, 5/4 of the rows, within their ends
        rows = np.stack([rows[:, 0] + (rows[:, 1] - rows[:, 0]) * share for share in (0, 0.25, 0.75, 1)], axis=1)
    stripes = rows.reshape(3, PARTS, -1).mean(2)
    assert features[0].numpy() == pytest.approx(stripes.mean(1), rel=1e-4, abs=1e-5)  # float32
    expected = encoder.code(torch.from_numpy(stripes.T).float()).detach()
    assert codes[0].detach().numpy() == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-5)


def test_the_discriminator_sees_halves_by_area():
    judge = ScaleDiscriminator((64, 32), width=4, scales=3).double().eval()
    images = drawn(2, 3, 64, 32).double().tanh()
    logits = judge(images)
    assert len(logits) == len(judge.networks) == 3
    halved = images.unflatten(2, (32, 2)).unflatten(4, (16, 2)).mean(dim=(3, 5))
    assert torch.allclose(logits[1], judge.networks[1](halved), rtol=0, atol=1e-12)
    assert len(ScaleDiscriminator((32, 16), width=4, scales=3).networks) == 2  # an 8x4 picture has no patch left


def test_people_and_structure_both_count(rotator):
    codes, structure = drawn(2, PARTS, 8), drawn(1, 1, 32, 16).expand(2, -1, -1, -1)
    made = rotator(codes, structure)
    assert not torch.equal(made[0], made[1])
    moved = rotator(codes, functional.pad(structure, (3, 0))[..., :16])
    assert not torch.equal(made, moved)
