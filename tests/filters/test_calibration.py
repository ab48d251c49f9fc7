import io
import json

import numpy as np
import pytest
from PIL import Image

from reidgen.filters import SSIMFilter
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


def test_files_say_the_same_and_the_picture_is_deterministic(calibration, tmp_path):
    calibration.write(tmp_path)
    written = json.loads((tmp_path / "calibration_ssim.json").read_text())
    assert written["thresholds"] == calibration.rows()
    text = (tmp_path / "calibration_ssim.md").read_text()
    assert "| **0.3030** (in force) | 25.93 |" in text
    picture = (tmp_path / "calibration_ssim.png").read_bytes()
    assert picture == calibration.histogram()
    assert Image.open(io.BytesIO(picture)).size == (840, 432)


def test_equal_scores_can_be_drawn():
    assert Calibration(SSIMFilter(0.3), "one", np.array([0.4]), np.array([])).histogram()
