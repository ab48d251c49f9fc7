import pytest

from reidgen.config import StyleGANConfig
from reidgen.generators.train import train_generator
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
