"""The one type that crosses every arrow: a table whose rows are crops."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from reidgen.errors import DataError
from reidgen.files import file_sha256, sha256

DISTRACTOR, JUNK = 0, -1
Split = Literal["train", "query", "gallery"]
ORIGINS = ("real", "rendered", "generated")
MAPS = ("mask", "parts", "normals")  # columns with the path of a map beside the crop, relative to root
FOLDERS: dict[str, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SCHEMA: dict[str, Any] = {
    "root": pl.String,  # in memory only: the folder that file_name is relative to
    "file_name": pl.String,
    "pid": pl.Int64,
    "camid": pl.Int64,
    "split": pl.String,
    "seq": pl.Int64,
    "frame": pl.Int64,
    "origin": pl.String,  # real, rendered or generated
    "parent": pl.String,  # file_name of the crop that this one was made from
    "generator": pl.String,  # hash of the weights that made it
    "seed": pl.Int64,
    "operation": pl.String,  # what made it, in words and numbers
}
DEFAULTS: dict[str, Any] = {
    "seq": 1,
    "frame": 0,
    "origin": "real",
    "parent": None,
    "generator": None,
    "seed": None,
    "operation": None,
}


@dataclass(frozen=True)
class ReidTable:
    """Crops of people with who, where, when, and how each came about.

    Attributes:
        rows: One row a crop, columns as in `SCHEMA` and any further ones (mask, keypoints, yaw, score_*, rejected_by).
            pid 0 marks distractors, pid -1 junk, as in Market-1501.
        name: The dataset's name, for people to read.
    """

    rows: pl.DataFrame
    name: str = ""

    @classmethod
    def from_rows(
        cls, rows: Iterable[Mapping[str, Any]] | pl.DataFrame, *, root: Path | str, name: str = ""
    ) -> "ReidTable":
        """Build a table from dicts or a frame with at least file_name, pid, camid and split.

        Raises:
            DataError: A required column is missing or a value has the wrong type.
        """
        try:
            frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows), infer_schema_length=None)
        except (pl.exceptions.PolarsError, TypeError) as error:
            raise DataError(
                "The rows do not form a table.", got=str(error), allowed=f"columns {', '.join(SCHEMA)}"
            ) from error
        if frame.width == 0:
            frame = pl.DataFrame(schema={name: SCHEMA[name] for name in ("file_name", "pid", "camid", "split")})
        missing = [column for column in ("file_name", "pid", "camid", "split") if column not in frame.columns]
        if missing:
            raise DataError(
                "The table lacks columns.",
                got=", ".join(frame.columns),
                allowed=", ".join(SCHEMA),
                fix=f"add {', '.join(missing)}",
            )
        added = {column: value for column, value in DEFAULTS.items() if column not in frame.columns}
        frame = frame.with_columns(root=pl.lit(str(Path(root).absolute())), **{c: pl.lit(v) for c, v in added.items()})
        try:
            frame = frame.cast(SCHEMA)  # type: ignore[arg-type]
        except pl.exceptions.PolarsError as error:
            raise DataError(
                "A column of the table has values of the wrong type.",
                got=str(error).splitlines()[0],
                allowed=str({k: str(v) for k, v in SCHEMA.items()}),
            ) from error
        _check_values(frame)
        extra = [column for column in frame.columns if column not in SCHEMA]
        return cls(frame.select(*SCHEMA, *extra), name)

    @classmethod
    def concat(cls, tables: Iterable["ReidTable"], *, name: str | None = None) -> "ReidTable":
        """One table after the other; columns that only some have are null in the others."""
        tables = list(tables)
        rows = pl.concat([table.rows for table in tables], how="diagonal_relaxed")
        return cls(rows, tables[0].name if name is None else name)

    @classmethod
    def read(cls, folder: Path | str) -> "ReidTable":
        """Read the table that a stage wrote: the metadata.parquet of each of the three image folders.

        Raises:
            DataError: The folder holds no table.
        """
        folder = Path(folder)
        parts = [
            _read_part(folder, split, sub)
            for split, sub in FOLDERS.items()
            if (folder / sub / "metadata.parquet").is_file()
        ]
        if not parts:
            raise DataError(
                f"{folder} holds no table.",
                got="no metadata.parquet in " + ", ".join(FOLDERS.values()) if folder.is_dir() else "no such folder",
                allowed="a folder written by reidgen",
                fix=f"reidgen prepare --dataset market1501 --root {folder} --out DIR",
            )
        return cls.from_rows(pl.concat(parts, how="diagonal_relaxed"), root=folder, name=folder.name)

    def __len__(self) -> int:
        return self.rows.height

    def where(self, predicate: pl.Expr | Iterable[bool]) -> "ReidTable":
        """The rows for which a polars expression or a mask of booleans holds, in order."""
        keep = predicate if isinstance(predicate, pl.Expr) else pl.Series(list(predicate), dtype=pl.Boolean)
        return dataclasses.replace(self, rows=self.rows.filter(keep))

    @property
    def train(self) -> "ReidTable":
        """The rows of the train split."""
        return self.where(pl.col("split") == "train")

    @property
    def query(self) -> "ReidTable":
        """The rows of the query split."""
        return self.where(pl.col("split") == "query")

    @property
    def gallery(self) -> "ReidTable":
        """The rows of the gallery split, distractors and junk included."""
        return self.where(pl.col("split") == "gallery")

    @property
    def kept(self) -> "ReidTable":
        """The rows that no filter has rejected."""
        return self.where(pl.col("rejected_by").is_null()) if "rejected_by" in self.rows.columns else self

    @property
    def pids(self) -> np.ndarray:
        """Person identities, int64 (N,)."""
        return self.rows["pid"].to_numpy()

    @property
    def camids(self) -> np.ndarray:
        """Camera identities, int64 (N,)."""
        return self.rows["camid"].to_numpy()

    @property
    def paths(self) -> list[Path]:
        """Where each crop's file is."""
        return [Path(root) / name for root, name in self.rows.select("root", "file_name").iter_rows()]

    def hash(self) -> str:
        """SHA-256 over every row's pid, camid and split and every file's content: equal for equal crops in equal order.

        File names and folders do not count, so that a table and its written copy have the same hash.

        Raises:
            DataError: A file is missing or cannot be read.
        """
        keys = self.rows.select("pid", "camid", "split").iter_rows()
        return sha256(f"{key}|{_content(path)}\n".encode() for key, path in zip(keys, self.paths, strict=True))

    def write(self, folder: Path | str, *, size: tuple[int, int] | None = None) -> "ReidTable":
        """Write a Market-1501 tree that is a Hugging Face image folder too, and return the table of the written files.

        Files are hard-linked where they are not in place already, so their bytes never change, and named as
        `tree.market_names` says. Maps beside the crops go to `maps/`. The names in `parent` follow their crops.

        Args:
            folder: Where `bounding_box_train`, `query` and `bounding_box_test` shall be.
            size: (height, width) that every crop is resized to, and saved as JPEG; None leaves the files as they are.

        Raises:
            DataError: A file is missing, or the folder holds crops that are not of this table.
        """
        from reidgen.data import tree

        return tree.write(self, Path(folder), size=size)

    def write_metadata(self, folder: Path | str) -> None:
        """Write only the metadata.parquet of each image folder, and the data card."""
        from reidgen.data import tree

        tree.write_metadata(self, Path(folder))


def _content(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read.",
            got=(error.strerror or type(error).__name__).lower(),
            allowed="the file that the table names",
            fix="copy the file there again, or write the table anew",
        ) from error


def _read_part(folder: Path, split: str, sub: str) -> pl.DataFrame:
    path = folder / sub / "metadata.parquet"
    try:
        part = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} is no readable Parquet file.",
            got=str(error).splitlines()[0],
            allowed="a metadata.parquet written by reidgen",
            fix="run the command that wrote this folder again",
        ) from error
    if "file_name" not in part.columns:
        raise DataError(
            f"{path} lacks columns.", got=", ".join(part.columns), allowed=", ".join(SCHEMA), fix="add file_name"
        )
    return part.with_columns(file_name=pl.lit(f"{sub}/") + pl.col("file_name"), split=pl.lit(split))


def _check_values(frame: pl.DataFrame) -> None:
    """Every row must say which file, who, where and in which split."""
    rules = {
        "file_name": (pl.col("file_name").is_not_null(), "the path of a file"),
        "pid": (pl.col("pid") >= JUNK, "persons from 1, 0 for distractors, -1 for junk"),
        "camid": (pl.col("camid") >= 0, "whole numbers from 0"),
        "split": (pl.col("split").is_in(list(FOLDERS)), ", ".join(FOLDERS)),
        "origin": (pl.col("origin").is_in(list(ORIGINS)), ", ".join(ORIGINS)),
    }
    for column, (rule, allowed) in rules.items():
        wrong = frame.filter(~rule.fill_null(False))
        if wrong.height:
            name, value = wrong.select("file_name", column).row(0) if column != "file_name" else ("a row", None)
            raise DataError(
                f"The column {column} has a value that is not allowed, at {name}.",
                got=f"{value}{f', and {wrong.height - 1:,} more' if wrong.height > 1 else ''}",
                allowed=allowed,
                fix=f"correct {column} in the table or its metadata.parquet",
            )
