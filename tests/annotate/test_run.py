import numpy as np
import polars as pl
import pytest
from PIL import Image

import reidgen as rg
from reidgen.annotate import finding, run
from reidgen.annotate.columns import in_words
from reidgen.annotate.truth import measured, overlap, point_error, yaw_error
from reidgen.config import AnnotateConfig
from reidgen.data.pixels.maps import open_masks, read_points
from reidgen.data.readers.load import SAMPLE
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, DataError, RunError
from tests.annotate.test_masks import write_mask
from tests.factories import make_table

SIZE = (32, 16)


def upper_half(crop):
    """A mask of the upper half; nobody where the crop is reddish."""
    mask = np.zeros(crop.shape[:2], bool)
    mask[: len(crop) // 2] = crop[..., 0].mean() < crop[..., 1].mean()
    return mask


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.p*")) if path.is_file()}


def test_masks_of_a_function_are_files_beside_the_crops(tmp_path):
    table = make_table([1, 2, 3, 4], root=tmp_path / "crops")
    there = [upper_half(np.array(Image.open(path).convert("RGB"))).any() for path in table.paths]
    assert 0 < sum(there) < 4, "some of each"
    made = rg.annotate(table, out=tmp_path / "out", what=("mask",), masks=upper_half)
    assert made.rows["mask"].is_not_null().to_list() == there
    with_mask = made.where(pl.col("mask").is_not_null())
    store = open_masks(with_mask, SIZE)
    assert (store.batch(np.arange(len(with_mask)))[:, 0, :16] == 255).all()
    assert "keypoints" not in made.rows.columns
    told = read_run(tmp_path / "out")["summary"]
    assert told["mask"] == {"known": 0, "made": sum(there), "without": 4 - sum(there)}
    assert f"{4 - sum(there)} without" in in_words(told)


def test_what_the_renderer_knows_stays_and_is_compared(tmp_path):
    table = rg.load_dataset("reidgen", root=SAMPLE)
    table = table.where(np.arange(len(table)) % 180 == 0)
    rows = table.rows.with_columns(
        origin=pl.Series(["rendered", "rendered", "rendered", "real"]),
    )
    table = rg.ReidTable(rows)
    made = rg.annotate(table, out=tmp_path / "out", masks=lambda crop: np.ones(crop.shape[:2], bool), device="cpu")
    before, after = (one.rows.sort("frame", "pid") for one in (table, made))
    known = before["origin"] == "rendered"
    for column in ("keypoints", "yaw"):
        assert after.filter(known)[column].to_list() == before.filter(known)[column].to_list()
        assert after.filter(~known)[column].to_list() != before.filter(~known)[column].to_list()
    assert after["keypoint_scores"].is_null().to_list() == known.to_list()
    truth = read_points(made, (128, 64))[:, :, :2]
    assert ((truth > -30) & (truth < 160)).all()
    told = read_run(tmp_path / "out")["summary"]
    assert told["yaw"] == {"known": 3, "made": 1, "without": 0}
    shares = [np.asarray(Image.open(path)).astype(bool).mean() for path in _masks(table) if path is not None]
    assert told["against_the_renderer"]["mask"]["mean"] == pytest.approx(np.mean(shares[:3]), abs=1e-3)
    assert told["against_the_renderer"]["keypoints"]["crops"] == 3
    assert told["against_the_renderer"]["yaw"]["median"] < 60


def _masks(table):
    by_frame = table.rows.filter(pl.col("origin") == "rendered")
    return [SAMPLE / name for name in by_frame["mask"]]


def test_a_folder_of_masks_is_linked_and_copied(tmp_path):
    table = make_table([1, 2], root=tmp_path / "crops")
    files = [write_mask(tmp_path / "masks" / f"{path.stem}.png") for path in table.paths]
    for crops in ("link", "copy"):
        out = tmp_path / crops
        made = rg.annotate(table, AnnotateConfig(what=("mask",), masks=str(tmp_path / "masks")), out=out, crops=crops)
        for file, mask in zip(files, made.rows["mask"], strict=True):
            assert (out / mask).read_bytes() == file.read_bytes()
            assert (out / mask).samefile(file) == (crops == "link")
    files[0].unlink()
    with pytest.raises(DataError, match="no mask for"):
        rg.annotate(table, AnnotateConfig(what=("mask",), masks=str(tmp_path / "masks")), out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_run_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "BLOCK", 2)
    table = make_table([1, 2, 3, 4, 5], root=tmp_path / "crops")
    asked = []

    def cut(crop):
        asked.append(crop)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return upper_half(crop)

    cut.__qualname__ = upper_half.__qualname__
    whole = rg.annotate(table, out=tmp_path / "whole", masks=upper_half, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        rg.annotate(table, out=tmp_path / "cut", masks=cut, device="cpu")
    assert (tmp_path / "cut" / run.WORK).is_dir()
    again = rg.annotate(table, out=tmp_path / "cut", masks=cut, device="cpu")
    assert len(asked) == 4 + 3  # the first block was kept
    assert again.rows.drop("root").equals(whole.rows.drop("root"))
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    assert not (tmp_path / "cut" / run.WORK).exists()
    with pytest.raises(RunError, match="masks: "):
        rg.annotate(table, out=tmp_path / "cut", masks=lambda crop: None, device="cpu")


def test_crops_without_a_body_have_no_points_and_no_yaw(tmp_path):
    table = make_table([1, 2], root=tmp_path / "crops")
    made = rg.annotate(table, out=tmp_path / "out", what=("keypoints", "yaw"), keypoint_confidence=1.0, device="cpu")
    assert made.rows.select("keypoints", "yaw", "keypoint_scores").null_count().row(0) == (2, 2, 2)
    assert read_run(tmp_path / "out")["summary"]["yaw"] == {"known": 0, "made": 0, "without": 2}


def test_turned_people_are_compared_with_what_was_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "yaw_of", lambda points, views: 170.0)
    table = make_table([1, 2, 3], root=tmp_path / "crops", asked_yaw=[-170.0, 50.0, None])
    rg.annotate(table, out=tmp_path / "out", what=("yaw",), keypoint_confidence=0.0, device="cpu")
    told = read_run(tmp_path / "out")["summary"]
    assert told["against_what_was_asked"]["yaw"] == {
        "crops": 2, "mean": 70.0, "median": 70.0, "within_30": 0.5, "above_90": 0.5
    }  # fmt: skip
    assert "against what was asked, 2 crops: median 70.0 degrees" in in_words(told)


def test_yaw_of_both_is_between(tmp_path, monkeypatch):
    class Model:
        def find(self, crop):
            return finding.Landmarks(np.ones(crop.shape[:2], bool), 1.0, 40.0)

        def others(self, crop, found):
            return 0.5

    monkeypatch.setattr(finding, "yaw_of", lambda points, views: 20.0)
    monkeypatch.setattr(finding, "LandmarkModel", lambda path: Model())
    monkeypatch.setattr(finding, "model_file", lambda asked: None)
    monkeypatch.setattr(run, "model_file", lambda asked: SAMPLE / "README.md")
    table = make_table([1], root=tmp_path / "crops")
    options = {"keypoint_confidence": 0.0, "device": "cpu", "yaw_from": "both"}
    made = rg.annotate(table, out=tmp_path / "out", **options)
    assert made.rows["yaw"].to_list() == [30.0]
    assert made.rows["mask"].to_list() == ["maps/mask/0001_c1s1_000000_00.png"]
    assert made.rows["others"].to_list() == [0.5]
    told = read_run(tmp_path / "out")["summary"]
    assert told["others"] == 1 and "in 1 crops somebody else is seen" in in_words(told)
    less = rg.annotate(table, out=tmp_path / "less", **options, others_share=0.6)
    assert less.rows["others"].to_list() == [0.5] and read_run(tmp_path / "less")["summary"]["others"] == 0


def test_options_out_of_range():
    for wrong in ({"what": ()}, {"what": ("yaw", "yaw")}, {"mask_confidence": 1.5}, {"checked": -1}, {"seed": -1}):
        with pytest.raises(ConfigError):
            AnnotateConfig(**wrong)


def test_a_table_without_crops_is_an_error(tmp_path):
    with pytest.raises(DataError, match="nothing to annotate"):
        rg.annotate(make_table([]), out=tmp_path / "out")


def test_errors_against_the_truth_by_hand():
    one, two = np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    assert overlap(one, two) == 0.25
    assert overlap(None, two) == 0
    assert overlap(~one & one, ~two & two) == 1
    truth = np.array([[0, 0, 2], [0, 0, 2], [9, 9, 1]])
    assert point_error(np.array([[3, 4, 1], [0, 1, 1], [0, 0, 1]]), truth) == 3
    assert np.isnan(point_error(truth, np.array([[0, 0, 1]] * 3)))
    assert yaw_error(-170, 170) == 20
    told = measured({"yaw": np.array([1, 2, 99, np.nan]), "mask": np.array([np.nan])})
    assert told == {"yaw": {"crops": 3, "mean": 34.0, "median": 2.0, "within_30": 0.6667, "above_90": 0.3333}}
