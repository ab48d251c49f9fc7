"""The stage `prepare`: a dataset as it was downloaded becomes an audited table."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from reidgen.config import PrepareConfig
from reidgen.data.audit.audit import BAD, Audit, audit
from reidgen.data.audit.inspect import Look, inspect
from reidgen.data.readers.load import read
from reidgen.data.schema import SHOWN, UNKNOWN, maps_of
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.progress import progress
from reidgen.engine.runs.records import write_checked
from reidgen.errors import DataError, option
from reidgen.files import Crops, check_apart, file_sha256, sha256


def prepare(config: PrepareConfig, *, root: Path | str, out: Path | str, crops: Crops = "link") -> ReidTable:
    """Read a dataset, audit it, and write it as a tree with its audit.json beside it.

    Args:
        config: Which dataset, and what is done with bad files.
        root: The dataset as it was downloaded; it is not changed.
        out: Folder of the run. The same call again finishes it, or returns its table.
        crops: Whether crops are hard links to the dataset's files, or copies of them; see `ReidTable.write`.

    Returns:
        The table of the written crops.

    Raises:
        DataError: The folder does not hold the dataset, or nothing would be left.
        ConfigError: The pattern is not usable, or `out` lies in the dataset.
        RunError: `out` belongs to another run.
    """
    table, told = read(root, config)
    table = _of_origin(table, config.origin)
    check_apart(out, [root, *table.rows["root"].unique()])
    inputs = {"files": _fingerprint(table), **({} if crops == "link" else {"crops": crops})}
    with RunFolder.begin(out, stage="prepare", config=config, inputs=inputs) as run:
        if run.done:
            return ReidTable.read(out)
        run.findings = frozenset({"audit.json"})
        looks = [one for part in _with_progress(table) for one in part]
        found = audit(table, [looks], told)
        write_checked(run.path / "audit.json", found.as_dict())
        kept = drop_bad(as_shown(table, looks, config), found, config)
        written = kept.write(run.path, size=config.size, crops=crops)
        run.finish({"crops": len(written), "findings": len(found.findings), "bad_files": len(found.bad_files)})
    return written


def _of_origin(table: ReidTable, origin: str) -> ReidTable:
    """The table with crops of this origin, if its reader does not know it better."""
    if origin == "real":
        return table
    told = table.rows.filter(pl.col("origin") != "real")
    if told.height:
        raise DataError(
            f"The crops of {table.name} say themselves what they are.",
            got=f"origin {told['origin'][0]} at {told['file_name'][0]}, and {option(origin=origin)}",
            allowed=f"{option('origin')} for folders without a metadata.parquet of reidgen",
            fix=f"leave {option('origin')} out",
        )
    maker = pl.lit(UNKNOWN) if origin == "generated" else pl.col("generator")
    return replace(table, rows=table.rows.with_columns(origin=pl.lit(origin), generator=maker))


def as_shown(table: ReidTable, looks: list[Look], config: PrepareConfig) -> ReidTable:
    """The table; crops that a viewer shows otherwise than they are stored are read as shown where that is asked for."""
    if config.pictures != "as-shown":
        return table
    shown = [bool(one.otherwise) for one in looks]
    return replace(table, rows=table.rows.with_columns(pl.Series(SHOWN, shown, dtype=pl.Boolean)))


def drop_bad(table: ReidTable, found: Audit, config: PrepareConfig) -> ReidTable:
    """The table without the bad files of its audit where the config says "drop", as it is otherwise.

    What is read as shown is plain RGB then, and is left out for its size alone.

    Raises:
        DataError: No crop would be left.
    """
    if config.bad_files == "keep":
        return table
    bad = set(found.bad_files)
    absurd = {name for finding in found.findings if finding.what == BAD["absurd"] for name in finding.files}
    files = zip(table.rows["file_name"], table.shown, strict=True)
    kept = table.where(name not in (absurd if shown else bad) for name, shown in files)
    if not len(kept):
        raise DataError(
            f"No crop of {table.name} is good.",
            got=f"{len(found.bad_files):,} bad files",
            allowed="at least one good crop",
            fix=f"look at the reasons in audit.json, or {option(bad_files='keep')}",
        )
    return kept


def _with_progress(table: ReidTable) -> Iterator[list[Look]]:
    with progress("audit crops", len(table)) as bar:
        for looks in inspect(table):
            bar.advance(len(looks))
            yield looks


def _fingerprint(table: ReidTable) -> str:
    """A hash of the rows, and of the content of each file that they name, in the table's order.

    What is not a file has no content, and is a finding of the audit.
    """
    columns = ["root", "file_name", *maps_of(table.rows)]
    files = table.rows.select(columns).iter_rows()
    rows = table.rows.drop("root").iter_rows()
    return sha256(f"{row}|{_contents(*paths)}\n".encode() for row, paths in zip(rows, files, strict=True))


def _contents(root: str, *names: str | None) -> list[str | None]:
    paths = [None if name is None else Path(root) / name for name in names]
    return [file_sha256(path) if path is not None and path.is_file() else None for path in paths]
