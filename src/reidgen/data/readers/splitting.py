"""Splits of a set that has none, or another than is wanted: by people, by a list, with queries among the test's."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from reidgen.config import PrepareConfig
from reidgen.config.folders import ranges
from reidgen.data.readers.labels import splits_of
from reidgen.data.table import DISTRACTOR
from reidgen.errors import DataError, option
from reidgen.files import sha256

Rows = list[dict[str, Any]]


def split(rows: Rows, config: PrepareConfig, *, own: bool) -> Rows:
    """The rows in the splits that `config.split` asks for.

    A share is drawn among the people who can be asked for: with splits of their own those who have queries, otherwise
    all. The order of people and of crops is that of hashes, the same on every machine. Where the rest has no queries,
    one crop a camera of each person of the test becomes one; a person whose cameras have one crop each gives one query,
    and whoever has one crop, junk and distractors stay in the gallery.

    Args:
        rows: Rows with file_name, pid, source_pid, camid and split; the split is changed.
        config: The way and the seed.
        own: Whether the set says splits of its own, which those who are not moved to train keep.

    Raises:
        DataError: There are too few people for a train and a test split, or a list lacks crops.
    """
    way, _, value = (config.split or "").partition(":")
    if way == "list":
        return _by_list(rows, Path(value), config)
    if way != "queries":
        _move_people(rows, way, value, config, own=own)
    if not any(row["split"] == "query" for row in rows):
        _draw_queries(rows, config.seed)
    return rows


def _move_people(rows: Rows, way: str, value: str, config: PrepareConfig, *, own: bool) -> None:
    """Put people into train; the others into the test, unless they have splits of their own."""
    people = {row["source_pid"]: row["pid"] for row in rows if row["pid"] > DISTRACTOR}
    if way == "people":
        wanted = ranges(value)
        chosen = {name for name, pid in people.items() if any(pid in one for one in wanted)}
    else:
        asked = {row["source_pid"] for row in rows if row["split"] == "query"}
        order = sorted(people.keys() & asked if own else people, key=lambda name: _drawn(config.seed, name))
        chosen = set(order[: round(float(value) * len(order))])
    if not 0 < len(chosen) < len(people):
        way = "train_share" if config.split_by is None else "split_by"
        raise DataError("There are too few people to split.",
                        got=f"{len(people):,} people, {len(chosen):,} of them to train",
                        allowed="at least one person on each side", fix=f"another {option(way)}")  # fmt: skip
    for row in rows:
        if row["source_pid"] in chosen:
            row["split"] = "train"
        elif not own:
            row["split"] = "gallery"


def _draw_queries(rows: Rows, seed: int) -> None:
    people: dict[str, Rows] = defaultdict(list)
    for row in rows:
        if row["split"] == "gallery" and row["pid"] > DISTRACTOR:
            people[row["source_pid"]].append(row)
    for crops in people.values():
        for row in _queries(crops, seed):
            row["split"] = "query"


def _by_list(rows: Rows, file: Path, config: PrepareConfig) -> Rows:
    """The rows that a list names; it has to name all, unless what is unmatched is skipped."""
    splits = splits_of(file)
    lacking = [row["file_name"] for row in rows if row["file_name"] not in splits]
    if lacking and (not config.skip_unmatched or len(lacking) == len(rows)):
        raise DataError(f"{file} does not say the split of each crop.", got=f"{lacking[0]}, of {len(lacking):,}",
                        allowed="paths relative to the dataset's folder, one line each",
                        fix=f"{option(skip_unmatched=True)} leaves them out")  # fmt: skip
    kept = [row for row in rows if row["file_name"] in splits]
    for row in kept:
        row["split"] = splits[row["file_name"]]
    return kept


def _queries(rows: Rows, seed: int) -> Rows:
    """The crops of one person that are asked for; at least one is left to be found."""
    cameras: dict[int, Rows] = defaultdict(list)
    for row in sorted(rows, key=lambda row: _drawn(seed, row["file_name"])):
        cameras[row["camid"]].append(row)
    several = [crops[0] for crops in cameras.values() if len(crops) > 1]
    return several or [crops[0] for crops in list(cameras.values())[: len(rows) > 1]]


def _drawn(seed: int, name: str) -> str:
    return sha256([f"{seed}/{name}".encode(errors="surrogateescape")])
