"""The thesis's tables 4 to 13: some cells by hand, and what its tables have in common."""

from pathlib import Path

import polars as pl

import reidgen.report.sweep

FACTS = Path(reidgen.report.sweep.__file__).with_name("published_cameras.csv")
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
