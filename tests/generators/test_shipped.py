"""The generator that the quick start begins with: small, whole, learned from rendered people alone."""

from importlib import resources

import numpy as np
import pytest

from reidgen.config import StyleGANConfig
from reidgen.generators.trained import load_generator
from reidgen.generators.weights import read_generator, with_shape_of

PATH = resources.files("reidgen") / "assets" / "generator" / "generator.safetensors"


@pytest.fixture(scope="module")
def shipped():
    return load_generator(str(PATH), device="cpu")


def test_it_fits_the_wheel():
    assert PATH.stat().st_size <= 4_000_000
    recipe = PATH.parent / "README.md"
    assert "reidgen train-generator" in recipe.read_text()


def test_it_learned_from_rendered_people_of_a_train_split(shipped):
    for training in (shipped.training, *shipped.training["ancestors"]):
        assert (training["origins"], training["split"]) == (["rendered"], "train")
    assert len(shipped.training["ancestors"]) == 1  # the README's two trainings


def test_it_holds_a_discriminator_to_go_on_with():
    file = read_generator(str(PATH))
    assert file.parts["discriminator"]
    shape = with_shape_of(str(PATH), StyleGANConfig())
    assert shape.size == (64, 32)
    assert shape.channel_max == file.config.channel_max


def test_its_people_differ_from_one_another_and_from_flat_grey(shipped):
    images = shipped.sample(list(range(16))).astype(float)
    assert images.shape == (16, 64, 32, 3)
    assert images.std(axis=(1, 2)).min() > 8  # each has light and dark
    apart = [np.abs(a - b).mean() for i, a in enumerate(images) for b in images[:i]]
    assert min(apart) > 5
