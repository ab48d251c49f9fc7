import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from reidgen.backbones.timm_backbone import TimmBackbone
from reidgen.errors import ConfigError, MissingExtraError, WeightsError

SIZE = (32, 16)
CFG = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "hf_hub_id": "made/of", "url": "", "tag": "none"}


class Made(nn.Module):
    """What the package's networks have in common: features in one of three layouts, and a head without classes."""

    def __init__(self, layout, cfg, img_size=None):
        super().__init__()
        if img_size is not None and img_size[0] % 8:
            raise AssertionError("Input height doesn't match the grid")
        self.layout, self.num_features, self.pretrained_cfg = layout, 6, cfg
        self.stem = nn.Conv2d(3, 6, 8, stride=8)

    def forward_features(self, images):
        maps = self.stem(images)
        return {"NCHW": maps, "NHWC": maps.permute(0, 2, 3, 1), "tokens": maps.flatten(2).transpose(1, 2)}[self.layout]

    def forward_head(self, tokens, pre_logits):
        assert pre_logits
        return tokens.mean(dim=1)


@pytest.fixture
def package(monkeypatch):
    """A stand-in for timm, so that these tests need neither the package nor its torchvision."""
    cfgs = {name: dict(CFG) for name in ("NCHW", "NHWC", "tokens", "clip", "homeless")}
    cfgs["clip"]["mean"], cfgs["clip"]["std"] = (0.5, 0.4, 0.3), (0.5, 0.25, 0.1)
    cfgs["homeless"]["hf_hub_id"] = None
    downloads = []

    def create_model(name, *, pretrained, num_classes, **more):
        assert num_classes == 0
        if pretrained:
            downloads.append(name)
            if name != "NCHW":
                raise OSError("no route to host")
        network = Made("NCHW" if name in ("clip", "homeless") else name, cfgs[name], **more)
        if pretrained:
            nn.init.ones_(network.stem.weight)
        return network

    fake = SimpleNamespace(
        is_model=lambda name: name in cfgs,
        list_models=lambda: list(cfgs),
        get_pretrained_cfg=lambda name: SimpleNamespace(fixed_input_size=name == "tokens"),
        create_model=create_model,
    )
    monkeypatch.setitem(sys.modules, "timm", fake)
    return downloads


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "tokens"])
def test_every_layout_becomes_a_map(package, layout):
    network = TimmBackbone(layout, size=SIZE)
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    maps = network.net.stem(images)
    expected = maps.mean(dim=(2, 3), keepdim=True) if layout == "tokens" else maps
    torch.testing.assert_close(network(images), expected)
    assert (network.channels, network.gives) == (6, "vector" if layout == "tokens" else "map")
    assert list(network.state_dict()) == ["net.stem.weight", "net.stem.bias"]
    assert network.training


def test_crops_are_brought_to_the_normalisation_of_the_weights(package):
    network, pixels = (
        TimmBackbone("clip", size=SIZE),
        torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)),
    )

    def normalised(mean, std):
        return (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)

    ours, theirs = normalised(CFG["mean"], CFG["std"]), normalised((0.5, 0.4, 0.3), (0.5, 0.25, 0.1))
    torch.testing.assert_close(network(ours), network.net.stem(theirs))


def test_random_weights_follow_the_generator_alone_and_leave_torchs_state(package):
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = TimmBackbone("NCHW", size=SIZE)
        before = torch.random.get_rng_state()
        network.initialise(torch.Generator().manual_seed(5))
        assert torch.equal(torch.random.get_rng_state(), before)
        states.append(network.state_dict())
    assert torch.equal(states[0]["net.stem.weight"], states[1]["net.stem.weight"])


def test_weights_of_the_package(package):
    network = TimmBackbone("NCHW", size=SIZE)
    assert network.load_pretrained() == "timm's NCHW, none"
    assert network.net.stem.weight.eq(1).all()
    with pytest.raises(WeightsError, match=r"timm's weights of clip cannot be had\.\n  got: no route to host"):
        TimmBackbone("clip", size=SIZE).load_pretrained()
    with pytest.raises(WeightsError, match=r"timm has no weights for homeless\."):
        TimmBackbone("homeless", size=SIZE).load_pretrained()
    assert package == ["NCHW", "clip"]


def test_an_unknown_name_is_told_with_those_that_are_near(package):
    with pytest.raises(ConfigError) as caught:
        TimmBackbone("token", size=SIZE)
    assert str(caught.value) == (
        "timm has no such network.\n  got: timm:token\n  allowed: a name of timm.list_models()\n"
        "  try: backbone='timm:tokens'"
    )


def test_a_size_that_does_not_fit_is_told(package):
    with pytest.raises(ConfigError) as caught:
        TimmBackbone("tokens", size=(30, 16))
    assert "got: size=(30, 16); Input height doesn't match the grid" in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be built for these crops"):
        TimmBackbone("NCHW", size=(4, 4))  # smaller than one step of its stem


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'reidgen\[timm\]'"):
        TimmBackbone("resnet18", size=SIZE)


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        ('RuntimeError("operator torchvision::nms does not exist")', "RuntimeError: operator torchvision::nms"),
        ("ImportError", "ImportError: no reason"),
        ('ModuleNotFoundError("No module named \'torchvision\'", name="torchvision")', "No module named 'torchvision'"),
    ],
)
def test_a_package_that_is_there_and_breaks_is_told(raises, told, tmp_path, monkeypatch):
    """Such as timm beside a torchvision that was built for another torch."""
    (tmp_path / "timm.py").write_text(f"raise {raises}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(ConfigError) as error:
        TimmBackbone("resnet18", size=SIZE)
    assert error.value.what == "A backbone of timm needs the package timm, which is installed and cannot be imported."
    assert told in error.value.got


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "channels", "gives"), [("resnet18", 512, "map"), ("vit_tiny_patch16_224", 192, "vector")]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package's own import
def test_networks_of_the_package_itself(name, channels, gives):
    pytest.importorskip("timm", reason="the extra `timm` is not installed", exc_type=ImportError)
    network = TimmBackbone(name, size=(64, 32))
    assert (network.channels, network.gives) == (channels, gives)
