"""Parquet files of tables and results: written with a checksum, and read so that a damaged one ends in words."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.engine.runs.records import damaged
from reidgen.errors import DataError
from reidgen.files import read_regular, sha256

MARK = b"reidgen-sha256:"
DIGITS = 64  # of a checksum
ROWS = 5_000_000  # of one file at most; a file of a few kB can claim as many rows as it likes
LIMIT_SEC = 120
# polars' reader can end the whole process at a damaged file (an allocation of 2^61 bytes), and no `except` stops that.
TRIAL = f"""
import io, sys
import polars as pl
data = io.BytesIO(sys.stdin.buffer.read())
try:
    rows = pl.scan_parquet(data).select(pl.len()).collect().item()
    if rows > {ROWS}:
        raise ValueError(f"{{rows:,}} rows")
    pl.read_parquet(data)
except BaseException as error:
    sys.stdout.write(str(error))
    sys.exit(1)
"""


def encode(frame: pl.DataFrame) -> bytes:
    """A frame as a Parquet file with a checksum before its footer, where other readers pass it over."""
    stream = io.BytesIO()
    frame.write_parquet(stream)
    data = stream.getvalue()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:footer] + MARK + sha256([data]).encode() + data[footer:]


def decode(path: Path) -> pl.DataFrame:
    """Read a Parquet file. One without a checksum, of another program, is first read in a process of its own.

    Raises:
        DataError: It cannot be read, its bytes are not those that were written, or it has more than `ROWS` rows.
    """
    try:
        data = read_regular(path)
        _check(path, data)
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _damaged(path, str(error)) from error


def decode_of_run(path: Path, columns: Mapping[str, Any]) -> pl.DataFrame:
    """Read a Parquet file that a run wrote.

    Args:
        path: The file.
        columns: Name and type of each column that has to be there; None allows any type.

    Raises:
        RunError: It cannot be read, or lacks a column, or one is of another type.
    """
    try:
        frame = decode(path)
    except DataError as error:
        raise damaged(path, str(error.got)) from error
    there = frame.schema
    wrong = [
        f"{name} {there.get(name, 'missing')}"
        for name, kind in columns.items()
        if name not in there or (kind is not None and there[name] != kind)
    ]
    if wrong:
        raise damaged(path, f"column {', '.join(wrong[:4])}", "the columns that were written")
    return frame


def _check(path: Path, data: bytes) -> None:
    at = data.rfind(MARK)
    if at < 0:
        _try(path, data)
        return
    end = at + len(MARK) + DIGITS
    if sha256([data[:at], data[end:]]).encode() != data[at + len(MARK) : end]:
        raise _damaged(path, "bytes that do not agree with the file's checksum")


def _try(path: Path, data: bytes) -> None:
    """Read the bytes in another process, which may die of them."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "RUST_BACKTRACE": "0"}
    command = [sys.executable, "-P", "-c", TRIAL]
    try:
        trial = subprocess.run(
            command, input=data, capture_output=True, env=environment, timeout=LIMIT_SEC, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _damaged(path, f"a file that takes more than {LIMIT_SEC} s to read") from error
    if trial.returncode:
        raise _damaged(path, (trial.stdout or trial.stderr).decode("utf-8", "replace").strip())


def _damaged(path: Path, got: str) -> DataError:
    return DataError(
        f"{path} is not a readable Parquet file.",
        got=(got.splitlines() or ["a file at which the reader dies"])[0],
        allowed=f"a whole Parquet file of at most {ROWS:,} rows",
        fix="run the command that wrote this folder again, or copy it again",
    )
