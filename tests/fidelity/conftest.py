import numpy as np
import pytest

from reidgen.fidelity.extractors import Extractor
from tests.factories import make_table

WIDTH = 6


def means(crops):
    """Mean and spread of each colour: features without weights."""
    pixels = crops.reshape(len(crops), -1, 3) / 128 - 1
    return np.concatenate([pixels.mean(1), pixels.std(1)], 1).astype(np.float32)


@pytest.fixture
def colours():
    """A feature network without weights that counts the crops it has seen."""
    seen = []

    def compute(crops):
        seen.append(len(crops))
        return means(crops)

    extractor = Extractor(compute, WIDTH, "0" * 64, "mean and spread of each colour", "Colour-")
    object.__setattr__(extractor, "seen", seen)
    return extractor


@pytest.fixture
def real(tmp_path):
    """24 crops to learn from and 6 of others, 16x8."""
    pids = [1 + i // 3 for i in range(30)]
    return make_table(pids, splits=["train"] * 24 + ["query"] * 6, root=tmp_path / "real", size=(16, 8), name="real")
