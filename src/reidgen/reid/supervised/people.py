"""Who is learned from: which crops of a table a training uses, their classes, and what is held out for validation."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from reidgen.config import GeneratedConfig, GeneratedLabel
from reidgen.config.reid.generated import WITH_IDENTITY
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, option
from reidgen.files import file_sha256

DIGITS = 16  # of a crop's SHA-256 in the list of crops that were learned from


@dataclass(frozen=True)
class People:
    """The crops of a training and who is on them.

    Attributes:
        table: The crops, train and validation together, in table order.
        pids: Person of each class, ascending.
        labels: int64 (N,), class of each crop; -1 for generated ones that the label policy gives no identity.
        generated: bool (N,), which crops are generated.
        train: int64, rows that are learned from.
        val: int64, rows that are held out; empty without validation.
    """

    table: ReidTable
    pids: list[int]
    labels: np.ndarray
    generated: np.ndarray
    train: np.ndarray
    val: np.ndarray

    @classmethod
    def of(cls, table: ReidTable, config: GeneratedConfig) -> "People":
        """The train split without distractors, junk and what a filter has rejected.

        With `validation` "first" the first crop of each person with two crops or more is held out, as the source does.
        With a label policy without identity the pids of generated crops are not classes, and none of them is held out.

        Raises:
            DataError: Fewer than two people are left.
            ConfigError: The label policy asks for other pids of the generated crops.
        """
        crops = table.train.kept.where(pl.col("pid") > 0)
        generated = (crops.rows["origin"] == "generated").to_numpy()
        _check_fit(crops, generated, config.generated_label)
        named = np.ones_like(generated) if config.generated_label in WITH_IDENTITY else ~generated
        pids = np.unique(crops.pids[named])
        labels = np.where(named, np.searchsorted(pids, crops.pids), -1)
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
            _, first, counts = np.unique(labels[named], return_index=True, return_counts=True)
            held[np.flatnonzero(named)[first[counts > 1]]] = True
        rows = (np.flatnonzero(~held), np.flatnonzero(held))
        return cls(crops, pids.tolist(), labels.astype(np.int64), generated, *rows)

    def learned(self) -> dict[str, list[str] | list[int]]:
        """Which crops are learned from; see `learned`."""
        return learned(self.table.take(self.train))

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


def _check_fit(crops: ReidTable, generated: np.ndarray, label: GeneratedLabel) -> None:
    """Policies "new" and "same" are promises about the table's pids."""
    if label not in ("new", "same"):
        return
    others = np.isin(crops.pids, crops.pids[~generated]) & generated
    wrong = others if label == "new" else generated & ~others
    if wrong.any():
        row = crops.rows.row(int(np.flatnonzero(wrong)[0]), named=True)
        kind = "of people who have other crops too" if label == "new" else "of people with no other crop"
        raise ConfigError(
            f'{option("generated_label")} "{label}" does not fit {crops.name or "the table"}.',
            got=f"{int(wrong.sum()):,} of {int(generated.sum()):,} generated crops {kind}, such as {row['file_name']} "
            f"of pid {row['pid']}",
            allowed=f"a table that was written by reidgen extend --label {label}",
            fix=f"reidgen extend --label {label}, or {option(generated_label='table')}, "
            "which takes the pids as they are",
        )


def learned(crops: ReidTable) -> dict[str, list[str] | list[int]]:
    """Which crops are learned from, so that crops can later be judged by a network that has not seen them.

    `generated` and `others` hold the first 16 hexadecimal digits of each file's SHA-256, sorted; `generated_people`
    the pids that have generated crops.
    """
    generated = (crops.rows["origin"] == "generated").to_numpy()
    digests = np.array([file_sha256(path)[:DIGITS] for path in crops.paths])
    return {
        "generated": sorted(digests[generated].tolist()),
        "others": sorted(digests[~generated].tolist()),
        "generated_people": np.unique(crops.pids[generated]).tolist(),
    }
