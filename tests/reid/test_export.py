import copy
import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from reidgen.backbones.reid_model import ReidModel, build_network
from reidgen.config import ExportConfig, ReidConfig
from reidgen.errors import MissingExtraError, WeightsError
from reidgen.reid import export
from reidgen.reid.export import describe, export_onnx, largest_difference, onnx_bytes

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture(scope="module")
def model(narrow):
    config = ReidConfig(backbone="resnet18", weights="random", size=(48, 16), bottleneck=8)
    network = build_network(config, people=3)
    network.initialise(torch.Generator().manual_seed(0))
    return ReidModel(network.eval(), config, [1, 2, 3], {}, "ab" * 32, torch.device("cpu"))


@pytest.fixture(scope="module")
def contents(model):
    """What is exported, by flip; each export takes seconds."""
    configs = [ExportConfig(flip=flip) for flip in ("sum", "none")]
    return {config.flip: onnx_bytes(model, config, describe(model, config)) for config in configs}


@pytest.fixture
def exported(contents, monkeypatch):
    """`export_onnx` writes what was exported before."""
    monkeypatch.setattr(export, "onnx_bytes", lambda model, config, facts: contents[config.flip])


@pytest.mark.slow
def test_the_same_again_to_the_byte(model, contents, tmp_path):
    path = export_onnx(model, ExportConfig(flip="sum"), out=tmp_path)
    assert path.read_bytes() == contents["sum"]


@pytest.mark.slow
@pytest.mark.parametrize("flip", ["sum", "none"])
@pytest.mark.usefixtures("exported")
def test_onnxruntime_says_what_the_network_says_whatever_the_batch(model, tmp_path, flip):
    config = ExportConfig(flip=flip)
    path = export_onnx(model, config, out=tmp_path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        images = torch.randn(count, 3, 48, 16, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = model.network(images).embedding
            expected = expected + model.network(images.flip(3)).embedding if flip == "sum" else expected
        (found,) = session.run(None, {"images": images.numpy()})
        assert found.shape == (count, 8)
        np.testing.assert_allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
    known = session.get_modelmeta().custom_metadata_map
    assert (known["height"], known["width"], known["embedding"], known["people"]) == ("48", "16", "8", "3")
    assert json.loads(known["mean"]) == [0.485, 0.456, 0.406] and json.loads(known["std"]) == [0.229, 0.224, 0.225]
    assert (known["flip"], known["weights"], known["metric"]) == (flip, "ab" * 32, "cosine")
    facts = json.loads((tmp_path / "reid.json").read_text())
    assert facts == describe(model, config)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "done" and record["summary"]["largest_difference"] < 1e-4
    content = path.read_bytes()
    assert b"site-packages" not in content and b".py" not in content  # nothing of where it was made
    onnx.checker.check_model(onnx.load_model_from_string(content))


@pytest.mark.slow
@pytest.mark.usefixtures("exported")
def test_a_file_that_says_something_else_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(WeightsError, match="onnxruntime says something else"):
        export_onnx(model, out=tmp_path / "out")
    assert not (tmp_path / "out" / "reid.onnx").exists()


@pytest.mark.slow
def test_the_check_would_see_a_difference(model, contents):
    assert largest_difference(contents["none"], model, ExportConfig(flip="none")) < 1e-4
    assert largest_difference(contents["none"], model, ExportConfig(flip="sum")) > 1e-2


@pytest.mark.slow
def test_a_network_of_no_numbers_is_refused(model, tmp_path, monkeypatch):
    broken = dataclasses.replace(model, network=copy.deepcopy(model.network))
    with torch.no_grad():
        broken.network.bottleneck.weight[0, 0] = torch.nan
    config = ExportConfig(flip="none")
    content = onnx_bytes(broken, config, describe(broken, config))
    monkeypatch.setattr(export, "onnx_bytes", lambda *_: content)
    with pytest.raises(WeightsError, match=r"embeddings of random crops are not finite(.|\n)*got: nan"):
        export_onnx(broken, config, out=tmp_path / "out")
    assert not (tmp_path / "out" / "reid.onnx").exists()
    assert np.isnan(largest_difference(content, model, config))  # a file of no numbers is unlike any network


def test_the_network_stays_where_it_is(model):
    network = export._network(model, ExportConfig(flip="none")).network
    assert network is not model.network and not network.training


def test_a_missing_extra_is_told(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"needs the package onnxscript(.|\n)*reidgen\[onnx\]"):
        export_onnx(model, out=tmp_path / "out")
