import pytest
import torch

from reidgen.config import StyleGANConfig, generator_preset
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.trained import load_generator
from reidgen.generators.training.train import train_generator
from reidgen.generators.weights import build_generator, write_generator
from reidgen.models import resnet
from tests.factories import make_table

TINY = {
    "size": (16, 8),
    "z_dim": 8,
    "w_dim": 8,
    "channel_base": 64,
    "channel_max": 8,
    "batch": 8,
    "kimg": 0.16,
    "snapshot_kimg": 0.08,
    "device": "cpu",
}


@pytest.fixture(scope="session")
def tiny():
    """A config of a network that trains in a second."""
    return StyleGANConfig(**TINY)


@pytest.fixture(scope="session")
def crops(tmp_path_factory):
    """40 crops of 20 people to learn from and 8 of 4 others."""
    pids = [1 + i // 2 for i in range(48)]
    splits = ["train"] * 40 + ["gallery"] * 8
    return make_table(pids, splits=splits, root=tmp_path_factory.mktemp("crops"), size=(16, 8))


@pytest.fixture(scope="session")
def gan(crops, tiny, tmp_path_factory):
    """A trained generator."""
    return train_generator(crops, tiny, out=tmp_path_factory.mktemp("gan"))


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """Generators of every kind with random weights, small, at 32x16."""
    folder = tmp_path_factory.mktemp("untrained")
    changes = {"size": (32, 16), "z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8}
    configs = {
        "stylegan2": StyleGANConfig(**changes),
        "stylegan3-t": generator_preset("market-stylegan3-t", **changes),
        "stylegan3-r": generator_preset("market-stylegan3-r", **changes),
        "dcgan": generator_preset("dcgan", size=(32, 16), z_dim=8, width=4),
    }
    made = {}
    for kind, config in configs.items():
        torch.manual_seed(1)
        path = folder / f"{kind}.safetensors"
        parts = {"generator": build_generator(config).state_dict(), "discriminator": {}}
        write_generator(path, parts, config=config, training={"split": "train"})
        made[kind] = load_generator(path, device="cpu")
    return made


class Colours:
    """In place of a re-ID network: the mean colours of the four quarters."""

    hash = "colours"

    def embeddings(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


@pytest.fixture(scope="session")
def likeness():
    """Distances by a small network with random weights, and by colours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        network = resnet.ResNet("resnet18")
    network.initialise(torch.Generator().manual_seed(0))
    return Likeness(network.eval().requires_grad_(False), Colours(), facts={"perceptual": "random"})


@pytest.fixture
def narrow(monkeypatch):
    """Encoders are narrow."""
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
