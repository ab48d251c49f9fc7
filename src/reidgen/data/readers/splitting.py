"""A seeded split of a set that has none: by people, with queries among those of the test."""

from collections import defaultdict
from typing import Any

from reidgen.data.table import DISTRACTOR
from reidgen.errors import DataError, option
from reidgen.files import sha256


def split_people(rows: list[dict[str, Any]], *, share: float, seed: int) -> None:
    """Put a share of the people into the train split, and of the others one crop a camera among the queries.

    A person of the test whose cameras have one crop each gives one query; whoever has one crop, junk and distractors
    stay in the gallery. The order of people and of crops is that of hashes, the same on every machine.

    Args:
        rows: Rows with file_name, pid, source_pid and camid, whose split is set.
        share: Of the people, above 0 and below 1.
        seed: Another seed is another split.

    Raises:
        DataError: There are too few people for a train and a test split.
    """
    people: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        row["split"] = "gallery"
        if row["pid"] > DISTRACTOR:
            people[row["source_pid"]].append(row)
    order = sorted(people, key=lambda name: _drawn(seed, name))
    count = round(share * len(order))
    if not 0 < count < len(order):
        raise DataError("There are too few people to split.", got=f"{len(order):,} people, {count:,} of them to train",
                        allowed="at least one person on each side", fix=f"another {option('train_share')}")  # fmt: skip
    for name in order[:count]:
        for row in people[name]:
            row["split"] = "train"
    for name in order[count:]:
        for row in _queries(people[name], seed):
            row["split"] = "query"


def _queries(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The crops of one person that are asked for; at least one is left to be found."""
    cameras: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: _drawn(seed, row["file_name"])):
        cameras[row["camid"]].append(row)
    several = [crops[0] for crops in cameras.values() if len(crops) > 1]
    return several or [crops[0] for crops in list(cameras.values())[: len(rows) > 1]]


def _drawn(seed: int, name: str) -> str:
    return sha256([f"{seed}/{name}".encode(errors="surrogateescape")])
