import importlib.util
import sys

import numpy as np
import pytest

import reidgen as rg
from reidgen.annotate import landmarks
from reidgen.annotate.landmarks import LandmarkModel, model_file
from reidgen.annotate.masks import read_mask
from reidgen.annotate.truth import overlap, yaw_error
from reidgen.data.pixels.images import read_rgb
from reidgen.data.pixels.maps import mask_paths
from reidgen.data.readers.load import SAMPLE
from reidgen.errors import MissingExtraError, WeightsError

pytest.importorskip("ai_edge_litert", reason="the extra annotate is not installed")


@pytest.fixture(scope="module")
def model():
    """The model of the installed package."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("pip install --no-deps mediapipe==0.10.21")
    return LandmarkModel(model_file("package"))


def test_masks_and_yaws_of_rendered_people(model):
    table = rg.load_dataset("reidgen", root=SAMPLE)
    table = table.where(np.arange(len(table)) % 90 == 5)
    found = [model.find(np.array(read_rgb(path))) for path in table.paths]
    overlaps = [overlap(one.mask, read_mask(path)) for one, path in zip(found, mask_paths(table), strict=True)]
    assert np.mean(overlaps) > 0.85 and min(overlaps) > 0.6
    assert min(one.presence for one in found) > 0.5
    errors = [yaw_error(one.yaw, yaw) for one, yaw in zip(found, table.rows["yaw"], strict=True)]
    assert np.median(errors) < 25


def test_nobody_is_in_an_even_crop(model):
    assert model.find(np.full((128, 64, 3), 120, np.uint8)).presence < 0.5


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(landmarks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="mediapipe, which is not installed") as error:
        model_file("package")
    assert "pip install --no-deps mediapipe==0.10.21" in error.value.fix


def test_an_interpreter_that_is_not_there_is_named(monkeypatch, model):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingExtraError, match="ai-edge-litert") as error:
        LandmarkModel(model_file("package"))
    assert "reidgen[annotate]" in error.value.fix


@pytest.mark.parametrize("content", [None, b"", b"TFL3 damaged"])
def test_other_files_are_not_opened(tmp_path, content):
    path = tmp_path / "pose.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"pose\.tflite is not a published pose-landmark model"):
        LandmarkModel(path)
    with pytest.raises(WeightsError, match=r"pose\.tflite is not a published pose-landmark model"):
        model_file(str(path))
