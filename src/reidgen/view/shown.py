"""What the page shows: the crops of tables by number, their columns as arrays, and the trainings beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reidgen.data.provenance import KINDS, Rendering, Style, Translation, View
from reidgen.data.schema import FOLDERS
from reidgen.data.table import ReidTable
from reidgen.data.tree import holds_table
from reidgen.errors import DataError
from reidgen.view.curves import has_curves

MADE = {Style: "generated", Translation: "other camera", View: "other side", Rendering: "rendered"}
NOT_FILTERED, KEPT = "not filtered", "kept by all filters"
SCORE = "score_"


@dataclass(frozen=True, eq=False)
class Shown:
    """The crops of some tables, one after the other, and some run folders.

    Attributes:
        crops: All crops; a crop's number is its row.
        folders: The tables' folders.
        table: int32 (N,), which folder a crop is of.
        runs: Run folders with figures that grow.
        stamps: Size and time of each table's files when they were read.
    """

    crops: ReidTable
    folders: tuple[Path, ...]
    table: np.ndarray
    runs: tuple[Path, ...]
    stamps: tuple[Any, ...]

    @classmethod
    def read(cls, folders: Sequence[Path], *, without: Path | None = None) -> "Shown":
        """Read tables, and find trainings. A folder that is neither is looked through, one level deep.

        Args:
            folders: What is named.
            without: A folder that is left out of what is found in those.

        Raises:
            DataError: A folder holds nothing to show, or a table that cannot be read.
        """
        if not folders:
            raise DataError(
                "There is nothing to show.", got="no folder", allowed="tables and trainings, or folders of such"
            )
        found = [one for folder in folders for one in _found(folder, without)]
        tables, runs = [one for one in found if holds_table(one)], [one for one in found if has_curves(one)]
        stamps = tuple(map(_stamp, tables))  # before they are read: a later change is then a change
        parts = [ReidTable.read(folder) for folder in tables]
        crops = ReidTable.concat(parts) if parts else ReidTable.from_rows([], root=folders[0])
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        return cls(crops, tuple(tables), numbers, tuple(runs), stamps)

    def changed(self) -> list[Path]:
        """The tables whose files are others than those that were read."""
        return [folder for folder, stamp in zip(self.folders, self.stamps, strict=True) if _stamp(folder) != stamp]

    @property
    def names(self) -> list[str]:
        """What the tables are called: the last part of each path, with a number where two would be called the same."""
        last = [folder.resolve().name or "table" for folder in self.folders]
        return [f"{name}-{last[:at].count(name) + 1}" if last.count(name) > 1 else name for at, name in enumerate(last)]

    def path(self, row: int) -> Path:
        """Where a crop's file is."""
        root, name = self.crops.rows.select("root", "file_name").row(row)
        return Path(root) / name

    def person(self, row: int) -> tuple[int, int]:
        """Whose crop it is: the table, and the person's number there."""
        return int(self.table[row]), int(self.crops.rows["pid"][row])

    def columns(self) -> dict[str, tuple[np.ndarray, list[str] | None]]:
        """The columns that the page sorts and chooses by: numbers (N,), and the words that they stand for.

        Whole numbers are int32, or float64 where one is larger; scores float32 with NaN where there is none.
        """
        rows = self.crops.rows
        whole = {name: (_whole(rows[name].to_numpy()), None) for name in ("pid", "camid")}
        words = {
            "split": rows["split"],
            "origin": rows["origin"],
            "made": _made(rows),
            "filters": _verdicts(rows),
        }
        named: dict[str, Any] = {"table": (self.table, self.names)}
        for name, column in words.items():
            labels = (
                [one for one in FOLDERS if one in set(column)] if name == "split" else column.unique().sort().to_list()
            )
            named[name] = column.cast(pl.Enum(labels)).to_physical().to_numpy().astype(np.int32), labels
        scores = {name: (rows[name].to_numpy().astype(np.float32), None) for name in self.scores}
        return {**named, **whole, **scores}

    @property
    def scores(self) -> list[str]:
        """The columns with scores of filters."""
        return [name for name in self.crops.rows.columns if name.startswith(SCORE)]


def _whole(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.int32 if (abs(numbers) < 2**31).all() else np.float64)


def _found(folder: Path, without: Path | None) -> list[Path]:
    if _is_shown(folder):
        return [folder]
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    inner = [one for one in inside if one.is_dir() and _is_shown(one) and not (without and one.samefile(without))]
    if not inner:
        raise DataError(
            f"There is nothing to show in {folder}.",
            got="a folder without table or training" if folder.is_dir() else "no such folder",
            allowed="the folder of a table or of a training, or one that holds such folders",
            fix="reidgen prepare --dataset folder --root FOLDER --out DIR makes a table of any folder of crops",
        )
    return inner


def _is_shown(folder: Path) -> bool:
    return holds_table(folder) or has_curves(folder)


def _stamp(folder: Path) -> tuple[Any, ...]:
    files = [folder / sub / "metadata.parquet" for sub in FOLDERS.values()]
    known = [file.stat() if file.is_file() else None for file in files]
    return tuple(None if one is None else (one.st_size, one.st_mtime_ns) for one in known)


def _made(rows: pl.DataFrame) -> pl.Series:
    """How each crop was made, in a word or two."""
    words = {first: MADE[kind] for first, kind in KINDS.items()}
    first = pl.col("operation").str.split(" ").list.first()
    return rows.select(first.replace_strict(words, default="as it came", return_dtype=pl.String).alias("made"))["made"]


def _verdicts(rows: pl.DataFrame) -> pl.Series:
    """Of each crop the filters that reject it, without what they point at."""
    if "rejected_by" not in rows.columns:
        return pl.Series([NOT_FILTERED] * rows.height, dtype=pl.String)
    by = pl.col("rejected_by").str.replace_all(r":[^,]*", "")
    scored = pl.any_horizontal(
        pl.lit(False), *(pl.col(one).is_not_null() for one in rows.columns if one.startswith(SCORE))
    )
    kept = pl.when(scored).then(pl.lit(KEPT)).otherwise(pl.lit(NOT_FILTERED))
    return rows.select(pl.when(by.is_null() | (by == "")).then(kept).otherwise(by).alias("by"))["by"]
