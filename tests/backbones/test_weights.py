import dataclasses
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reidgen.backbones import weights
from reidgen.backbones.reid_model import build_network, save_reid
from reidgen.backbones.weights import imagenet_file, load_backbone, weights_hash
from reidgen.config import ReidConfig, as_dict
from reidgen.engine.checkpoint import load_tensors, load_weights, save_weights
from reidgen.errors import ConfigError, WeightsError
from reidgen.models.resnet import ResNet


@pytest.fixture(scope="module")
def tensors():
    network = ResNet("resnet18")
    network.initialise(torch.Generator().manual_seed(0))
    return {**network.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def config(path, **changes):
    return ReidConfig(weights=str(path), **{"backbone": "resnet18", **changes})


def test_a_file_of_torchvisions_names_is_loaded_but_for_its_classifier(tensors, tmp_path):
    save_file(tensors, tmp_path / "r18.safetensors")
    network = ResNet("resnet18")
    told = load_backbone(network, config(tmp_path / "r18.safetensors"))
    assert told == "The backbone starts from r18.safetensors: 120 tensors; fc.bias, fc.weight of the file are not used."
    for name, value in network.state_dict().items():
        assert torch.equal(value, tensors[name]), name


def test_half_precision_and_missing_counters_are_accepted(tensors, tmp_path):
    half = {name: value.half() for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    save_file(half, tmp_path / "half.safetensors")
    network = ResNet("resnet18")
    load_backbone(network, config(tmp_path / "half.safetensors"))
    weight = network.layer4[1].conv2.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, tensors["layer4.1.conv2.weight"].half().float())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_torchreid_gives_its_backbone(tensors, prefix, zipped, tmp_path):
    state = {f"{prefix}{name.replace('fc.', 'classifier.')}": value for name, value in tensors.items()}
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [20, 40])
    rest = {"epoch": 60, "rank1": np.float64(0.9), "optimizer": optimizer.state_dict()}
    rest["scheduler"] = scheduler.state_dict()
    path = tmp_path / "model.pth.tar-60"
    torch.save({"state_dict": state, **rest}, path, _use_new_zipfile_serialization=zipped)
    own = ResNet("resnet18")
    told = load_backbone(own, config(path))
    assert told == (
        "The backbone starts from model.pth.tar-60: 120 tensors; "
        "classifier.weight, classifier.bias of the file are not used."
    )
    assert all(torch.equal(value, tensors[name]) for name, value in own.state_dict().items())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!DOCTYPE html><html>quota exceeded</html>", "a web page, as sites answer"),
        (b"\n <HTML lang=en>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer(.|\n)*git lfs pull"),
        (b"\x1f\x8b\x08", "a gzip archive(.|\n)*unpack it first"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "model.pth.tar-60"])
def test_a_file_that_is_something_else_is_told_for_what_it_is(content, told, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=told):
        load_backbone(ResNet("resnet18"), config(tmp_path / name))


def test_what_is_no_state_dict_is_told(tmp_path):
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "no.pth")
    with pytest.raises(WeightsError, match="a dict of epoch, optimizer"):
        load_backbone(ResNet("resnet18"), config(tmp_path / "no.pth"))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(
        WeightsError, match=r"a network that was pickled whole, with its code .*save network\.state_dict"
    ):
        load_backbone(ResNet("resnet18"), config(tmp_path / "whole.pth"))


@pytest.mark.parametrize(
    ("names", "fix"),
    [
        (["layer1.0.conv3.weight", *(f"layer3.{i}.conv1.weight" for i in range(6))], "backbone='resnet50'"),
        (
            ["layer1.0.conv3.weight", *(f"layer3.{i}.conv1.weight" for i in range(23))],
            "this is a resnet101, which is no",
        ),
        (["features.0.weight"], "a file of torchvision's names"),
    ],
)
def test_a_network_of_another_depth_is_told_by_name(names, fix, tmp_path):
    save_file({name: torch.zeros(1) for name in names}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError) as error:
        load_backbone(ResNet("resnet18"), config(tmp_path / "x.safetensors"))
    assert fix in error.value.fix


def test_a_network_of_another_width_is_told_by_its_width(tmp_path):
    save_file(ResNet("resnet18_ibn", base_width=16).state_dict(), tmp_path / "narrow.safetensors")
    asked = config(tmp_path / "narrow.safetensors", backbone="resnet18_ibn", base_width=16)
    narrow = ResNet("resnet18_ibn", base_width=16)
    assert "new" not in load_backbone(narrow, asked)
    with pytest.raises(WeightsError) as error:
        load_backbone(ResNet("resnet18_ibn"), dataclasses.replace(asked, base_width=64))
    assert error.value.fix == "backbone='resnet18_ibn' and base_width=16"
    with pytest.raises(ConfigError, match=r"no such weights of this width"):
        ReidConfig(backbone="resnet18", base_width=32)


def test_a_pth_file_is_read_by_the_reader_that_rebuilds_tensors_only(tensors, tmp_path):
    torch.save(tensors, tmp_path / "r18.pth")
    network = ResNet("resnet18")
    load_backbone(network, config(tmp_path / "r18.pth"))
    assert torch.equal(network.conv1.weight, tensors["conv1.weight"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_in_the_network_are_named(tensors, tmp_path, value):
    broken = {name: one.clone() for name, one in tensors.items()}
    broken["fc.bias"][0] = torch.nan  # not used
    broken["layer2.0.conv1.weight"] = broken["layer2.0.conv1.weight"].double()
    broken["layer2.0.conv1.weight"][3, 2, 1, 0] = value
    save_file(broken, path := tmp_path / "r18.safetensors")
    network = ResNet("resnet18")
    before = network.conv1.weight.clone()
    with pytest.raises(WeightsError) as caught:
        load_backbone(network, config(path))
    assert str(caught.value) == (
        f"{path} holds weights that are not numbers.\n  got: layer2.0.conv1.weight\n  allowed: finite weights\n"
        "  try: another file, or weights='imagenet'"
    )
    assert torch.equal(network.conv1.weight, before)


class Harmful:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pth_file_with_code_is_refused_and_not_run(tmp_path):
    torch.save({"conv1.weight": Harmful(tmp_path / "made")}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth is not read\.\n  got: it asks for io\.open"):
        load_backbone(ResNet("resnet18"), config(tmp_path / "bad.pth"))
    assert not (tmp_path / "made").exists()


def test_another_network_is_told(tensors, tmp_path):
    changed = {name: value for name, value in tensors.items() if name != "bn1.weight"}
    changed["extra"], changed["conv1.weight"] = torch.zeros(1), torch.zeros(64, 3, 3, 3)
    path = tmp_path / "other.safetensors"
    save_file(changed, path)
    with pytest.raises(WeightsError) as caught:
        load_backbone(ResNet("resnet18"), config(path))
    assert str(caught.value) == (
        f"{path} does not fit the network.\n"
        "  got: 1 missing: bn1.weight; 1 unknown: extra; 1 shape: conv1.weight (64, 3, 3, 3) instead of (64, 3, 7, 7)\n"
        "  allowed: the names and shapes of torchvision's network of this depth\n"
        "  try: backbone='resnet18'"
    )


@pytest.mark.parametrize(("declared", "right", "wrong"), [("true", "1x1", "3x3"), ("false", "3x3", "1x1")])
def test_the_other_stride_layout_is_told(declared, right, wrong, tmp_path):
    network = ResNet("resnet50", stride_in=right)
    path = tmp_path / "r50.safetensors"
    save_file(network.state_dict(), path, metadata={"stride_in_1x1": declared})
    load_backbone(network, config(path, backbone="resnet50", stride_in=right))
    with pytest.raises(WeightsError) as caught:
        load_backbone(network, config(path, backbone="resnet50", stride_in=wrong))
    assert str(caught.value) == (
        f"{path} is of the other stride layout.\n"
        f"  got: a network whose stride is on the {right} convolution, and stride_in={wrong!r}\n"
        f"  allowed: stride_in={right!r}\n"
        f"  try: stride_in={right!r}"
    )


def test_a_missing_and_a_damaged_file_are_told(tmp_path):
    with pytest.raises(WeightsError, match=r"There is no weight file nowhere\.safetensors"):
        weights_hash("nowhere.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00")
    with pytest.raises(WeightsError, match="damaged or no safetensors file"):
        load_backbone(ResNet("resnet18"), config(tmp_path / "cut.safetensors"))


def test_without_a_connection_the_error_says_what_to_put_where(monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    folder = weights.cache_folder() / "weights"
    with pytest.raises(WeightsError) as caught:
        imagenet_file("resnet50")
    url = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert str(caught.value) == (
        "The ImageNet weights resnet50-0676ba61.pth cannot be downloaded.\n"
        "  got: no route\n"
        f"  allowed: a connection to {url}\n"
        f"  try: download that address elsewhere and put the file at {folder / 'resnet50-0676ba61.pth'}, "
        "or weights='FILE.safetensors'"
    )


def test_a_file_put_in_place_is_checked_converted_once_and_used(tensors, tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    theirs = tmp_path / "weights" / "resnet18-f37072fd.pth"
    torch.save(tensors, theirs)
    with pytest.raises(WeightsError, match=r"is not torchvision's file\.\n  got: SHA-256"):
        imagenet_file("resnet18")
    monkeypatch.setattr(weights, "file_sha256", lambda path: "f37072fd" + 56 * "0")
    ours = imagenet_file("resnet18")
    assert not theirs.exists()
    assert torch.equal(load_file(ours)["conv1.weight"], tensors["conv1.weight"])
    network = ResNet("resnet18")
    load_backbone(network, ReidConfig(backbone="resnet18"))
    assert torch.equal(network.conv1.weight, tensors["conv1.weight"])
    assert load_tensors(ours)[1]["stride_in_1x1"] == "false"  # so that --stride-in 1x1 is told


def test_a_file_of_torchvision_fills_what_ibn_and_non_local_blocks_share_with_it(tmp_path):
    plain = ResNet("resnet50")
    plain.initialise(torch.Generator().manual_seed(0))
    save_file(plain.state_dict(), tmp_path / "r50.safetensors")
    network = ResNet("resnet50_ibn", attention="non-local")
    network.initialise(torch.Generator().manual_seed(1))
    new = {name: value.clone() for name, value in network.state_dict().items()}
    asked = config(tmp_path / "r50.safetensors", backbone="resnet50_ibn", attention="non-local")
    told = load_backbone(network, asked)
    assert told.endswith(
        "r50.safetensors: 253 tensors; 65 tensors of the file are not used; "
        "156 tensors of non-local blocks or IBN are new."
    )
    for name, value in network.state_dict().items():
        beside = name.startswith("attention.") or ".IN." in name or ".BN." in name
        assert torch.equal(value, new[name] if beside else plain.state_dict()[name]), name


def test_a_file_of_ibn_is_read_whole_or_not_at_all(tmp_path):
    network = ResNet("resnet50_ibn")
    network.initialise(torch.Generator().manual_seed(0))
    state = network.state_dict()
    state["layer1.0.bn1.IN.weight"] += 1
    save_file(state, tmp_path / "ibn.safetensors")
    again = ResNet("resnet50_ibn")
    load_backbone(again, config(tmp_path / "ibn.safetensors", backbone="resnet50_ibn"))
    assert torch.equal(again.state_dict()["layer1.0.bn1.IN.weight"], state["layer1.0.bn1.IN.weight"])
    del state["layer2.3.bn1.BN.bias"]
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing: layer2\.3\.bn1\.BN\.bias"):
        load_backbone(again, config(tmp_path / "cut.safetensors", backbone="resnet50_ibn"))
    with pytest.raises(WeightsError, match=r"unknown: .*bn1\.BN"):
        load_backbone(ResNet("resnet50"), config(tmp_path / "ibn.safetensors", backbone="resnet50"))


@pytest.fixture
def trained(tmp_path):
    """The run folder of a training, as far as its network goes."""
    asked = ReidConfig(backbone="resnet18", weights="random", size=(32, 16), bottleneck=8)
    network = build_network(asked, 3)
    network.initialise(torch.Generator().manual_seed(5))
    save_reid(tmp_path / "reid.safetensors", network, {"reid": as_dict(asked), "pids": [1, 2, 3], "facts": {}})
    return tmp_path, network


@pytest.mark.parametrize("name", ["", "reid.safetensors"])
def test_a_training_starts_from_the_backbone_of_another(trained, name):
    folder, network = trained
    own = ResNet("resnet18")
    told = load_backbone(own, config(folder / name))
    assert told == "The backbone starts from reid.safetensors: 120 tensors."
    for key, value in own.state_dict().items():
        assert torch.equal(value, network.backbone.state_dict()[key]), key
    assert weights_hash(str(folder)) == weights_hash(str(folder / "reid.safetensors"))


def test_the_stride_layout_of_another_training_is_known(trained):
    folder, _ = trained
    tensors, description = load_weights(folder / "reid.safetensors")
    description["reid"]["stride_in"] = "1x1"
    save_weights(folder / "reid.safetensors", tensors, config=description)
    with pytest.raises(WeightsError, match="other stride layout"):
        load_backbone(ResNet("resnet18"), config(folder))


def test_a_folder_without_a_trained_network_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weight file .*reid\.safetensors"):
        weights_hash(str(tmp_path))
