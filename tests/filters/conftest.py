import numpy as np
import pytest

from reidgen.fidelity.extractors import Extractor
from tests.filters.made_features import Vectors


@pytest.fixture
def vectors(monkeypatch):
    """Features by hand in place of a network's; see `made_features.Vectors`."""
    made = Vectors()
    made.model = made.install(monkeypatch)
    return made


@pytest.fixture
def colours():
    """A feature network without weights, of the mean and spread of each colour, that counts the crops it has seen."""
    seen = []

    def compute(crops):
        seen.append(len(crops))
        pixels = crops.reshape(len(crops), -1, 3) / 128 - 1
        return np.concatenate([pixels.mean(1), pixels.std(1)], 1).astype(np.float32)

    extractor = Extractor(compute, 6, "0" * 64, "mean and spread of each colour", "Colour-")
    object.__setattr__(extractor, "seen", seen)
    return extractor
