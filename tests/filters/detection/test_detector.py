import json
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

import reidgen
from reidgen.config import FilterConfig
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, MissingExtraError, RunError, WeightsError
from reidgen.filters import DetectorFilter, SSIMFilter
from reidgen.filters.apply import apply_filters, run_filters
from reidgen.filters.detection import detectors as detectors_module
from reidgen.filters.detection.detectors import person_scores
from reidgen.models.detector.yolov4_tiny import yolov4_tiny_cfg
from tests.darknet_files import small_cfg, weight_bytes, write_darknet
from tests.factories import make_table


class Marks:
    """A detector whose score for a crop is its mean red, and which notes how many crops it saw at once."""

    def __init__(self, *, fail_after=99):
        self.seen, self.left = [], fail_after

    def find(self, crops):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.seen.append(len(crops))
        return [(np.array([[0.0, 0, 4, 8]]), np.array([crop[..., 0].mean() / 255])) for crop in crops]


@pytest.fixture
def weights(tmp_path):
    return write_darknet(tmp_path / "net", small_cfg())


@pytest.fixture
def use(monkeypatch):
    """Put a detector in place of the one that a filter opens."""

    def put(detector):
        monkeypatch.setattr("reidgen.filters.detection.detector.open_detector", lambda *_, **__: detector)
        monkeypatch.setattr("reidgen.filters.detection.detector.detector_hash", lambda *_: "marks")
        return detector

    return put


def test_the_sources_settings_are_the_defaults():
    assert reidgen.DetectorFilter is DetectorFilter
    filter_ = DetectorFilter()
    assert (filter_.model, filter_.threshold, filter_.overlap, filter_.padding) == ("yolov4-tiny", 0.6, 0.3, 150)
    assert filter_.rule == (
        "no person above 0.6000 found by yolov4-tiny (product score, border of 150 pixels, at their own size)"
    )
    assert DetectorFilter("hog").threshold == 0


def test_the_source_program_in_opencv_gives_the_same_scores_and_people(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="the extra `detect` is not installed")
    cfg = yolov4_tiny_cfg(classes=2).replace("[yolo]\n", "[yolo]\nthresh=0.0\n")
    path = write_darknet(tmp_path / "net", cfg, seed=4)
    table = make_table([1, 1, 2], root=tmp_path / "crops", size=(128, 64))
    filter_ = DetectorFilter(str(path), 0.3)
    crops = np.stack([cv2.imread(str(p))[..., ::-1] for p in table.paths])
    network = cv2.dnn.readNetFromDarknet(str(path.with_suffix(".cfg")), str(path))
    scores, people = filter_.scores(table), filter_.detect(crops)
    for crop, score, (boxes, found) in zip(crops, scores, people, strict=True):
        best, kept = opencv_people(cv2, network, crop, 0.3, 0.3)
        assert score == pytest.approx(best, abs=1e-4)
        assert len(kept) == len(found) > 1
        nearest = np.abs(boxes[:, None] - kept).max(-1)  # equal scores may stand in another order
        assert max(nearest.min(0).max(), nearest.min(1).max()) < 0.01


def opencv_people(cv2, network, crop, threshold, overlap):
    """The sources' way, told in section 0.1 of their repository: border, blob, best class, suppression."""
    bordered = cv2.copyMakeBorder(crop[..., ::-1], 150, 150, 150, 150, cv2.BORDER_CONSTANT, value=(101, 52, 152))
    network.setInput(cv2.dnn.blobFromImage(bordered, 1 / 255, (416, 416), swapRB=True, crop=False))
    rows = np.concatenate(network.forward(network.getUnconnectedOutLayersNames()))
    rows = rows[rows[:, 5:].argmax(1) == 0]
    scores = rows[:, 5]
    sizes = rows[:, 2:4] * (bordered.shape[1], bordered.shape[0])
    corners = rows[:, :2] * (bordered.shape[1], bordered.shape[0]) - sizes / 2 - 150
    boxes = np.concatenate([corners, sizes], axis=1)
    kept = np.reshape(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), threshold, overlap), -1)
    return scores.max(), boxes[kept]


def test_which_score_is_compared():
    boxes = torch.tensor([[[0, 0, 1, 1, 0.5, 0.8, 0.3], [0, 0, 1, 1, 0.9, 0.6, 0.7]]])
    torch.testing.assert_close(person_scores(boxes, score="product"), torch.tensor([[0.4, 0.0]]))
    torch.testing.assert_close(person_scores(boxes, score="class"), torch.tensor([[0.8, 0.0]]))
    torch.testing.assert_close(person_scores(boxes, score="product", person=1), torch.tensor([[0.0, 0.63]]))


def test_scores_and_verdicts(tmp_path, use):
    table = make_table([1, 1, 2, -1], root=tmp_path, splits="gallery")
    use(Marks())
    filter_ = DetectorFilter(threshold=0.5)
    judged = apply_filters(table, [filter_])
    scores = judged.rows["score_detector"].to_list()
    assert len(set(scores)) == 4
    assert judged.rows["rejected_by"].to_list() == [None if score > 0.5 else "detector" for score in scores]
    assert filter_.rejected(np.array([0.4, 0.5, 0.50001])) == ["detector", "detector", None]  # above, as the source


def test_crops_without_any_candidate_score_0_and_are_rejected(tmp_path, use):
    table = make_table([1, 2], root=tmp_path)
    use(SimpleNamespace(find=lambda crops: [(np.empty((0, 4)), np.empty(0)) for _ in crops]))
    judged = apply_filters(table, [DetectorFilter()])
    assert judged.rows["score_detector"].to_list() == [0, 0]
    assert judged.rows["rejected_by"].to_list() == ["detector", "detector"]
    assert all(path.is_file() for path in judged.paths)


def test_batches_do_not_cross_blocks_and_do_not_change_scores(tmp_path, use, monkeypatch):
    table = make_table(range(1, 12), root=tmp_path)
    monkeypatch.setattr("reidgen.filters.detection.detector.BLOCK", 5)
    whole = use(Marks())
    scores = DetectorFilter(batch=16).scores(table)
    parts = use(Marks())
    np.testing.assert_array_equal(DetectorFilter(batch=2).scores(table), scores)
    assert whole.seen == [11]
    assert max(parts.seen) == 2


def test_a_killed_filter_goes_on_and_ends_with_the_same_bytes(tmp_path, use, monkeypatch):
    table, real = (make_table(range(1, 12), root=tmp_path / name, name=name) for name in ("fake", "real"))
    monkeypatch.setattr("reidgen.filters.detection.detector.BLOCK", 5)  # with batches of 2, blocks of 4
    arguments = (table, [DetectorFilter(batch=2), SSIMFilter(0.3)], real)
    use(Marks())
    apply_filters(*arguments, tmp_path / "whole")
    use(Marks(fail_after=9))  # the reference takes 6 batches, so this is in the second block of the crops
    with pytest.raises(KeyboardInterrupt):
        apply_filters(*arguments, tmp_path / "cut")
    assert len(list((tmp_path / "cut" / "scoring").rglob("*.safetensors"))) == 3 + 1
    again = use(Marks())
    apply_filters(*arguments, tmp_path / "cut")
    assert sum(again.seen) == 11 - 4
    whole, cut = (content(tmp_path / name) for name in ("whole", "cut"))
    assert whole == cut
    assert not (tmp_path / "cut" / "scoring").exists()


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", ".lock", "README.md")
    }


def test_other_weights_under_the_same_name_are_another_run(tmp_path, weights):
    table = make_table([1, 2], root=tmp_path / "crops")
    filter_ = DetectorFilter(str(weights), batch=2)
    apply_filters(table, [filter_], out=tmp_path / "out")
    inputs = json.loads((tmp_path / "out/run.json").read_text())["inputs"]
    assert len(inputs["detector.model"].split()) == 2
    weights.write_bytes(weight_bytes(small_cfg(), seed=1))
    with pytest.raises(RunError, match=r"detector.model"):
        apply_filters(table, [filter_], out=tmp_path / "out")


def test_a_truncated_weight_file_leaves_the_folder_free(tmp_path, weights):
    table = make_table([1, 2], root=tmp_path / "crops")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match=r"net\.weights: The weight file is truncated"):
        apply_filters(table, [DetectorFilter(str(weights))], out=tmp_path / "out")
    weights.write_bytes(whole)
    assert len(apply_filters(table, [DetectorFilter(str(weights))], out=tmp_path / "out")) == 2


def test_missing_and_unknown_files_are_told(tmp_path, weights):
    table = make_table([1], root=tmp_path / "crops")
    for model, message in (
        (str(tmp_path / "none.weights"), "There is no detector file"),
        (str(tmp_path / "none.onnx"), "There is no detector file"),
        ("yolov9", "yolov9 is not a detector"),
    ):
        with pytest.raises(WeightsError, match=message):
            apply_filters(table, [DetectorFilter(model)], out=tmp_path / "out")
    weights.with_suffix(".cfg").unlink()
    with pytest.raises(WeightsError, match=r"net\.cfg"):
        DetectorFilter(str(weights)).scores(table)
    (tmp_path / "other.cfg").write_text(small_cfg().replace("[yolo]", "[region]"))
    with pytest.raises(WeightsError, match=r"other\.cfg: The cfg has layers that are not supported"):
        DetectorFilter(str(weights), cfg=str(tmp_path / "other.cfg")).scores(table)
    assert not (tmp_path / "out").exists()


def test_yolov4_tiny_comes_from_the_cache_and_is_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "weights" / "yolov4-tiny.weights"
    data = weight_bytes(yolov4_tiny_cfg())
    asked = []

    def fetch(url, target, **_):
        asked.append(url)
        target.parent.mkdir(parents=True)
        target.write_bytes(data)

    monkeypatch.setattr(detectors_module, "download", fetch)
    with pytest.raises(WeightsError, match="not the file that was published"):
        DetectorFilter().inputs()
    monkeypatch.setattr(detectors_module, "check_digest", lambda *_: None)
    assert detectors_module.detector_files("yolov4-tiny", None) == [path]
    assert asked == ["https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/yolov4-tiny.weights"]
    ((_, scores),) = DetectorFilter()._open().find(np.zeros((1, 32, 16, 3), np.uint8))
    assert scores.shape == (3 * (13 * 13 + 26 * 26),)


def test_weights_of_yolov4_tiny_need_no_cfg_file(tmp_path):
    path = write_darknet(tmp_path, yolov4_tiny_cfg())
    path.with_suffix(".cfg").unlink()
    with pytest.raises(WeightsError, match=r"detector_cfg='FILE\.cfg', or yolov4-tiny"):
        DetectorFilter(str(path)).inputs()
    assert DetectorFilter(str(path), cfg="yolov4-tiny")._open()._network.size == (416, 416)


def test_settings_that_make_no_sense_are_refused(weights):
    for options, message in (
        ({"threshold": 60}, "a probability"),
        ({"threshold": float("nan")}, "a probability"),
        ({"score": "objectness"}, "score is not known"),
        ({"overlap": 2}, "overlap must be a share"),
        ({"batch": 0}, "batch is out of range"),
        ({"padding": -1}, "padding is out of range"),
        ({"name": "my detector"}, "cannot name a column"),
        ({"model": "hog", "cfg": "x.cfg"}, "cfg belongs to Darknet"),
        ({"model": "x.onnx", "cfg": "x.cfg"}, "cfg belongs to Darknet"),
    ):
        with pytest.raises(ConfigError, match=message):
            DetectorFilter(**options)
    with pytest.raises(ConfigError, match="a class of the network"):
        DetectorFilter(str(weights), person=3)._open()
    with pytest.raises(ConfigError, match="detector_threshold must be a probability"):
        FilterConfig(detector_threshold=60)


def test_the_config_names_the_detector(tmp_path, weights):
    table = make_table([1, 2], root=tmp_path / "crops")
    config = FilterConfig(filters=("detector",), detector=str(weights), detector_threshold=0.2, detector_score="class")
    run_filters(table, config, out=tmp_path / "out")
    row = json.loads((tmp_path / "out/discarded.json").read_text())["filters"][0]
    assert row["rule"].startswith("no person above 0.2000 found by")
    assert "class score" in row["rule"]
    assert ReidTable.read(tmp_path / "out").rows["score_detector"].is_between(0, 1).all()


def test_two_detectors_side_by_side(tmp_path, weights):
    table = make_table([1, 2], root=tmp_path / "crops")
    other = write_darknet(tmp_path / "other", small_cfg(), seed=9)
    judged = apply_filters(table, [DetectorFilter(str(weights)), DetectorFilter(str(other), name="second")])
    assert {"score_detector", "score_second"} < set(judged.rows.columns)
    assert not judged.rows.select(pl.col("score_detector") == pl.col("score_second")).to_series().any()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("filters=8", "filters=1000000000", "The cfg does not belong to the weights"),
        ("height=64", "height=1000000000", "no usable size"),
        (
            "stride=4\npad=1\nactivation=leaky",
            "stride=4\npadding=1000000000\nactivation=leaky",
            "do not fit each other",
        ),
        ("mask=0,1", "mask=0,inf", "no usable mask"),
        (small_cfg(), "<html>quota</html>", "a web page"),
    ],
)
def test_a_cfg_that_lies_is_told_before_anything_is_built(old, new, told, tmp_path):
    weights = write_darknet(tmp_path, small_cfg())
    weights.with_suffix(".cfg").write_text(small_cfg().replace(old, new))
    with pytest.raises(WeightsError, match=told):
        DetectorFilter(str(weights))._open()


@pytest.mark.parametrize(
    ("model", "package", "purpose"),
    [
        ("hog", "cv2", "The detector hog needs the package opencv-python-headless"),
        ("a.onnx", "onnxruntime", "A detector in an .onnx file needs the package onnxruntime"),
    ],
)
def test_a_missing_extra_is_told(model, package, purpose, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(MissingExtraError) as error:
        DetectorFilter(model)._open()
    assert str(error.value) == f"{purpose}, which is not installed.\n  try: pip install 'reidgen[detect]'"
