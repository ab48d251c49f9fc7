"""Published sizes of the datasets, against which what was read is checked."""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from reidgen.data.table import DISTRACTOR, JUNK, ReidTable
from reidgen.errors import DataError, option

ALL = "all"  # in place of a split
Counts = Mapping[str, Mapping[str, int]]  # split -> crops, people, distractors, junk, of ALL also images -> how many


def count(table: ReidTable) -> dict[str, dict[str, int]]:
    """Crops of people, people, distractors, junk and cameras of each split."""
    person = pl.col("pid") > DISTRACTOR
    found = {}
    for split in ("train", "query", "gallery"):
        rows = table.rows.filter(pl.col("split") == split)
        found[split] = {
            "crops": rows.filter(person).height,
            "people": rows.filter(person)["pid"].n_unique(),
            "distractors": rows.filter(pl.col("pid") == DISTRACTOR).height,
            "junk": rows.filter(pl.col("pid") == JUNK).height,
            "cameras": rows["camid"].n_unique(),
        }
    return found


def check(table: ReidTable, published: Counts, expect: Literal["check", "any"]) -> ReidTable:
    """The table, if its sizes are the published ones or any size will do.

    Raises:
        DataError: A size differs.
    """
    found = {**count(table), ALL: _totals(table)}
    differ = [
        f"{split} {found[split][what]:,} {what} instead of {number:,}"
        for split, numbers in published.items()
        for what, number in numbers.items()
        if found[split][what] != number
    ]
    if differ and expect == "check":
        raise DataError(
            f"{table.name} is not complete.",
            got="; ".join(differ),
            allowed="the published counts",
            fix=f"download and unpack it again, or read what is there with {option(expect_counts='any')}",
        )
    return table


def _totals(table: ReidTable) -> dict[str, int]:
    """Of all splits: image files whoever is on them, people, distractors, cameras."""
    rows, person = table.rows, pl.col("pid") > DISTRACTOR
    return {
        "images": rows.height,
        "people": rows.filter(person)["pid"].n_unique(),
        "distractors": rows.filter(pl.col("pid") == DISTRACTOR).height,
        "cameras": rows["camid"].n_unique(),
    }
