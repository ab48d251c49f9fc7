"""The thesis's tables 4 to 13: some cells by hand, and what its tables have in common."""

import polars as pl
import pytest

from reidgen.data.table import ReidTable
from reidgen.extend import extend
from reidgen.report.evidence import Evidence
from reidgen.report.page import write_report
from reidgen.report.sections.published_cameras import FACTS, published_rows, setting_of
from tests.factories import make_table
from tests.report.made import evaluation_run
from tests.report.sections.test_translators import translated_run
from tests.report.test_page import read

FIGURES = ("mAP", "rank1", "rank5", "rank10", "rank20")


def facts():
    text = dict.fromkeys(("real", "learned_from", "generated"), pl.String)
    return pl.read_csv(FACTS, schema_overrides=text)


def test_cells_by_hand():
    rows = facts().fill_null("")
    cells = [
        (4, "5", "", "", "mAP", 0.169),
        (5, "1 4", "", "", "rank20", 0.692),
        (6, "all", "", "", "rank1", 0.851),
        (7, "5", "background", "6", "rank1", 0.432),
        (8, "5 6", "pix2pix-pose", "6", "rank10", 0.808),
        (9, "3 6", "background", "3", "mAP", 0.381),
        (10, "all", "background", "2 3", "rank5", 0.930),
        (11, "6", "background", "3", "mAP", 0.201),
        (12, "3", "background", "2", "mAP", 0.242),
        (13, "3 6", "pix2pix", "3", "rank20", 0.855),
    ]
    for table, real, translator, generated, figure, value in cells:
        asked = {"table": table, "real": real, "translator": translator, "generated": generated}
        assert rows.filter(**asked)[figure].to_list() == [value], asked


def test_each_table_is_whole():
    counts = dict(facts().group_by("table").len().iter_rows())
    assert counts == {4: 6, 5: 6, 6: 1, 7: 5, 8: 5, 9: 4, 10: 4, 11: 3, 12: 3, 13: 4}


def test_a_baseline_is_the_same_in_each_table_and_shares_grow_with_the_rank():
    rows = facts()
    baselines = rows.filter(pl.col("translator").is_null())
    assert baselines.height > baselines["real"].n_unique()
    assert baselines.select("real", *FIGURES).unique().height == baselines["real"].n_unique()
    ranks = rows.select(FIGURES[1:]).to_numpy()
    assert (ranks[:, :-1] < ranks[:, 1:]).all()
    assert ((rows["mAP"] > 0) & (rows["mAP"] < rows["rank1"])).all()


def compared(folder, cameras, target):
    """A comparison of labelled crops of some cameras with and without a translated one."""
    pids = [1, 1, 2, 2, 3, 3][: 2 * len(cameras)]
    camids = [camera for camera in cameras for _ in range(2)]
    people = make_table(pids, camids, splits=["train"] * len(pids), root=folder / "people")
    tested = make_table([1, 2, 3] * 2, [1] * 3 + [2] * 3, splits=["query"] * 3 + ["gallery"] * 3, root=folder / "test")
    moved = translated_run(folder / "moved", people, target=target)
    extend(people, ReidTable.read(moved), label="same", unjudged="allow", out=folder / "more")
    before = evaluation_run(folder / "before", tested, mAP=0.25)
    after = evaluation_run(folder / "after", tested, mAP=0.3, generated=2)
    return {"baseline": [before], "extended": [after], "runs": [moved, folder / "more"]}


@pytest.mark.parametrize(
    ("cameras", "target", "setting"),
    [
        ((1,), 2, "one camera has labels"),
        ((1, 2), 2, "two cameras have labels"),
        ((1, 2, 3), 2, "all cameras have labels"),
        ((1, 2), 3, None),
    ],
)
def test_the_setting_is_that_of_labelled_and_made_crops(cameras, target, setting, tmp_path):
    found = compared(tmp_path, cameras, target)
    assert setting_of(Evidence.read(*found.values())) == setting
    assert setting_of(Evidence.read(found["baseline"], [], found["runs"])) is None
    assert setting_of(Evidence.read(found["baseline"], found["extended"], found["runs"][1:])) is None


def test_published_rows_stand_below_ours(tmp_path):
    page = read(write_report(**compared(tmp_path, (1,), 2), out=tmp_path / "page"))
    assert "Beside what the thesis on pairs of cameras published: one camera has labels" in page.titles
    ours = "labelled crops alone, here 25.00 35.00 45.00 55.00 with translated crops, here 30.00 40.00 50.00 60.00 "
    assert ours + "c5 7 16.9 37.1 53.5 60.8 c5+G6, pix2pix 7 19.7 39.8 57.9 65.5" in page.all
    assert "c6+G3, background 11 20.1 40.7 59.0 67.0" in page.all and "Not comparable in height" in page.all


def test_rows_in_words():
    assert published_rows((10,))[1:3] == [
        ["all cameras+G3+G5, pix2pix", "10", "67.6", "85.0", "93.6", "95.5"],
        ["all cameras+G6, pix2pix-pose", "10", "67.8", "84.9", "93.9", "96.2"],
    ]
