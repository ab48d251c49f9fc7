import os

import pytest

from reidgen.config import PrepareConfig
from reidgen.data.audit.findings import Audit
from reidgen.data.disk.notes import tell_nobody
from reidgen.data.prepare import prepare
from reidgen.data.readers.gather import gather_crops
from reidgen.data.readers.load import load_dataset
from reidgen.errors import DataError
from tests.factories import make_table, write_crop

NAMES = r"(?P<pid>\w+)_c(?P<camid>\d)"


@pytest.fixture
def market(tmp_path):
    """A set with what lies beside many."""
    root = tmp_path / "market"
    make_table([1, 2, 3, 3], splits=["train", "train", "query", "gallery"], root=root)
    (root / "query" / "Thumbs.db").touch()
    (root / "query" / ".DS_Store").touch()
    write_crop(root / "gt_bbox" / "0001_c1s1_000001_00.jpg")
    write_crop(root / "cover.jpg")
    (root / "more").symlink_to(root / "gt_bbox")
    return root


PASSED = {
    "links to folders passed over": ("more",),
    "pictures passed over": ("cover.jpg",),
    "folders passed over": ("gt_bbox",),
    "files passed over": ("query/Thumbs.db",),
    "hidden files and folders passed over": ("query/.DS_Store",),
}


def test_what_is_passed_over_is_told_and_stands_in_the_audit(market, tmp_path, capsys):
    prepare(PrepareConfig(expect_counts="any"), root=market, out=tmp_path / "out")
    told = {one.what: one.files for one in Audit.read(tmp_path / "out").findings if "passed" in one.what}
    assert told == PASSED
    lines = capsys.readouterr().err.splitlines()
    assert (
        "links to folders passed over: 1: links are not followed; copy the folders, or read each by itself (more)"
        in lines
    )
    load_dataset("reidgen", root=tmp_path / "out")
    assert capsys.readouterr().err == ""  # our own files are not news


def test_a_search_tells_it_too(market, capsys):
    assert len(gather_crops(market, "gallery").table) == 6
    assert "links to folders passed over: 1" in capsys.readouterr().err


def test_a_linked_folder_of_the_set_is_followed_and_not_told(market, capsys):
    (market / "query").rename(market.parent / "elsewhere")
    (market / "query").symlink_to(market.parent / "elsewhere")
    assert len(load_dataset("market1501", root=market, expect_counts="any").query) == 1
    assert "links to folders passed over: 1:" in capsys.readouterr().err  # "more" alone


def test_numbers_splits_and_cameras_made_here_are_told(tmp_path, capsys):
    for name in ("7_c1", "7_c2", "anna_c1", "anna_c2", "0_c1"):
        write_crop(tmp_path / f"{name}.png")
    load_dataset("folder", root=tmp_path, pattern=NAMES, train_share=0.4, seed=3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "split made here: 1 of 3 people in train, 2 queries, by share:0.4 and seed 3"
    assert lines[1] == "people numbered here: 2 whose names are not numbers or 0: 0 = 8, anna = 9"
    load_dataset("folder", root=tmp_path, pattern=r"(?P<pid>\w+)_")
    assert "set without cameras: train and query crops count as camera 1" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_no_utf8_is_refused_by_name(tmp_path):
    folder = tmp_path / "crops"
    write_crop(folder / os.fsdecode(b"1_c1_\xff.png"))
    with pytest.raises(DataError, match=r"The path '1_c1_\\udcff.png' cannot be in a table"):
        load_dataset("folder", root=folder, pattern=NAMES)
    other = tmp_path / os.fsdecode(b"\xff")
    folder.rename(other)
    (other / os.fsdecode(b"1_c1_\xff.png")).rename(other / "1_c1.png")
    with pytest.raises(DataError, match=r"udcff' cannot be in a table"):
        load_dataset("folder", root=other, pattern=NAMES)
    with pytest.raises(DataError, match=r"udcff' cannot be in a table"):
        make_table([1], root=tmp_path / "made").write(other)


def test_who_is_left_out_of_a_training_is_told_with_a_way_out(capsys):
    tell_nobody(make_table([0, 1, -1]).train)
    line = capsys.readouterr().err
    assert line.startswith("train crops of nobody: 2 of pid 0 or -1 are not a class, and are left out; where people")
    assert "--dataset folder" in line and "0000_c1s1_000000_00.jpg" in line
    tell_nobody(make_table([1, 2]).train)
    assert capsys.readouterr().err == ""
