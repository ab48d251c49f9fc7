import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.data.table import FOLDERS, ReidTable
from reidgen.errors import DataError
from tests.factories import make_table


def test_rows_get_the_columns_of_the_schema_and_keep_others():
    table = ReidTable.from_rows(
        [{"file_name": "a.jpg", "pid": 7, "camid": 2, "split": "train", "yaw": 0.5}], root="data"
    )
    assert table.rows.columns[:5] == ["root", "file_name", "pid", "camid", "split"]
    assert table.rows.row(0, named=True) | {"root": ""} == {
        "root": "",
        "file_name": "a.jpg", "pid": 7, "camid": 2, "split": "train", "seq": 1, "frame": 0, "origin": "real",
        "parent": None, "generator": None, "seed": None, "operation": None, "yaw": 0.5,
    }  # fmt: skip
    assert table.paths[0].is_absolute()


def test_views_choose_rows_by_split_and_verdict():
    table = make_table([1, 2, 2, 0, -1], splits=["train", "query", "gallery", "gallery", "gallery"])
    assert [len(part) for part in (table, table.train, table.query, table.gallery)] == [5, 1, 1, 3]
    assert table.gallery.pids.tolist() == [2, 0, -1]
    assert table.pids.dtype == table.camids.dtype == np.int64
    assert table.kept is table
    judged = make_table([1, 2, 3], rejected_by=[None, "ssim", None])
    assert judged.kept.pids.tolist() == [1, 3]
    assert judged.where(pl.col("pid") > 1).pids.tolist() == [2, 3]
    assert judged.where([True, False, False]).pids.tolist() == [1]


def test_no_rows_are_a_table_too(tmp_path):
    table = ReidTable.from_rows([], root="data")
    assert len(table) == 0
    assert table.pids.dtype == np.int64
    table.write(tmp_path)
    assert len(ReidTable.read(tmp_path)) == 0


def test_tables_of_two_folders_can_be_put_together_and_written(tmp_path):
    real = make_table([1, 2], root=tmp_path / "real", name="real")
    fake = make_table([3], root=tmp_path / "fake", origin=["generated"], score_ssim=[0.5])
    both = ReidTable.concat([real, fake])
    assert (both.name, both.pids.tolist()) == ("real", [1, 2, 3])
    assert both.rows["score_ssim"].to_list() == [None, None, 0.5]
    read = ReidTable.read(both.write(tmp_path / "both").paths[0].parents[1])
    assert read.rows["origin"].to_list() == ["real", "real", "generated"]
    assert [path.read_bytes() for path in read.paths] == [path.read_bytes() for path in both.paths]


crops = st.lists(
    st.tuples(
        st.integers(-1, 12000), st.integers(0, 15), st.sampled_from(list(FOLDERS)), st.integers(1, 3), st.integers(0, 2)
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25)
@given(crops=crops)
def test_what_is_written_is_read_back(tmp_path_factory, crops):
    folder = tmp_path_factory.mktemp("round")
    pids, camids, splits, seqs, frames = (list(column) for column in zip(*crops, strict=True))
    table = make_table(pids, camids, splits=splits, root=folder / "a", size=(4, 2), seq=seqs)
    table = ReidTable(table.rows.with_columns(frame=pl.Series(frames)), table.name)
    written = table.write(folder / "b")
    order = [i for split in FOLDERS for i, found in enumerate(splits) if found == split]
    read = ReidTable.read(folder / "b")
    expected = table.rows[order].drop("root", "file_name")
    assert read.rows.drop("root", "file_name").equals(expected)
    assert read.rows.equals(written.rows[order])
    assert [path.read_bytes() for path in read.paths] == [table.paths[i].read_bytes() for i in order]
    assert read.hash() == ReidTable(table.rows[order]).hash()


def test_the_hash_is_of_persons_cameras_splits_order_and_bytes(tmp_path):
    table = make_table([1, 2], root=tmp_path / "a")
    before = table.hash()
    assert table.write(tmp_path / "b").hash() == before
    assert table.where([True, False]).hash() != before
    changes = ({"pid": pl.col("pid") + 1}, {"camid": pl.col("camid") + 1}, {"split": pl.lit("query")})
    assert before not in [ReidTable(table.rows.with_columns(**change)).hash() for change in changes]
    assert ReidTable(table.rows.reverse()).hash() != before
    table.paths[0].write_bytes(b"other")
    assert table.hash() != before


def test_a_table_without_its_columns_or_with_wrong_types_is_refused():
    with pytest.raises(DataError, match="add camid, split"):
        ReidTable.from_rows([{"file_name": "a.jpg", "pid": 1}], root=".")
    with pytest.raises(DataError, match="wrong type"):
        ReidTable.from_rows([{"file_name": "a.jpg", "pid": "anna", "camid": 1, "split": "train"}], root=".")
    with pytest.raises(DataError, match="do not form a table"):
        ReidTable.from_rows([{"file_name": "a.jpg"}, 3], root=".")


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("pid", -2, "persons from 1"),
        ("pid", None, "persons from 1"),
        ("camid", -1, "whole numbers from 0"),
        ("split", "test", "train, query, gallery"),
        ("origin", "found", "real, rendered, generated"),
        ("file_name", None, "the path of a file"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_row(column, value, allowed):
    row = {"file_name": "a.jpg", "pid": 1, "camid": 1, "split": "train", "origin": "real"}
    with pytest.raises(DataError, match=allowed) as error:
        ReidTable.from_rows([row, row | {column: value}, row | {column: value}], root=".")
    assert ", and 1 more" in str(error.value)


def test_a_folder_without_table_a_damaged_one_and_a_missing_crop_are_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        ReidTable.read(tmp_path / "none")
    with pytest.raises(DataError, match="root DATASET --out DIR"):
        ReidTable.read(tmp_path / "none")
    with pytest.raises(DataError, match=r"no metadata\.parquet in bounding_box_train"):
        ReidTable.read(tmp_path)
    table = make_table([1], root=tmp_path / "a").write(tmp_path / "b")
    with pytest.raises(DataError, match="no such folder") as error:
        ReidTable.read(tmp_path / "c")
    assert error.value.fix == f"{tmp_path / 'b'}: there are tables"
    table.paths[0].unlink()
    with pytest.raises(DataError, match="no such file"):
        ReidTable.read(tmp_path / "b").hash()
    path = tmp_path / "b" / "bounding_box_train" / "metadata.parquet"
    pl.DataFrame({"pid": [1]}).write_parquet(path)
    with pytest.raises(DataError, match="lacks columns"):
        ReidTable.read(tmp_path / "b")
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        ReidTable.read(tmp_path / "b")


def test_decimals_that_are_not_whole_are_told_and_not_cut_off():
    rows = make_table([1, 2]).rows
    cut = rows.with_columns(pid=pl.Series(["1.5", "2.0"]).cast(pl.Decimal(4, 1)))
    with pytest.raises(DataError, match="numbers that are not whole"):
        ReidTable.from_rows(cut, root="data")
    whole = rows.with_columns(pid=pl.Series(["1.0", "2.0"]).cast(pl.Decimal(4, 1)))
    assert ReidTable.from_rows(whole, root="data").pids.tolist() == [1, 2]
