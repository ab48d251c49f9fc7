"""Who is learned from: which crops of a table a training uses, their classes, and what is held out for validation."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from reidgen.config import ReidConfig
from reidgen.data.table import ReidTable
from reidgen.errors import DataError
from reidgen.files import file_sha256

DIGITS = 16  # of a crop's SHA-256 in the list of crops that were learned from


@dataclass(frozen=True)
class People:
    """The crops of a training and who is on them.

    Attributes:
        table: The crops, train and validation together, in table order.
        pids: Person of each class, ascending.
        labels: int64 (N,), class of each crop.
        train: int64, rows that are learned from.
        val: int64, rows that are held out; empty without validation.
    """

    table: ReidTable
    pids: list[int]
    labels: np.ndarray
    train: np.ndarray
    val: np.ndarray

    @classmethod
    def of(cls, table: ReidTable, config: ReidConfig) -> "People":
        """The train split without distractors, junk and what a filter has rejected.

        With `validation` "first" the first crop of each person with two crops or more is held out, as the source does.

        Raises:
            DataError: Fewer than two people are left.
        """
        crops = table.train.kept.where(pl.col("pid") > 0)
        pids, labels = np.unique(crops.pids, return_inverse=True)
        if len(pids) < 2:
            left = (
                f"{len(table):,} crops, {len(table.train):,} of them in the train split, {len(crops):,} of these usable"
            )
            raise DataError(
                f"{table.name or 'The table'} has too few people to learn from.",
                got=f"{len(pids)} people ({left})",
                allowed="at least two people with pid > 0 in split train that no filter has rejected",
                fix="reidgen prepare shows the splits",
            )
        held = np.zeros(len(crops), dtype=bool)
        if config.validation == "first":
            _, first, counts = np.unique(labels, return_index=True, return_counts=True)
            held[first[counts > 1]] = True
        return cls(crops, pids.tolist(), labels.astype(np.int64), np.flatnonzero(~held), np.flatnonzero(held))

    def learned(self) -> dict[str, list[str] | list[int]]:
        """Which crops are learned from, so that crops can later be judged by a network that has not seen them.

        `generated` and `others` hold the first 16 hexadecimal digits of each file's SHA-256, sorted; `generated_people`
        the pids that have generated crops.
        """
        rows = self.table.where(np.isin(np.arange(len(self.table)), self.train))
        generated = (rows.rows["origin"] == "generated").to_numpy()
        digests = np.array([file_sha256(path)[:DIGITS] for path in rows.paths])
        return {
            "generated": sorted(digests[generated].tolist()),
            "others": sorted(digests[~generated].tolist()),
            "generated_people": np.unique(rows.pids[generated]).tolist(),
        }

    def facts(self) -> dict[str, int | float]:
        """What a run says of its crops: how many it learns from, of how many people, and which share is generated."""
        learned = self.table.rows[self.train]
        return {
            "images": learned.height,
            "val_images": len(self.val),
            "people": len(self.pids),
            "cameras": learned["camid"].n_unique(),
            "generated_images": int((learned["origin"] == "generated").sum()),
            "generated_people": learned.filter(pl.col("origin") == "generated")["pid"].n_unique(),
            "generated_share": round(float((learned["origin"] == "generated").mean()), 6),  # type: ignore[arg-type]
        }
