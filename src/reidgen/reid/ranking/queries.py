"""What a gallery is asked: single crops, or a person by a camera of whom there are several."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidgen.data.disk.notes import FROM_ZERO, as_asked, passed_over, tell
from reidgen.data.readers.market1501 import read_crops
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, option


@dataclass(frozen=True, eq=False)
class Queries:
    """What is asked: crops, or persons by a camera of which there are several crops.

    Attributes:
        table: One row a query; of several crops the first.
        pool: The crops that are embedded.
        groups: int64, the query of each of them, -1 for none; None where each crop of the pool is a query.
    """

    table: ReidTable
    pool: ReidTable
    groups: np.ndarray | None = None

    @classmethod
    def of(cls, query: ReidTable, multi_query: str) -> "Queries":
        """The query split by `EvaluateConfig.multi_query`: "none", "queries", or a folder of crops.

        Raises:
            DataError: The folder's names do not parse, or a query has no crop there.
        """
        if multi_query == "none":
            return cls(query, query)
        pool = query if multi_query == "queries" else _crops_in(Path(multi_query))
        numbers: dict[tuple[int, int], int] = {}
        first = [len(numbers) == numbers.setdefault(key, len(numbers)) for key in _keys(query)]
        table, groups = query.where(first), [numbers.get(key, -1) for key in _keys(pool)]
        missing = sorted(set(numbers.values()) - set(groups))
        if missing:
            raise DataError(
                f"{multi_query} has no crop of a query's person and camera.",
                got=f"none for {table.paths[missing[0]]}; {len(missing):,} queries of this kind",
                allowed="at least one crop for each query, such as those of Market-1501's gt_bbox",
                fix=f"{option(multi_query='queries')}, which takes the query crops themselves",
            )
        return cls(table, pool, np.array(groups, dtype=np.int64))

    def pictures(self, gallery: ReidTable) -> tuple[np.ndarray, np.ndarray]:
        """A number for each query and for each gallery crop, equal where the crop is one of the query's own pictures.

        Told by the content of the files: a copy under another name is the same picture.

        Raises:
            DataError: A file cannot be read.
        """
        groups = np.arange(len(self.pool)) if self.groups is None else self.groups
        numbers: dict[str, int] = {}
        for content, group in zip(self.pool.contents(), groups.tolist(), strict=True):
            if group >= 0:
                numbers.setdefault(content, group)
        asked = np.arange(len(self.table))
        if self.groups is None:
            asked = np.array([numbers[content] for content in self.pool.contents()])
        return asked, np.array([numbers.get(content, -1) for content in gallery.contents()], dtype=np.int64)


def _crops_in(folder: Path) -> ReidTable:
    crops = read_crops(folder)
    tell(passed_over(folder, crops))
    return as_asked(crops, None)


def own_pictures(asked: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each query the first gallery crop that is its own picture, int64 (Q,), -1 where none is."""
    places = {number: row for row, number in reversed(list(enumerate(others.tolist())))}
    return np.array([places.get(number, -1) for number in asked.tolist()], dtype=np.int64)


def check_asked(table: ReidTable) -> None:
    """Whether a table can be evaluated on, as far as its rows say.

    Raises:
        DataError: There are no query or gallery crops, or a query is of nobody.
    """
    query, gallery = table.query, table.gallery
    for split, rows in (("query", query), ("gallery", gallery)):
        if not len(rows):
            raise DataError(
                f"{table.name or 'The table'} has no {split} crops.",
                got=f"{len(table):,} crops, none of them in split {split}",
                allowed="splits query and gallery with at least one crop each",
                fix="the folder of a prepared dataset, or of the extended table made from it",
            )
    nobody = query.where(query.pids <= 0)
    if len(nobody):
        raise DataError(
            f"The query {nobody.paths[0]} is of no person.",
            got=f"pid {nobody.pids[0]}; {len(nobody):,} queries of this kind",
            allowed="queries with pid > 0: 0 marks distractors, -1 junk",
            fix=f"reidgen prepare lists them; {FROM_ZERO}",
        )


def _keys(table: ReidTable) -> list[tuple[int, int]]:
    return list(zip(table.pids.tolist(), table.camids.tolist(), strict=True))
