"""The stage `prepare`: a dataset as it was downloaded becomes an audited table."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from reidgen.config import PrepareConfig
from reidgen.data.audit import Audit, audit
from reidgen.data.inspect import Look, inspect
from reidgen.data.load import READERS
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.progress import progress
from reidgen.errors import DataError
from reidgen.files import sha256, write_json


def prepare(config: PrepareConfig, *, root: Path | str, out: Path | str) -> ReidTable:
    """Read a dataset, audit it, and write it as a tree with its audit.json beside it.

    Args:
        config: Which dataset, and what is done with bad files.
        root: The dataset as it was downloaded; it is not changed.
        out: Folder of the run. The same call again finishes it, or returns its table.

    Returns:
        The table of the written crops.

    Raises:
        DataError: The folder does not hold the dataset, or nothing would be left.
        ConfigError: The pattern is not usable.
        RunError: `out` belongs to another run.
    """
    table = READERS[config.dataset](Path(root), config)
    run = RunFolder.begin(out, stage="prepare", config=config, inputs={"root": str(root), "files": _fingerprint(table)})
    if run.done:
        run.close()
        return ReidTable.read(out)
    try:
        found = audit(table, _with_progress(table))
        write_json(run.path / "audit.json", found.as_dict())
        written = drop_bad(table, found, config).write(run.path, size=config.size)
    except BaseException:
        run.close()
        raise
    run.finish({"crops": len(written), "findings": len(found.findings), "bad_files": len(found.bad_files)})
    return written


def drop_bad(table: ReidTable, found: Audit, config: PrepareConfig) -> ReidTable:
    """The table without the bad files of its audit where the config says "drop", as it is otherwise.

    Raises:
        DataError: No crop would be left.
    """
    if config.bad_files == "keep":
        return table
    kept = table.where(~pl.col("file_name").is_in(list(found.bad_files)))
    if not len(kept):
        raise DataError(
            f"No crop of {table.name} is good.",
            got=f"{len(found.bad_files):,} bad files",
            allowed="at least one good crop",
            fix="look at the reasons in audit.json, or --bad-files keep",
        )
    return kept


def _with_progress(table: ReidTable) -> Iterator[list[Look]]:
    with progress("audit crops", len(table)) as bar:
        for looks in inspect(table):
            bar.advance(len(looks))
            yield looks


def _fingerprint(table: ReidTable) -> str:
    """A hash of the rows and of the files' sizes, not of their content: bad files have no content to read."""
    rows = table.rows.select("file_name", "pid", "camid", "split").iter_rows()
    sizes = (path.stat().st_size if path.is_file() else -1 for path in table.paths)
    return sha256(f"{row}|{size}\n".encode() for row, size in zip(rows, sizes, strict=True))
