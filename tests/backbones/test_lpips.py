import importlib.util
import json
import pickle
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reidgen.backbones import lpips as module
from reidgen.backbones import weights as weights_module
from reidgen.backbones.lpips import load_lpips, packaged_heads, read_heads
from reidgen.backbones.weights import cache_folder
from reidgen.config import LikenessConfig
from reidgen.errors import ConfigError, WeightsError
from reidgen.generators.inversion.likeness import load_likeness
from reidgen.losses.images.perceptual import lpips_distance
from reidgen.models.perceptual.lpips import CHANNELS, Lpips

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "lpips.json").read_text())
packaged = pytest.mark.skipif(importlib.util.find_spec("lpips") is None, reason="the extra `lpips` is not installed")


def backbone(name):
    """The random backbone that the golden values were computed with."""
    draw, made = np.random.default_rng(7), {}
    for key, value in Lpips(name).state_dict().items():
        if key.endswith(".weight"):
            _, into, kernel, _ = value.shape
            deviation = (2 / (into * kernel * kernel)) ** 0.5
            made[key] = torch.from_numpy(draw.normal(0, deviation, value.shape).astype(np.float32))
        elif key.endswith(".bias"):
            made[key] = torch.from_numpy(draw.normal(0, 0.1, value.shape).astype(np.float32))
    return made


def images(size):
    """The pairs that the golden values were computed of: noise added, and one crop against another upside down."""
    draw = np.random.default_rng(11)
    a = draw.uniform(-1, 1, (3, 3, *size)).astype(np.float32)
    b = np.clip(a + draw.normal(0, 0.3, a.shape), -1, 1).astype(np.float32)
    b[2] = a[0, :, ::-1]
    return torch.from_numpy(a), torch.from_numpy(b)


def heads_file(path, name="alex", change=lambda state: state):
    state = {f"lin{i}.model.1.weight": torch.rand(1, n, 1, 1) for i, n in enumerate(CHANNELS[name])}
    torch.save(change(state), path)
    return path


@pytest.fixture
def alexnet(tmp_path):
    """A file with AlexNet's features, random."""
    save_file(backbone("alex"), tmp_path / "alexnet.safetensors")
    return str(tmp_path / "alexnet.safetensors")


@packaged
@pytest.mark.parametrize("name", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_distances_are_those_of_the_package(name, tmp_path):
    file = str(tmp_path / "backbone.safetensors")
    save_file(backbone(name), file)
    config = LikenessConfig(perceptual_backbone=f"lpips-{name}", perceptual_weights=file, reid_weight=0)
    likeness = load_likeness(config, device="cpu")
    for size in ((64, 32), (128, 64), (33, 47)):
        a, b = images(size)
        found = likeness.distances(a, likeness.of(b))["perceptual"]
        wanted = torch.tensor(GOLDEN[f"{name} {size[0]}x{size[1]}"]["distance"])
        assert torch.allclose(found, wanted, atol=1e-6, rtol=1e-5)
    assert likeness.facts["perceptual"] == f"lpips-{name}, version 0.1"
    assert likeness.facts["perceptual_heads"] == module.HEADS_SHA256[name]
    assert "lpips" not in sys.modules and "torchvision" not in sys.modules


@packaged
def test_each_stage_is_that_of_the_package(alexnet):
    network, _ = load_lpips("alex", weights=alexnet)
    # LPIPS's own shift and scale, of which ImageNet's mean and deviation are another form
    shift, scale = (torch.tensor(x).view(3, 1, 1) for x in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    a, b = (network.stages((x - shift) / scale) for x in images((64, 32)))
    for stage, wanted in enumerate(GOLDEN["alex 64x32"]["layers"]):
        found = lpips_distance(a[stage : stage + 1], b[stage : stage + 1], network.heads[stage : stage + 1])
        assert found.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-7)


def test_gradients_reach_the_image_where_features_are_dead_too(alexnet, tmp_path):
    heads = str(heads_file(tmp_path / "alex.pth"))
    config = LikenessConfig(perceptual_backbone="lpips-alex", perceptual_weights=alexnet, perceptual_heads=heads)
    likeness = load_likeness(LikenessConfig(**{**vars(config), "reid_weight": 0}), device="cpu")
    with torch.no_grad():
        likeness.perceptual.features[8].bias.fill_(-100.0)  # a stage that is 0 everywhere
    image = images((64, 32))[0].requires_grad_()
    found = likeness.distances(image, likeness.of(images((64, 32))[1]))["perceptual"]
    found.sum().backward()
    assert bool(torch.isfinite(image.grad).all()) and bool((image.grad != 0).any())
    same = likeness.distances(images((64, 32))[0], likeness.of(images((64, 32))[0]))["perceptual"]
    assert same.tolist() == [0, 0, 0]


def test_without_the_package_the_error_says_what_to_do(alexnet, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="which is not installed") as error:
        load_lpips("alex", weights=alexnet)
    assert "pip install --no-deps lpips==0.1.4; or perceptual_backbone='resnet50'" in str(error.value)


def test_a_package_with_another_file_is_refused(alexnet, tmp_path, monkeypatch):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(WeightsError, match=r"There is no .*alex\.pth"):
        packaged_heads("alex")
    (tmp_path / "weights" / "v0.1").mkdir(parents=True)
    heads_file(tmp_path / "weights" / "v0.1" / "alex.pth")
    with pytest.raises(WeightsError, match="is not the file that was published"):
        load_lpips("alex", weights=alexnet)


class Harmful:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: {**state, "lin2.model.1.weight": torch.rand(1, 7, 1, 1)}, r"lin2.model.1.weight \(1, 7, 1, 1\)"),
        (
            lambda state: {key: value for key, value in state.items() if "lin4" not in key},
            "lin4.model.1.weight missing",
        ),
        (lambda state: {**state, "lin5.model.1.weight": torch.rand(1, 7, 1, 1)}, "lin5.model.1.weight"),
        (lambda state: {**state, "lin0.model.1.weight": -torch.rand(1, 64, 1, 1)}, "negative numbers"),
        (lambda state: {**state, "lin0.model.1.weight": torch.full((1, 64, 1, 1), float("nan"))}, "negative numbers"),
        (lambda state: [1, 2], "lin0.model.1.weight missing"),
    ],
)
def test_heads_that_are_none(change, told, tmp_path):
    with pytest.raises(WeightsError, match=rf"does not hold LPIPS's heads for alex\.\n  got: .*{told}"):
        read_heads(heads_file(tmp_path / "alex.pth", change=change), "alex")


def test_heads_are_read_as_data(tmp_path, capsys):
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(WeightsError, match="is not read"):
        read_heads(tmp_path / "bad.pth", "alex")
    torch.save({"lin0": Harmful()}, tmp_path / "worse.pth")
    with pytest.raises(WeightsError, match="is not read"):
        read_heads(tmp_path / "worse.pth", "alex")
    assert capsys.readouterr().out == ""
    with pytest.raises(WeightsError, match="There is no weight file"):
        read_heads(tmp_path / "nowhere.pth", "alex")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda state: {key: value for key, value in state.items() if key != "features.0.bias"},
            "features.0.bias missing",
        ),
        (lambda state: {**state, "features.12.weight": torch.zeros(1)}, "features.12.weight unknown"),
        (lambda state: {**state, "features.0.bias": torch.zeros(65)}, r"features.0.bias \(65,\) instead of \(64,\)"),
    ],
)
def test_a_backbone_is_taken_whole_or_not_at_all(change, told, tmp_path):
    save_file(change(backbone("alex")), tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match=rf"does not fit the network\.\n  got: {told}") as error:
        load_lpips("alex", weights=str(tmp_path / "odd.safetensors"), heads=str(heads_file(tmp_path / "alex.pth")))
    assert "torchvision's alexnet; or perceptual_backbone='resnet50'" in str(error.value)


def test_without_a_connection_the_error_says_what_to_put_where(monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for name, file in (("alex", "alexnet-owt-7be5be79.pth"), ("vgg", "vgg16-397923af.pth")):
        with pytest.raises(WeightsError, match=f"The ImageNet weights {file} cannot be downloaded") as error:
            load_lpips(name)
        assert f"put the file at {cache_folder() / 'weights' / file}, or perceptual_weights='FILE'" in str(error.value)
        assert "or perceptual_backbone='resnet50', another distance under its own name" in str(error.value)


def test_a_file_put_in_place_is_checked_and_kept_without_its_classifier(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    theirs = tmp_path / "weights" / "alexnet-owt-7be5be79.pth"
    torch.save({**backbone("alex"), "classifier.6.weight": torch.rand(10, 4)}, theirs)
    heads = str(heads_file(tmp_path / "alex.pth"))
    with pytest.raises(WeightsError, match="is not torchvision's file"):
        load_lpips("alex", heads=heads)
    monkeypatch.setattr(weights_module, "file_sha256", lambda path: "7be5be79" + 56 * "0")
    network, _ = load_lpips("alex", heads=heads)
    kept = load_file(tmp_path / "weights" / "alexnet-owt-7be5be79.safetensors")
    assert not theirs.exists() and kept.keys() == backbone("alex").keys()
    assert torch.equal(network.features[10].weight, kept["features.10.weight"])


def test_heads_without_lpips_are_an_error():
    with pytest.raises(ConfigError, match="resnet50 has no heads"):
        LikenessConfig(perceptual_heads="alex.pth")
    with pytest.raises(ConfigError, match="no 1x1 convolution"):
        LikenessConfig(perceptual_backbone="lpips-vgg", perceptual_stride_in="1x1")
