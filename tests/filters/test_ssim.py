import numpy as np
import pytest
from PIL import Image

from reidgen.errors import ConfigError, DataError
from reidgen.filters import SSIMFilter
from reidgen.filters.apply import apply_filters
from reidgen.filters.ssim import first_rows
from reidgen.metrics import ssim
from tests.factories import make_table


def pixels(table, row):
    return np.asarray(Image.open(table.paths[row]))[None]


def test_each_crop_is_compared_with_the_first_of_its_person(tmp_path):
    table = make_table([2, 1, 2, 1, 2], root=tmp_path)
    scores = SSIMFilter(0.5).scores(table)
    assert np.isnan(scores[:2]).all()
    for row, first in ((2, 0), (3, 1), (4, 0)):
        assert scores[row] == ssim(pixels(table, row), pixels(table, first))[0]


def test_scores_do_not_depend_on_the_block_size(tmp_path, monkeypatch):
    table = make_table([1] * 7, root=tmp_path)
    whole = SSIMFilter(0.5).scores(table)
    monkeypatch.setattr("reidgen.filters.ssim.BATCH", 2)
    np.testing.assert_array_equal(SSIMFilter(0.5).scores(table), whole)


def test_distractors_junk_and_single_crops_have_no_score(tmp_path):
    table = make_table([0, 0, -1, -1, 7, 8, 8], root=tmp_path, splits="gallery")
    assert first_rows(table).tolist() == [-1, -1, -1, -1, 4, 5, 5]
    assert np.isnan(SSIMFilter(0.5).scores(table)).tolist() == [True] * 6 + [False]


def test_the_same_image_is_a_duplicate_but_the_first_crop_is_not(tmp_path):
    table = make_table([1, 1, 1], root=tmp_path)
    table.paths[1].write_bytes(table.paths[0].read_bytes())
    filter_ = SSIMFilter(-1.0)
    scores = filter_.scores(table)
    assert scores[1] == 1
    assert filter_.rejected(scores) == [None, "ssim:duplicate", None]


def test_the_threshold_itself_is_kept():
    assert SSIMFilter(0.5).rejected(np.array([0.5, 0.4999, np.nan, 1.0])) == [None, "ssim", None, "ssim:duplicate"]


def test_an_open_threshold_is_the_five_percent_quantile():
    scores = np.append(np.linspace(0, 0.5, 101), np.nan)
    filter_ = SSIMFilter().calibrated(scores)
    assert filter_.threshold == pytest.approx(0.025)
    assert sum(verdict is not None for verdict in filter_.rejected(scores)) == 5
    assert SSIMFilter(0.75).calibrated(scores).threshold == 0.75


def test_crops_are_compared_at_the_size_of_the_first(tmp_path):
    table = make_table([1, 1], root=tmp_path, size=(24, 12))
    larger = make_table([1, 1], root=tmp_path / "larger", size=(48, 24))
    filter_ = SSIMFilter(0.5).prepared(table)
    assert filter_.size == (24, 12)
    assert filter_.prepared(larger).size == (24, 12)
    assert "at 24x12" in filter_.rule
    assert not np.isnan(filter_.scores(larger)[1])


def test_the_sources_setting_scores_higher(tmp_path):
    table = make_table([1, 1, 1], root=tmp_path)
    ours, theirs = (SSIMFilter(0.75, data_range=r).scores(table)[1:] for r in (255, 4095))
    assert (theirs > ours).all()


def test_a_missing_threshold_is_an_error_word_for_word():
    with pytest.raises(ConfigError) as error:
        SSIMFilter().calibrated(None)
    assert str(error.value) == (
        "The ssim filter has no threshold, and no reference crops to take one from.\n"
        "  got: threshold None, reference None\n"
        "  allowed: one of the two\n"
        "  try: reference='DIR' (real crops), or ssim_threshold=0.3"
    )


def test_a_reference_of_single_crops_is_an_error_word_for_word():
    with pytest.raises(DataError) as error:
        SSIMFilter().calibrated(np.full(12, np.nan))
    assert str(error.value) == (
        "The reference crops give no threshold for the ssim filter.\n"
        "  got: 12 crops, none with a score\n"
        "  allowed: at least one person with two crops\n"
        "  try: reference with the whole train split, or ssim_threshold=0.3"
    )


def test_settings_that_are_no_ssim_are_refused():
    with pytest.raises(ConfigError, match="data_range is not known"):
        SSIMFilter(data_range=256)
    with pytest.raises(ConfigError, match="threshold must be an SSIM"):
        SSIMFilter(75)


def test_the_first_kept_crop_is_the_first_that_other_filters_left(tmp_path):
    verdicts = ["detector", "ssim", None, None, "detector", "detector"]
    table = make_table([1, 1, 1, 1, 2, 2], root=tmp_path, rejected_by=verdicts)
    assert first_rows(table).tolist() == [0, 0, 0, 0, 4, 4]
    assert first_rows(table, among="kept").tolist() == [
        1,
        1,
        1,
        1,
        4,
        4,
    ]  # an earlier verdict of its own counts for nothing
    scores = SSIMFilter(0.5, first="kept").scores(table)
    assert np.isnan(scores).tolist() == [False, True, False, False, True, False]
    assert scores[0] == ssim(pixels(table, 0), pixels(table, 1))[0]


def test_ssim_sees_what_the_filters_before_it_rejected(tmp_path):
    class Second:
        """Rejects the first crop."""

        name, threshold, rule = "second", 0.0, "the first row"

        def prepared(self, table):
            return self

        def calibrated(self, scores):
            return self

        def inputs(self):
            return {}

        def scores(self, table, reference=None, *, kept=None):
            return np.arange(len(table), dtype=float)

        def rejected(self, scores):
            return ["second" if score == 0 else None for score in scores]

    table = make_table([1, 1, 1], root=tmp_path)
    for first, unscored in (("any", 0), ("kept", 1)):
        judged = apply_filters(table, [Second(), SSIMFilter(-1.0, first=first)])
        assert judged.rows["score_ssim"].is_null().arg_true().to_list() == [unscored]
        assert judged.rows["rejected_by"].to_list() == ["second", None, None]
