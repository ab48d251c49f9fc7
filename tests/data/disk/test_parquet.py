import random

import numpy as np
import polars as pl
import pytest

from reidgen.data.disk import parquet
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, RunError
from tests.factories import make_table

FRAME = pl.DataFrame({"file_name": ["a", "b"], "pid": [1, None], "points": [[1.0, 2.0], []]})


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "metadata.parquet"
    path.write_bytes(parquet.encode(FRAME))
    return path


def test_what_is_written_is_read_back_here_and_by_other_readers(written, monkeypatch):
    monkeypatch.setattr(parquet.subprocess, "run", None)  # no other process is needed
    assert parquet.decode(written).equals(FRAME)
    assert pl.read_parquet(written).equals(FRAME)
    other = pytest.importorskip("pyarrow.parquet")
    assert other.read_table(written).to_pydict() == FRAME.to_dict(as_series=False)


def test_every_changed_byte_is_found_and_the_file_named(written, monkeypatch):
    monkeypatch.setattr(parquet, "_try", lambda path, data: pl.read_parquet(data[:8]))  # as other programs' files end
    data, rng = written.read_bytes(), random.Random(7)
    for _ in range(100):
        bad = bytearray(data)
        bad[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        written.write_bytes(bad)
        with pytest.raises(DataError, match=r"metadata\.parquet is not a readable Parquet file"):
            parquet.decode(written)
    for length in (0, 4, len(data) // 2, len(data) - 1):
        written.write_bytes(data[:length])
        with pytest.raises(DataError, match="not a readable Parquet file"):
            parquet.decode(written)


def test_a_file_of_another_program_at_which_the_reader_dies_is_one_line(written):
    FRAME.write_parquet(written)
    assert parquet.decode(written).equals(FRAME)
    wide = pl.DataFrame({"pid": np.arange(3_000), "yaw": [None, 1.5, 2.0] * 1_000, "name": ["ab", None, "c"] * 1_000})
    wide.write_parquet(written)
    data = written.read_bytes()
    for seed in range(2):  # such damage is an error, a panic, or the end of the process
        bad, rng = bytearray(data), random.Random(seed)
        for _ in range(60):
            bad[rng.randrange(4, len(data) - 8)] = rng.randrange(256)
        written.write_bytes(bad)
        with pytest.raises(DataError, match="not a readable Parquet file"):
            parquet.decode(written)


def test_a_reader_that_dies_is_told_from_one_that_complains(written, monkeypatch):
    FRAME.write_parquet(written)
    monkeypatch.setattr(parquet, "TRIAL", "import os; os.abort()")
    with pytest.raises(DataError, match="a file at which the reader dies"):
        parquet.decode(written)


def test_a_small_file_that_claims_many_rows_is_refused_before_it_is_read(written, monkeypatch):
    pl.DataFrame({"pid": pl.repeat(1, parquet.ROWS + 1, dtype=pl.Int8, eager=True)}).write_parquet(written)
    assert written.stat().st_size < 100_000
    with pytest.raises(DataError, match="5,000,001 rows"):
        parquet.decode(written)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("pid", pl.lit([1])),
        ("pid", pl.lit(1.5)),
        ("pid", pl.lit("anna")),
        ("pid", pl.lit(True)),
        ("pid", pl.lit(2**63, dtype=pl.UInt64)),
        ("file_name", pl.lit(5)),
        ("parts", pl.lit(3)),
        ("keypoints", pl.lit([[1.0, 2.0]])),
        ("yaw", pl.lit("left")),
        ("rejected_by", pl.lit(0)),
        ("seq", pl.lit(None)),
        ("frame", pl.lit(-1)),
    ],
)
def test_a_column_of_the_wrong_type_is_one_line_that_names_it(tmp_path, column, values):
    table = make_table([1, 2], root=tmp_path / "a").write(tmp_path / "b")
    path = table.paths[0].parent / "metadata.parquet"
    path.write_bytes(parquet.encode(pl.read_parquet(path).with_columns(values.alias(column))))
    with pytest.raises(DataError, match=f"The column {column} "):
        ReidTable.read(tmp_path / "b")


def test_types_that_say_the_same_are_read(tmp_path):
    table = make_table([1, 2], root=tmp_path / "a").write(tmp_path / "b")
    path = table.paths[0].parent / "metadata.parquet"
    other = [pl.col("pid").cast(pl.String).cast(pl.Categorical), pl.col("camid").cast(pl.Float64)]
    path.write_bytes(parquet.encode(pl.read_parquet(path).with_columns(*other)))
    assert ReidTable.read(tmp_path / "b").rows.equals(table.rows)


def test_columns_that_differ_between_splits_are_named(tmp_path):
    table = make_table([1, 2], splits=["train", "query"], root=tmp_path / "a", colour=["red", "blue"])
    table.write(tmp_path / "b")
    path = tmp_path / "b" / "query" / "metadata.parquet"
    path.write_bytes(parquet.encode(pl.read_parquet(path).with_columns(colour=pl.lit([1]))))
    with pytest.raises(DataError, match=r"colour: List\(Int\d+\) and String"):
        ReidTable.read(tmp_path / "b")


def test_a_damaged_table_of_a_run_is_told(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet.encode(pl.DataFrame({"a": [1]})))
    assert parquet.decode_of_run(path, {"a": pl.Int64}).height == parquet.decode_of_run(path, {"a": None}).height == 1
    for columns, got in (({"b": None}, "column b missing"), ({"a": pl.String}, "column a Int64")):
        with pytest.raises(RunError, match=got):
            parquet.decode_of_run(path, columns)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(RunError, match=r"x\.parquet is damaged"):
        parquet.decode_of_run(path, {})
