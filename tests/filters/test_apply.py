import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from PIL import Image

from reidgen.config import FilterConfig
from reidgen.data.table import ReidTable
from reidgen.engine.runs.records import read_json
from reidgen.errors import ConfigError, DataError, RunError
from reidgen.filters import SSIMFilter
from reidgen.filters.apply import apply_filters, run_filters
from reidgen.filters.discards import Outcome
from reidgen.filters.sheets import _spread
from tests.factories import make_table


@dataclass(frozen=True)
class EvenRows:
    """A filter of another kind: rejects every second row."""

    name: ClassVar[str] = "even"
    threshold: float | None = 0.5
    rule: ClassVar[str] = "row number is even"

    def prepared(self, table):
        return self

    def calibrated(self, reference_scores):
        return self

    def inputs(self):
        return {}

    def scores(self, table, reference=None, *, kept=None):
        return np.arange(len(table)) % 2.0

    def rejected(self, scores):
        return ["even" if score < self.threshold else None for score in scores]


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in ("run.json", ".lock")
    }


@pytest.fixture
def real(tmp_path):
    return make_table([1, 1, 1, 2, 2, 2], root=tmp_path / "real", name="real")


@pytest.fixture
def generated(tmp_path):
    table = make_table([1, 1, 1, 2, 2, 3], root=tmp_path / "generated", origin=["generated"] * 6)
    table.paths[2].write_bytes(table.paths[0].read_bytes())
    return table


def test_scores_and_verdicts_become_columns_and_no_row_goes(generated):
    table = apply_filters(generated, [SSIMFilter(0.99), EvenRows()])
    assert table.rows.drop("score_ssim", "score_even", "rejected_by").equals(generated.rows)
    assert table.rows["rejected_by"].to_list() == ["even", "ssim", "ssim:duplicate,even", None, "ssim,even", None]
    assert table.rows["score_ssim"].is_null().to_list() == [True, False, False, True, False, True]
    assert len(table.kept) == 2


def test_earlier_verdicts_stay_and_those_of_the_same_filter_are_replaced(generated):
    earlier = ["detector", "detector,ssim", "ssim:duplicate", None, "ssim", ""]
    table = replace(generated, rows=generated.rows.with_columns(rejected_by=pl.Series(earlier)))
    again = apply_filters(table, [SSIMFilter(-1)])
    assert again.rows["rejected_by"].to_list() == ["detector", "detector", "ssim:duplicate", None, None, None]


def test_an_open_threshold_is_set_on_the_reference_at_the_size_of_the_crops(generated, real, tmp_path):
    apply_filters(generated, [SSIMFilter()], reference=real, out=tmp_path / "out")
    row = json.loads((tmp_path / "out/discarded.json").read_text())["filters"][0]
    expected = np.nanquantile(SSIMFilter(0).prepared(generated).scores(real), 0.05)
    assert row["threshold"] == pytest.approx(expected)
    assert row["reference_share"] == 0.25  # the lowest of four scored crops


def test_the_discard_table_counts_what_is_in_the_columns(generated, real, tmp_path):
    out = tmp_path / "out"
    table = apply_filters(generated, [SSIMFilter(0.99), EvenRows()], reference=real, out=out)
    discards = read_json(out / "discarded.json", {"content_sha256": str})
    verdicts = table.rows["rejected_by"].to_list()
    assert discards["crops"], discards["kept"] == (6, sum(v is None for v in verdicts))
    assert discards["people_with_one_crop"] == 1
    assert discards["reference"] == "6 real crops of real"
    ssim_row, even_row = discards["filters"]
    assert ssim_row["rejected"] == 3
    assert ssim_row["share_of_all"] == 0.5
    assert (ssim_row["scored"], ssim_row["unscored"], ssim_row["share_of_scored"]) == (3, 3, 1.0)
    assert ssim_row["verdicts"] == {"ssim": 2, "ssim:duplicate": 1}
    assert (ssim_row["reference_scored"], ssim_row["reference_rejected"]) == (4, 4)
    assert even_row["reference_share"] == 0.5
    text = (out / "discarded.md").read_text()
    assert "| ssim | 3 | 50.00 | 100.00 | 3 | 50.00 | 100.00 |" in text
    assert "People with a single crop: 1." in text


def test_variants_are_counted_mix_by_mix(generated, real, tmp_path):
    mixes = pl.Series("mix", ["reconstruction", "coarse", "fine", "coarse", None, "fine"])
    made = replace(generated, rows=generated.rows.with_columns(mixes))
    apply_filters(made, [SSIMFilter(0.99), EvenRows()], reference=real, out=tmp_path / "out")
    assert json.loads((tmp_path / "out/discarded.json").read_text())["by_mix"] == [  # ssim: 1, 2, 4; even: 0, 2, 4
        {"mix": "reconstruction", "crops": 1, "rejected": {"ssim": 0, "even": 1}},
        {"mix": "coarse", "crops": 2, "rejected": {"ssim": 1, "even": 0}},
        {"mix": "fine", "crops": 2, "rejected": {"ssim": 1, "even": 1}},
        {"mix": "none", "crops": 1, "rejected": {"ssim": 1, "even": 1}},
    ]
    assert "- Mix coarse, 2 crops: ssim 50.00 %, even 0.00 %." in (tmp_path / "out/discarded.md").read_text()


def test_filters_are_counted_after_each_other_and_their_overlap(generated, real, tmp_path):
    apply_filters(generated, [SSIMFilter(0.99), EvenRows()], reference=real, out=tmp_path / "out")
    discards = json.loads((tmp_path / "out/discarded.json").read_text())  # ssim rejects rows 1, 2, 4; even 0, 2, 4
    rows = [(row["left_before"], row["rejected_of_left"], row["share_of_left"]) for row in discards["filters"]]
    assert rows == [(6, 3, 0.5), (3, 1, pytest.approx(1 / 3))]
    assert discards["overlap"] == [
        {
            "filters": ["ssim", "even"],
            "both": 2,
            "first_alone": 1,
            "second_alone": 1,
            "neither": 2,
            "both_if_independent": 1.5,
        }
    ]
    assert discards["reference_share_rejected"] == pytest.approx(5 / 6)  # 1, 2, 4, 5 by ssim; 0, 2, 4 by even
    text = (tmp_path / "out/discarded.md").read_text()
    assert "ssim and even: 2 crops discarded by both (1.5 if they were independent), 1 by ssim alone" in text


def test_sheets_show_what_each_filter_rejects(generated, tmp_path):
    out = tmp_path / "out"
    apply_filters(generated, [SSIMFilter(0.99), EvenRows(threshold=0)], out=out)
    with Image.open(out / "rejected_ssim.png") as sheet:
        width, height = sheet.size
        colours = sheet.convert("RGB").getcolors(maxcolors=width * height)
    assert height == 4 + 160 + 16 + 4  # one row: three rejected crops, each after its person's first
    assert width > 6 * 80
    assert len(colours) > 500
    assert not (out / "rejected_even.png").exists()


def test_at_most_a_sheet_full_is_shown_from_the_lowest_score_to_the_highest():
    outcome = Outcome(EvenRows(), np.arange(1000)[::-1] / 1000, ["even"] * 999 + [None], None)
    shown = _spread(outcome, 48)
    assert len(shown) == 48
    assert (shown[0], shown[-1]) == (998, 0)
    assert (np.diff(outcome.scores[shown]) > 0).all()


def test_written_crops_are_the_given_ones_in_their_order(generated, tmp_path):
    before = tree(tmp_path / "generated")
    written = apply_filters(generated, [SSIMFilter(0.99)], out=tmp_path / "out")
    assert [p.read_bytes() for p in written.paths] == [p.read_bytes() for p in generated.paths]
    assert ReidTable.read(tmp_path / "out").rows.equals(written.rows)
    assert tree(tmp_path / "generated") == before


def test_the_same_command_again_returns_what_is_there(generated, real, tmp_path, monkeypatch):
    arguments = (generated, [SSIMFilter()], real, tmp_path / "out")
    first = apply_filters(*arguments, calibrate="draw")
    before = tree(tmp_path / "out")
    monkeypatch.setattr(SSIMFilter, "scores", lambda *_, **__: pytest.fail("computed again"))
    assert apply_filters(*arguments, calibrate="draw").rows.equals(first.rows)
    assert tree(tmp_path / "out") == before
    with pytest.raises(RunError, match="another run"):
        apply_filters(generated, [SSIMFilter(0.1)], real, tmp_path / "out")


def test_a_run_that_was_cut_off_ends_with_the_same_bytes(generated, real, tmp_path, monkeypatch):
    arguments = (generated, [SSIMFilter()], real)
    apply_filters(*arguments, tmp_path / "whole", calibrate="draw")
    with monkeypatch.context() as patch:
        patch.setattr("reidgen.filters.apply.markdown", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            apply_filters(*arguments, tmp_path / "cut", calibrate="draw")
    apply_filters(*arguments, tmp_path / "cut", calibrate="draw")
    whole, cut = (tree(tmp_path / name) for name in ("whole", "cut"))
    assert {k: v for k, v in whole.items() if k != "README.md"} == {k: v for k, v in cut.items() if k != "README.md"}


def test_the_config_names_the_filters_and_the_sources_range(generated, real, tmp_path):
    run_filters(generated, FilterConfig(ssim_threshold=0.75, ssim_range="4095"), reference=real, out=tmp_path / "a")
    rule = json.loads((tmp_path / "a/discarded.json").read_text())["filters"][0]["rule"]
    assert rule == "SSIM to the person's first crop below 0.7500, or 1 (data range 4095, at 32x16)"
    run_filters(generated, FilterConfig(calibrate=True), reference=real, out=tmp_path / "b")
    assert (tmp_path / "b/calibration_ssim.png").is_file()


def test_errors_come_before_a_folder_is_made(generated, tmp_path):
    with pytest.raises(ConfigError, match="no threshold, and no reference"):
        apply_filters(generated, [SSIMFilter()], out=tmp_path / "out")
    with pytest.raises(ConfigError, match="one or more, each of another name"):
        apply_filters(generated, [SSIMFilter(0.1), SSIMFilter(0.2)], out=tmp_path / "out")
    with pytest.raises(ConfigError, match="calibration needs reference crops"):
        apply_filters(generated, [SSIMFilter(0.1)], out=tmp_path / "out", calibrate="draw")
    with pytest.raises(DataError, match="nothing to filter"):
        apply_filters(generated.where([False] * 6), [SSIMFilter(0.1)], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_truncated_crop_is_named(generated):
    path = generated.paths[4]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=path.name):
        apply_filters(generated, [SSIMFilter(0.1)])


def test_a_calibration_without_a_scored_reference_crop_is_told(generated, real, tmp_path):
    alone = real.where([True, False, False, True, False, False])
    for reference in (alone, real.where([False] * 6)):
        with pytest.raises(DataError, match="nothing to calibrate the filter ssim on"):
            apply_filters(generated, [SSIMFilter(0.3)], reference, tmp_path / "out", calibrate="draw")
