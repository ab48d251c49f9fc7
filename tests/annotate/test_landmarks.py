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


def test_somebody_else_is_seen(model):
    """Two rendered crops beside each other, squeezed into one, against each of them alone."""
    crops = [np.array(read_rgb(path)) for path in rg.load_dataset("reidgen", root=SAMPLE).paths[5::23]][:16]
    pairs = [np.concatenate(pair, axis=1)[:, ::2] for pair in zip(crops, crops[1:] + crops[:1], strict=True)]
    alone, beside = ([model.others(crop, model.find(crop)) for crop in side] for side in (crops, pairs))
    assert np.mean([one > other for one in beside for other in alone]) > 0.8  # as often as that a pair has more


def test_what_counts_as_somebody_else(model, monkeypatch):
    """By hand: a person of 8 pixels, painted over; of the 16 pixels found then 12 are not of it or its margin."""
    seen = []

    def find(crop):
        seen.append(crop)
        mask = np.zeros((16, 8), bool)
        mask[6:14, :2] = True
        return landmarks.Landmarks(mask, 0.8, 0.0)

    monkeypatch.setattr(model, "find", find)
    crop = np.full((16, 8, 3), 50, np.uint8)
    person = np.zeros((16, 8), bool)
    person[2:6, :2] = True
    crop[person] = 250
    assert model.others(crop, landmarks.Landmarks(person, 1.0, 0.0)) == pytest.approx(0.8 * 12 / 8)
    assert (seen[0] == 50).all()  # nothing of the person is left


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
