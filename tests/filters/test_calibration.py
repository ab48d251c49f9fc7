import io
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from reidgen.filters import DetectorFilter, SSIMFilter
from reidgen.filters.calibration import Calibration


@pytest.fixture
def calibration():
    scores = np.linspace(0.1, 0.9, 81)
    return Calibration(SSIMFilter(0.303), "81 real crops of made", scores, np.linspace(0.0, 0.4, 30))


def test_a_share_is_what_the_rule_rejects(calibration):
    assert calibration.share(0.1) == 0
    assert calibration.share(0.1001) == pytest.approx(1 / 81)
    assert calibration.share(0.95) == 1


def test_rows_rise_and_hold_the_grid_and_the_threshold_in_force(calibration):
    rows = calibration.rows()
    thresholds = [row["threshold"] for row in rows]
    assert thresholds == sorted(set(thresholds))
    assert {0.1, 0.5, 0.9, 0.303} <= set(thresholds)
    shares = [row["share_rejected"] for row in rows]
    assert shares == sorted(shares)


def test_duplicates_among_the_reference_count_as_rejected():
    scores = np.array([0.2, 0.6, 1.0, 1.0])
    assert Calibration(SSIMFilter(0.3), "", scores, np.array([])).share(0.0) == 0.5


def test_a_slow_machine_gets_the_same_picture_without_a_warning(calibration, monkeypatch):
    """matplotlib warns of a place for the legend that it was left to find, and that took more than a second."""
    picture = calibration.figure()
    monkeypatch.setattr("matplotlib.legend.time", SimpleNamespace(perf_counter=itertools.count(0, 2).__next__))
    assert calibration.figure() == picture


def test_files_say_the_same_and_the_picture_is_deterministic(calibration, tmp_path):
    calibration.write(tmp_path)
    written = json.loads((tmp_path / "calibration_ssim.json").read_text())
    assert written["thresholds"] == calibration.rows()
    text = (tmp_path / "calibration_ssim.md").read_text()
    assert "| **0.3030** (in force) | 25.93 | 73.33 |" in text
    picture = (tmp_path / "calibration_ssim.png").read_bytes()
    assert picture == calibration.figure()
    assert Image.open(io.BytesIO(picture)).size == (1200, 432)


def test_both_groups_are_counted_at_the_tenths_of_the_thesis():
    low = np.array([0.05, 0.35, 0.45, 0.45])
    rows = {row["threshold"]: row for row in Calibration(SSIMFilter(0.3), "", low, np.array([0.5, 0.85])).rows()}
    assert [rows[t / 10]["share_rejected"] for t in range(1, 10)] == [0.25, 0.25, 0.25, 0.5, 1, 1, 1, 1, 1]
    assert [rows[t / 10]["others_rejected"] for t in range(1, 10)] == [0, 0, 0, 0, 0, 0.5, 0.5, 0.5, 1]
    alone = Calibration(SSIMFilter(0.3), "", low, np.array([]))
    assert {row["others_rejected"] for row in alone.rows()} == {None}
    assert "| 0.9000 | 100.00 | - |" in alone.markdown()


def test_thresholds_that_a_filter_cannot_have_are_left_out():
    rows = Calibration(DetectorFilter(), "", np.array([0.2, 0.97]), np.array([])).rows()
    assert max(row["threshold"] for row in rows) < 1
    assert {row["threshold"]: row["share_rejected"] for row in rows}[0.6] == 0.5


def test_margins_of_any_size_can_be_calibrated():
    rows = Calibration(DetectorFilter("hog"), "", np.array([-1.2, 0.3, 2.0]), np.array([0.1])).rows()
    assert (rows[0]["threshold"], rows[0]["share_rejected"]) == (-1.25, 0)
    assert len(rows) < 25
    assert {row["threshold"]: row["others_rejected"] for row in rows}[0] == 0


def test_equal_scores_can_be_drawn():
    assert Calibration(SSIMFilter(0.3), "one", np.array([0.4]), np.array([])).figure()
