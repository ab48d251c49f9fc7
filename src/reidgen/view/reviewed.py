"""The table that a review makes of a table: the verdicts in columns, the rest as it was."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from reidgen.data.table import ReidTable
from reidgen.data.tree import holds_table, market_names
from reidgen.errors import RunError, option
from reidgen.view.journal import MERGE, NAME, Entry, Journal

REVIEW = "review"  # in rejected_by


def check_out(out: Path) -> None:
    """Raise `RunError` where a folder holds something else than a review."""
    empty = not out.exists() or (out.is_dir() and all(one.name.startswith(".") for one in out.iterdir()))
    if not empty and not (out / NAME).is_file():
        raise RunError(
            f"{out} holds something else than a review.",
            got="a file" if out.is_file() else f"files, and no {NAME}",
            allowed="a folder that is new, empty, or of an earlier review",
            fix=f"another {option('out')}",
        )


def write_reviewed(journal: Journal) -> list[Path]:
    """Write the tables with verdicts beside the journal: one there, or several in folders by their names.

    Crops are hard links where the disk allows it. The new columns are `verdict`, `verdict_by` and `verdict_at`, and
    `merged_from`: the pid that a crop had before its person was found to be one of a smaller pid. A crop that is
    rejected, or of the wrong person, has "review" in `rejected_by`; one that is kept has nothing there.

    Returns:
        The folders.

    Raises:
        DataError: A crop's file is gone.
    """
    shown, out = journal.shown, journal.path.parent
    whole = reviewed(shown.crops, shown.table, journal.standing())
    folders = [out] if len(shown.folders) == 1 else [out / name for name in shown.names]
    for number, folder in enumerate(folders):
        part = whole.where(shown.table == number)
        _forget(folder, part)
        part.write(folder)
    return folders


def reviewed(crops: ReidTable, table: np.ndarray, standing: Sequence[Entry]) -> ReidTable:
    """The crops with the columns of `write_reviewed`.

    Args:
        crops: As they are shown.
        table: int32 (N,), which table each is of: people are of one table.
        standing: The decisions that stand, in order; the last on a crop counts.
    """
    last = {one["row"]: one for one in standing if one["verdict"] != MERGE and one["row"] >= 0}
    said = {
        name: [last[row][name] if row in last else None for row in range(len(crops))]
        for name in ("verdict", "who", "when")
    }
    verdicts = [
        pl.Series(to, said[name], dtype=pl.String)
        for name, to in (("verdict", "verdict"), ("who", "verdict_by"), ("when", "verdict_at"))
    ]
    pids = crops.pids.copy()
    for one in standing:
        if one["verdict"] == MERGE and min(one["row"], one["other_row"]) >= 0:
            pair = pids[[one["row"], one["other_row"]]]
            pids[(table == table[one["row"]]) & (pids == pair.max())] = pair.min()
    moved = pl.Series("merged_from", np.where(pids != crops.pids, crops.pids, -1), dtype=pl.Int64)
    rows = crops.rows.with_columns(
        *verdicts, pl.Series("pid", pids), rejected_by=_rejected(crops.rows, said["verdict"])
    )
    return dataclasses.replace(crops, rows=rows.with_columns(merged_from=pl.when(moved >= 0).then(moved)))


def _rejected(rows: pl.DataFrame, verdicts: Sequence[str | None]) -> pl.Series:
    """`rejected_by` after the review: the reviewer has the last word."""
    before = rows["rejected_by"] if "rejected_by" in rows.columns else [None] * rows.height
    after = []
    for known, verdict in zip(before, verdicts, strict=True):
        others = [one for one in (known or "").split(",") if one and one != REVIEW]
        joined = ",".join([*others, REVIEW])
        after.append(known if verdict is None else None if verdict == "keep" else joined)
    return pl.Series("rejected_by", after, dtype=pl.String)


def _forget(folder: Path, table: ReidTable) -> None:
    """Remove the links of an earlier writing whose names are others now: a merged person's crops are renamed."""
    if holds_table(folder):
        for name in set(ReidTable.read(folder).rows["file_name"]) - set(market_names(table.rows)):
            (folder / name).unlink(missing_ok=True)
