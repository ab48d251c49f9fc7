"""Weight files of translators, and that a crop's pixels depend on nothing but its own row."""

import numpy as np
import pytest
import torch

from reidgen.config.generators.translators import FAMILIES
from reidgen.errors import DataError, WeightsError
from reidgen.generators.translation.networks import BACK, GENERATOR, build_networks
from reidgen.generators.translation.translator import FILE, load_translator, write_translator
from tests.generators.translation.conftest import SIZE, tiny_config, untrained

PRESETS = ("pix2pix-pose", "background", "spgan", "stargan", "paste")
COUNT = 19  # more than a pass


@pytest.fixture(scope="module", params=PRESETS)
def translator(request, tmp_path_factory):
    """A translator with random weights, read from its file."""
    cameras = (1, 2, 3) if request.param == "stargan" else (1, 2)
    return untrained(request.param, tmp_path_factory.mktemp(request.param), cameras)


def pictures(count=COUNT):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (count, *SIZE, 3), np.uint8)
    masks, poses = (np.where(rng.random((count, *SIZE)) < 0.5, 255, 0).astype(np.uint8) for _ in range(2))
    return crops, masks, poses


def test_pixels_do_not_depend_on_the_batch(translator):
    crops, masks, poses = pictures()
    way, seeds = translator.ways[0], list(range(100, 100 + COUNT))
    whole = translator.translate(crops, seeds, way=way, masks=masks, poses=poses)
    assert whole.shape == crops.shape
    assert whole.dtype == np.uint8
    order = [17, 3, 4]
    some = translator.translate(
        crops[order], [seeds[i] for i in order], way=way, masks=masks[order], poses=poses[order]
    )
    assert np.array_equal(some, whole[order])
    one = translator.translate(crops[5:6], seeds[5:6], way=way, masks=masks[5:6], poses=poses[5:6])
    assert np.array_equal(one, whole[5:6])


def test_what_a_crop_depends_on(translator):
    crops, masks, poses = pictures(2)
    preset, way = translator.config.preset, translator.ways[0]
    given = {"crops": crops, "masks": masks, "poses": poses, "seeds": [1, 2]}

    def made(**changes):
        one = {**given, **changes}
        return translator.translate(one["crops"], one["seeds"], way=way, masks=one["masks"], poses=one["poses"])

    counts = {
        "crops": {"crops": 255 - crops},
        "masks": {"masks": 255 - masks},
        "poses": {"poses": 255 - poses},
        "seeds": {"seeds": [3, 4]},
    }
    matters = {name for name, change in counts.items() if not np.array_equal(made(), made(**change))}
    expected = {
        "pix2pix-pose": {"crops", "masks", "poses"},
        "background": {"crops"},
        "spgan": {"crops"},
        "stargan": {"crops"},
        "paste": {"crops", "masks", "seeds"},
    }
    assert matters == expected[preset], "these canvases are too small for maps with dropout"


@pytest.mark.parametrize("preset", ["background", "spgan"])
def test_what_a_file_keeps(preset, tmp_path):
    config = tiny_config(preset)
    networks = build_networks(config, 2)
    write_translator(tmp_path / FILE, networks, config=config, cameras=[1, 2], training={"steps": 7})
    opened = load_translator(tmp_path)
    assert opened.config == config
    assert opened.training == {"steps": 7}
    assert opened.cameras == (1, 2)
    for name in opened.networks:
        theirs, ours = opened.networks[name].state_dict(), networks[name].state_dict()
        assert all(torch.equal(value, ours[key]) for key, value in theirs.items())


def test_dropout_is_drawn_from_the_seed(tmp_path):
    config = tiny_config("pix2pix", size=(64, 64), width=2)
    path = tmp_path / "weights.safetensors"
    write_translator(path, build_networks(config, 2), config=config, cameras=[1, 2], training={})
    translator = load_translator(path)
    for layer in translator.networks[GENERATOR].modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.weight.normal_(std=0.5)
    crops = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    one, again, other = (translator.translate(crops, [seed], way=(1, 2)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_ways(translator):
    expected = {"cycle": [(1, 2), (2, 1)], "domains": [(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b]}
    family = FAMILIES.get(translator.config.preset, "paired")
    assert translator.ways == expected.get(family, [(1, 2)])
    crops, masks, poses = pictures(1)
    with pytest.raises(DataError, match="other cameras") as caught:
        translator.translate(crops, [0], way=(1, 9), masks=masks, poses=poses)
    assert "1 to 2" in str(caught.value)


def test_each_way_has_its_network(tmp_path):
    config = tiny_config("camstyle")
    networks = build_networks(config, 2)
    networks[BACK].layers[-2].bias.data.fill_(50)  # white
    networks[GENERATOR].layers[-2].bias.data.fill_(-50)  # black
    write_translator(tmp_path / FILE, networks, config=config, cameras=[1, 2], training={})
    translator = load_translator(tmp_path)
    crops, _, _ = pictures(1)
    assert (translator.translate(crops, [0], way=(1, 2)) == 0).all()
    assert (translator.translate(crops, [0], way=(2, 1)) == 255).all()


def test_what_is_no_translator(tmp_path, gan):
    with pytest.raises(WeightsError, match="train-translator"):
        load_translator(tmp_path)
    with pytest.raises(WeightsError, match="another network"):
        load_translator(gan.path)


def test_half_the_bytes(tmp_path):
    sizes = {}
    for dtype in ("float32", "float16"):
        config = tiny_config("camstyle", save_dtype=dtype, width=16)
        path = tmp_path / f"{dtype}.safetensors"
        write_translator(path, build_networks(config, 2), config=config, cameras=[1, 2], training={})
        sizes[dtype] = path.stat().st_size
        load_translator(path)
    assert sizes["float16"] < 0.55 * sizes["float32"]
