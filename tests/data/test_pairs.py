"""Camera pairs against loops over their definition, and against the counts that the thesis printed for Market-1501."""

import itertools
import lzma
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from reidgen.config import PairsConfig
from reidgen.data.pairs import TABLE, camera_pair, count_pairs, in_words, write_pairs
from reidgen.data.readers.load import load_dataset
from reidgen.data.table import FOLDERS, ReidTable
from reidgen.errors import DataError
from tests.factories import make_table

GOLDEN = Path(__file__).parent.parent / "golden" / "market1501_train.csv.xz"
TABLE_2 = {
    (1, 6): (3151, 1715), (1, 5): (2448, 1686), (1, 4): (2408, 1308), (1, 3): (1561, 1678), (1, 2): (1007, 1735),
    (2, 6): (6175, 567), (2, 5): (4921, 428), (2, 4): (305, 1584), (2, 3): (6280, 75),
    (3, 6): (13906, 730), (3, 5): (10368, 407), (3, 4): (492, 2531),
    (4, 6): (809, 826), (4, 5): (875, 785), (5, 6): (14133, 695),
}  # fmt: skip
TABLE_3 = [  # source, target: real crops of both, test, new
    (6, 1, 5262, 2464, 288), (3, 2, 4416, 820, 769), (6, 3, 5952, 261, 27), (1, 4, 2937, 1308, 1250),
    (6, 5, 5583, 606, 355), (3, 5, 5045, 407, 364), (5, 6, 5583, 695, 517),
]  # fmt: skip


@pytest.fixture(scope="module")
def market():
    """Market-1501's train crops as person, camera and sequence."""
    counts = pl.read_csv(lzma.decompress(GOLDEN.read_bytes()))
    rows = counts.select(pl.exclude("crops").repeat_by("crops").explode()).with_row_index("frame")
    rows = rows.with_columns(
        split=pl.lit("train"),
        file_name=pl.format("bounding_box_train/{}_c{}s{}_{}_00.jpg", "pid", "camid", "seq", "frame"),
    )
    return ReidTable.from_rows(rows, root="nowhere")


def drawn(seed, count=120):
    """A table of few people, so that all cases occur: partners, none in this sequence, none at all; nobodies too."""
    rng = np.random.default_rng(seed)
    pids, camids = rng.choice([-1, 0, *range(1, 12)], count), rng.choice([2, 5, 7], count)
    return make_table(pids.tolist(), camids.tolist(), seq=rng.integers(1, 4, count).tolist())


def slow(table, source, target):
    rows = list(enumerate(table.rows.select("pid", "camid", "seq").iter_rows()))
    here = [(i, pid, seq) for i, (pid, camera, seq) in rows if camera == source and pid > 0]
    there = [(i, pid, seq) for i, (pid, camera, seq) in rows if camera == target and pid > 0]
    pairs = {(i, j) for i, p, s in here for j, q, t in there if (p, s) == (q, t)}
    test = [i for i, p, s in here if not any((p, s) == (q, t) for _, q, t in there)]
    return pairs, test, [i for i, p, _ in here if not any(p == q for _, q, _ in there)]


@pytest.mark.parametrize("seed", range(3))
def test_against_loops(seed):
    table = drawn(seed)
    for source, target in itertools.permutations((2, 5, 7), 2):
        pair = camera_pair(table, source, target)
        pairs, test, new = slow(table, source, target)
        numbered = [tuple(row) for row in pair.rows(np.arange(len(pair))).tolist()]
        assert len(numbered) == len(pairs)
        assert set(numbered) == pairs
        assert pair.test.tolist() == test
        assert pair.new.tolist() == new
        counted = count_pairs(table).row(by_predicate=(pl.col("source") == source) & (pl.col("target") == target))
        assert counted == (source, target, len(pairs), len(test), len(new))


def test_numbers_in_any_order():
    pair = camera_pair(drawn(0), 2, 5)
    numbers = np.array([3, 0, len(pair) - 1, 3])
    assert np.array_equal(pair.rows(numbers), pair.rows(np.arange(len(pair)))[numbers])


def test_table_2_of_the_thesis(market):
    """14 of 15 cells as printed; c1c2, printed as (1008, 1736), is by the definition one less in both."""
    counts = {(a, b): (pairs, test) for a, b, pairs, test, _ in count_pairs(market).iter_rows()}
    assert {cell: counts[cell] for cell in TABLE_2} == TABLE_2
    assert all(counts[a, b][0] == counts[b, a][0] for a, b in counts), "pairs are the same both ways"


def test_table_3_of_the_thesis(market):
    counts = {(a, b): (test, new) for a, b, _, test, new in count_pairs(market).iter_rows()}
    crops = dict(market.rows["camid"].value_counts().iter_rows())
    for source, target, real, test, new in TABLE_3:
        assert (crops[source] + crops[target], *counts[source, target]) == (real, test, new)
        pair = camera_pair(market, source, target)
        assert (len(pair.test), len(pair.new)) == (test, new)


@pytest.mark.parametrize(("source", "target"), [(1, 9), (9, 1), (2, 2)])
def test_a_camera_that_is_not_there(source, target):
    with pytest.raises(DataError, match=r"two of the cameras 1, 2") as caught:
        camera_pair(make_table([1, 1, 2]), source, target)
    assert f"source {source}, target {target}" in str(caught.value)


def test_no_people():
    assert count_pairs(make_table([-1, 0])).height == 0
    with pytest.raises(DataError, match="there are none"):
        camera_pair(make_table([-1, 0]), 1, 2)


def test_pairs_csv(market, tmp_path):
    counts = write_pairs(market, PairsConfig(), out=tmp_path)
    text = (tmp_path / TABLE).read_text().splitlines()
    assert text[0] == "source,target,pairs,test,new"
    assert "5,6,14133,695,517" in text
    assert "6,5,14133,606,355" in text
    assert len(text) == 31
    words = in_words(counts).splitlines()
    assert words[5].startswith("camera 6 from camera 5: 14,133 pairs; 695 crops of camera 5 have no partner, 517 of")
    assert [line.split()[4] for line in words] == ["6:", "3:", "6:", "1:", "6:", "5:"], "the choices of table 3"
    assert write_pairs(market, PairsConfig(), out=tmp_path).equals(counts), "the same command again"


def test_one_pair_both_ways(tmp_path):
    table = drawn(1)
    counts = write_pairs(table, PairsConfig(source=7, target=2, split="all"), out=tmp_path)
    assert counts.select("source", "target").rows() == [(2, 7), (7, 2)]
    assert counts.equals(count_pairs(table).filter(pl.col("source") + pl.col("target") == 9))


def test_all_pairs_of_one_camera(tmp_path):
    table = drawn(1)
    every = count_pairs(table)
    assert every["source"].n_unique() > 2
    for name in ("source", "target"):
        counts = write_pairs(table, PairsConfig(**{name: 2}, split="all"), out=tmp_path / name)
        assert counts.rows() == [row for row in every.rows() if row[name == "target"] == 2]


def test_errors_of_the_stage(tmp_path):
    told = r"no crop of a person by camera 9\.\n  got: source=9\n  allowed: one of the cameras 1, 2\n  try: source=1"
    with pytest.raises(DataError, match=told):
        write_pairs(make_table([1, 1, 2]), PairsConfig(source=9), out=tmp_path)
    with pytest.raises(DataError, match="two of the cameras 1, 2"):
        write_pairs(make_table([1, 1, 2]), PairsConfig(source=1, target=3), out=tmp_path)
    with pytest.raises(DataError, match="two cameras or more"):
        write_pairs(make_table([1, 1], splits="query"), PairsConfig(), out=tmp_path)


def test_a_folder_of_one_pixel_files_under_the_real_names(market, tmp_path):
    """The way that a user goes: Market-1501's folder is read by its names, and no crop is opened."""
    pixel = tmp_path / "pixel.jpg"
    Image.new("RGB", (1, 1)).save(pixel)
    root = tmp_path / "market"
    for sub in FOLDERS.values():
        (root / sub).mkdir(parents=True)
    for pid, camid, seq, frame in market.rows.select("pid", "camid", "seq", "frame").iter_rows():
        os.link(pixel, root / FOLDERS["train"] / f"{pid:04d}_c{camid}s{seq}_{frame:06d}_00.jpg")
    for sub in ("query", "bounding_box_test"):
        os.link(pixel, root / sub / "0001_c1s1_000001_00.jpg")
    table = load_dataset("market1501", root=root, expect_counts="any")
    counts = write_pairs(table, PairsConfig(), out=tmp_path / "pairs")
    assert counts.equals(count_pairs(market))
