"""What a reader passed over and what it made up, told with a count: on the error stream, and in the audit."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from reidgen.config import PrepareConfig
from reidgen.config.data import SPLIT_THEMSELVES
from reidgen.data.audit.findings import Finding, Severity
from reidgen.data.disk.threads import in_order
from reidgen.data.pixels.images import TURNED_TIFF, file_otherwise
from reidgen.data.readers.folder import NO_CAMERAS, whole
from reidgen.data.readers.names import entries_of, is_picture
from reidgen.data.schema import DISTRACTOR, SHOWN
from reidgen.data.table import ReidTable
from reidgen.data.tree import holds_table
from reidgen.errors import say

PASSED: dict[str, tuple[Severity, str]] = {
    "links to folders": ("warning", "links are not followed; copy the folders, or read each by itself"),
    "pictures": ("warning", "they lie beside those that were read and are not of the set"),
    "folders": ("note", "nothing was read from them"),
    "files": ("note", "their endings are of no picture that is read"),
    "hidden files and folders": ("note", "names that begin with a dot"),
}
FROM_ZERO = (
    r"where people are numbered from 0: reidgen prepare --dataset folder --pattern "
    r"'(?P<split>\w+)/(?P<pid>-?\d+)_c(?P<camid>\d+)'"
)
NAMED = 3  # names in a line on the error stream; the audit has all


def notes(root: Path | str, table: ReidTable, config: PrepareConfig) -> list[Finding]:
    """What is to be told of a dataset that was read: what its folder holds beside it, numbers and splits made here."""
    made = () if config.dataset in SPLIT_THEMSELVES else _made(table, config)
    return [*made, *passed_over(root, table)]


def passed_over(root: Path | str, table: ReidTable) -> list[Finding]:
    """What lies in a folder beside the crops that were read from it, by kind; nothing of a folder that reidgen wrote.

    Raises:
        DataError: A folder may not be read.
    """
    read: dict[str, set[str]] = defaultdict(set)
    for path in table.paths:
        folder, name = os.path.split(os.path.normpath(path))
        read[folder].add(name)
    start = Path(root).absolute()
    above = {str(one) for folder in read for one in (Path(folder), *Path(folder).parents)}
    found: dict[str, list[str]] = {kind: [] for kind in PASSED}
    for folder in sorted(one for one in above if Path(one).is_relative_to(start)):
        if holds_table(Path(folder)):
            return []
        for entry in entries_of(Path(folder)):
            if entry.name not in read[folder] and entry.path not in above:
                found[_kind(entry)].append(Path(entry.path).relative_to(start).as_posix())
    return [
        Finding(severity, f"{kind} passed over", f"{len(found[kind]):,}: {why}", tuple(sorted(found[kind])))
        for kind, (severity, why) in PASSED.items()
        if found[kind]
    ]


def as_asked(table: ReidTable, pictures: str | None, *, otherwise: str = "") -> ReidTable:
    """The table with its pictures as they are asked for, and a word of those that a viewer shows otherwise.

    Args:
        table: Crops that no audit has looked at.
        pictures: "as-shown", or None for pixels as they are stored.
        otherwise: What to type for the other way.
    """
    why = list(in_order(file_otherwise, table.paths))
    for reason in sorted({*why} - {""}):
        files = tuple(name for name, one in zip(table.rows["file_name"], why, strict=True) if one == reason)
        turned = pictures or reason == TURNED_TIFF
        done = "read as a viewer shows them" if turned else f"read as they are stored{otherwise}"
        tell([Finding("note", f"{len(files):,} of {len(table):,} pictures", f"{reason}; {done}", files)])
    if not pictures or not any(why):
        return table
    return replace(table, rows=table.rows.with_columns(pl.Series(SHOWN, map(bool, why), dtype=pl.Boolean)))


def tell_nobody(train: ReidTable) -> None:
    """Say that crops of junk and of distractors are not learned from, if there are any."""
    nobody = train.where(pl.col("pid") <= DISTRACTOR)
    if len(nobody):
        why = f"{len(nobody):,} of pid 0 or -1 are not a class, and are left out; {FROM_ZERO}"
        tell([Finding("warning", "train crops of nobody", why, tuple(nobody.rows["file_name"]))])


def tell(findings: list[Finding]) -> None:
    """One line for each finding on the error stream."""
    for one in findings:
        names = ", ".join([*one.files[:NAMED], *(["..."] if len(one.files) > NAMED else [])])
        say(f"{one.what}: {one.reason}{f' ({names})' if names else ''}")


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.name.startswith("."):
        return "hidden files and folders"
    if entry.is_dir():
        return "links to folders" if entry.is_symlink() else "folders"
    return "pictures" if is_picture(entry.name) else "files"


def _made(table: ReidTable, config: PrepareConfig) -> Iterator[Finding]:
    rows = table.rows
    if config.split is not None:
        people = rows.filter(pl.col("pid") > 0).group_by("pid").agg((pl.col("split") == "train").any())
        queries = (rows["split"] == "query").sum()
        why = f"{people['split'].sum():,} of {len(people):,} people in train, {queries:,} queries"
        yield Finding("note", "split made here", f"{why}, by {config.split} and seed {config.seed}")
    if rows["source_camid"].null_count() == len(rows):
        query, gallery = NO_CAMERAS["query"], NO_CAMERAS["gallery"]
        why = f"train and query crops count as camera {query}, gallery crops as {gallery}, so that none is left out"
        yield Finding("note", "set without cameras", why)
    for what, column in (("people", "pid"), ("cameras", "camid")):
        pairs = rows.select(f"source_{column}", column).drop_nulls().unique().sort(column).iter_rows()
        made = [f"{name} = {number}" for name, number in pairs if whole(name) != number]
        if made:
            names = ", ".join(made[:NAMED]) + (", ..." if len(made) > NAMED else "")
            yield Finding("note", f"{what} numbered here", f"{len(made):,} whose names are not numbers or 0: {names}")
