import os
import socket
import time
from pathlib import Path

import polars as pl
import pytest

from reidgen.data.disk.inside import check_inside
from reidgen.data.table import ReidTable
from reidgen.errors import DataError
from tests.factories import make_table, write_crop

ROW = {"file_name": "a.jpg", "pid": 1, "camid": 1, "split": "train"}


@pytest.fixture
def table(tmp_path):
    """A table with masks in its own folder."""
    write_crop(tmp_path / "source" / "m.png", mode="L")
    source = make_table([1, 2], root=tmp_path / "source", mask=["m.png", None])
    return source.write(tmp_path / "table")


@pytest.mark.parametrize("value", ["/etc/hosts", "../x.jpg", "a/../../x.jpg", "C:\\x.jpg", "a\\..\\..\\x", "\0", ""])
@pytest.mark.parametrize("column", ["file_name", "mask", "parts", "normals", "parent"])
def test_a_path_that_leads_out_of_the_folder_is_named(column, value):
    with pytest.raises(DataError, match=f"The column {column} has a value that is not allowed"):
        ReidTable.from_rows([ROW, ROW | {column: value}], root=".")


def test_names_that_only_look_like_it_are_good():
    names = ["a..jpg", "..a/b.jpg", "a/.../b.jpg", "x:a/b.jpg", "a b/ü.jpg"]
    assert len(ReidTable.from_rows([ROW | {"file_name": name, "parent": name} for name in names], root=".")) == 5


@pytest.mark.parametrize("what", ["crop", "mask", "folder", "metadata"])
def test_links_out_of_a_table_are_refused_by_name(tmp_path, table, what):
    root, path = tmp_path / "table", table.paths[0]
    places = {"mask": root / table.rows["mask"][0], "folder": path.parent, "metadata": path.parent / "metadata.parquet"}
    place = places.get(what, path)
    moved = place.rename(tmp_path / "elsewhere")
    place.symlink_to(moved)
    with pytest.raises(DataError, match="leads out of the table's folder") as error:
        ReidTable.read(root)
    assert str(place) in str(error.value)
    assert "cp -rL" in str(error.value)


def test_links_within_a_table_and_a_link_to_the_whole_are_followed(tmp_path, table):
    path = table.paths[0]
    path.rename(path.with_name("real.jpg"))
    path.symlink_to("real.jpg")
    (tmp_path / "other").symlink_to(tmp_path / "table")
    read = ReidTable.read(tmp_path / "other")
    assert read.hash() == table.hash()
    written = read.write(tmp_path / "far" / "away")
    assert not any(path.is_symlink() for path in written.paths)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_pipes_and_sockets_are_refused_by_name_and_never_opened(tmp_path, table):
    path = table.paths[1]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="is not a regular file") as error:
        ReidTable.read(tmp_path / "table")
    assert path.name in str(error.value)
    with pytest.raises(DataError, match="is not a regular file"):  # of a raw dataset too, where its bytes are taken
        table.write(tmp_path / "out")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        folder = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(folder)
        with pytest.raises(DataError, match="is not a regular file"):
            ReidTable.read(tmp_path / "table")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev")
def test_a_device_behind_a_link_is_not_copied(tmp_path, table):
    (tmp_path / "source" / "m.png").unlink()
    (tmp_path / "source" / "m.png").symlink_to("/dev/zero")
    source = make_table([1], root=tmp_path / "source", mask=["m.png"])
    with pytest.raises(DataError, match=r"m\.png is not a regular file"):
        source.write(tmp_path / "out")


def test_a_missing_file_and_a_folder_that_may_not_be_listed_are_no_fault_here(tmp_path, table):
    first, second = table.paths
    first.unlink()
    second.unlink()
    second.symlink_to(second.name)  # a link to itself leads nowhere
    assert len(ReidTable.read(tmp_path / "table")) == 2
    with pytest.raises(DataError, match="cannot be read"):
        ReidTable.read(tmp_path / "table").hash()
    check_inside(tmp_path / "none", pl.Series(["a/b.jpg", None, "c.jpg"]))


def test_the_cost_is_that_of_the_folders_and_not_of_the_crops(tmp_path, table):
    names = pl.Series([f"bounding_box_train/{i}.jpg" for i in range(100_000)])
    start = time.process_time()
    check_inside(tmp_path / "table", names)
    fast = time.process_time() - start
    start = time.process_time()
    for name in names[:10_000]:
        os.path.lexists(tmp_path / "table" / name)
    assert fast < 10 * (time.process_time() - start)
