"""Pairs of cameras: which crops of one show somebody whom the other saw as well, and in the same sequence.

The definitions are those of the thesis that translators come from (Kolbeinsson 2019, section 4.1 and appendix A.1):

- pairs: a crop of the source and one of the target, of one person and one sequence, every one with every one;
- test: crops of the source that are in no pair;
- new: crops of the source whose person the target never saw, in no sequence.

Rows of nobody in particular, distractors and junk, are in none of them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from reidgen.config import PairsConfig
from reidgen.data.table import DISTRACTOR, ReidTable
from reidgen.engine import RunFolder
from reidgen.errors import DataError, option
from reidgen.files import sha256, write_text

TABLE = "pairs.csv"
COUNTS = ("source", "target", "pairs", "test", "new")


@dataclass(frozen=True, eq=False)
class CameraPair:
    """The crops of two cameras, as row numbers of their table. Pairs are numbered, and none is written out.

    Attributes:
        source_rows: Rows of the source that are in a pair, int64 (S,), in the table's order.
        target_rows: Rows of the target, int64 (T,), those of one person and sequence beside one another.
        first: Of each of `source_rows` the place in `target_rows` of its first partner, int64 (S,).
        partners: How many partners it has, at least 1, int64 (S,).
        test: Rows of the source that are in no pair.
        new: Rows of the source whose person the target never saw; all are in `test` too.
    """

    source_rows: np.ndarray
    target_rows: np.ndarray
    first: np.ndarray
    partners: np.ndarray
    test: np.ndarray
    new: np.ndarray

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.partners)

    def __len__(self) -> int:
        """How many pairs there are."""
        return int(self.partners.sum())

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """The pairs of these numbers, each from 0 to len - 1: rows of source and target, int64 (N, 2)."""
        which = np.searchsorted(self._ends, numbers, side="right")
        nth = numbers - (self._ends[which] - self.partners[which])
        return np.stack([self.source_rows[which], self.target_rows[self.first[which] + nth]], axis=1)


def camera_pair(table: ReidTable, source: int, target: int) -> CameraPair:
    """The pairs of two cameras, and the crops of the source that are in none.

    Raises:
        DataError: A camera has no crop of a person, or the two are one.
    """
    people = _people(table)
    _check_cameras(people, source, target)
    here, there = (people.filter(pl.col("camid") == camera).sort("pid", "seq", "row") for camera in (source, target))
    groups = there.with_row_index("first").group_by("pid", "seq").agg(pl.min("first"), pl.len().alias("partners"))
    paired = here.join(groups, on=["pid", "seq"], how="inner").sort("row")
    rest = here.join(there, on=["pid", "seq"], how="anti").sort("row")
    new = rest.join(there, on="pid", how="anti").sort("row")
    first, partners = (paired[name].to_numpy().astype(np.int64) for name in ("first", "partners"))
    return CameraPair(_rows(paired), _rows(there), first, partners, _rows(rest), _rows(new))


def count_pairs(table: ReidTable) -> pl.DataFrame:
    """How many pairs, test crops and new crops each camera has with each other one, both ways.

    Returns:
        int64 columns source, target, pairs, test, new; sorted by source and target.
    """
    people = _people(table)
    sequences, persons = (_per_camera(people, keys) for keys in (["pid", "seq"], ["pid"]))
    cameras = people["camid"].unique().sort().to_list()
    pairs = sequences.T @ sequences
    test, new = (counts.T @ (counts == 0) for counts in (sequences, persons))
    rows = [
        (a, b, int(pairs[i, j]), int(test[i, j]), int(new[i, j]))
        for i, a in enumerate(cameras)
        for j, b in enumerate(cameras)
        if a != b
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(COUNTS, pl.Int64), orient="row")


def write_pairs(table: ReidTable, config: PairsConfig, *, out: Path | str) -> pl.DataFrame:
    """Write `count_pairs` of a table, or of two of its cameras, as pairs.csv. Opens no crop.

    Args:
        table: The crops; only its train split counts, unless `config.split` says otherwise.
        config: Which cameras and split.
        out: Folder of the run.

    Returns:
        The counts that were written.

    Raises:
        DataError: A camera has no crop of a person, or no two cameras have.
    """
    crops = table.train if config.split == "train" else table
    rows = sha256(f"{row}\n".encode() for row in crops.rows.select("pid", "camid", "seq").iter_rows())
    with RunFolder.begin(out, stage="pairs", config=config, inputs={"rows": rows}) as run:
        counts = _asked(crops, config)
        if not run.done:
            write_text(run.path / TABLE, counts.write_csv())
            run.finish({"crops": len(crops), "ways": counts.height})
    return counts


def in_words(counts: pl.DataFrame) -> str:
    """For each target the source with the most pairs, and how many crops of it can show somebody new to the target."""
    best = counts.sort("pairs", "source", descending=[True, False]).unique("target", keep="first").sort("target")
    return "\n".join(
        f"camera {target} from camera {source}: {pairs:,} pairs; {test:,} crops of camera {source} have no partner, "
        f"{new:,} of them show people whom camera {target} never saw"
        for source, target, pairs, test, new in best.iter_rows()
    )


def _asked(crops: ReidTable, config: PairsConfig) -> pl.DataFrame:
    people = _people(crops)
    if config.source is not None and config.target is not None:
        _check_cameras(people, config.source, config.target)
        asked = [config.source, config.target]
        return count_pairs(crops).filter(pl.col("source").is_in(asked) & pl.col("target").is_in(asked))
    if people["camid"].n_unique() < 2:
        raise DataError(
            f"{crops.name or 'The table'} has crops of people from fewer than two cameras.",
            got=f"{people['camid'].n_unique()} in its {config.split} split"
            if config.split == "train"
            else "all splits",
            allowed="two cameras or more",
            fix=f"{option(split='all')}, or another {option('data')}",
        )
    for name, camera in (("source", config.source), ("target", config.target)):
        cameras = people["camid"].unique().sort().to_list()
        if camera is not None and camera not in cameras:
            raise DataError(
                f"{crops.name or 'The table'} has no crop of a person by camera {camera}.",
                got=option(**{name: camera}),
                allowed=f"one of the cameras {', '.join(map(str, cameras))}",
                fix=option(**{name: cameras[0]}),
            )
    asked_of = {"source": config.source, "target": config.target}
    return count_pairs(crops).filter(**{name: camera for name, camera in asked_of.items() if camera is not None})


def _people(table: ReidTable) -> pl.DataFrame:
    rows = table.rows.select("pid", "camid", "seq").with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
    return rows.filter(pl.col("pid") > DISTRACTOR)


def _per_camera(people: pl.DataFrame, keys: list[str]) -> np.ndarray:
    """Crops of each group (rows) in each camera (columns, by number): int64 (groups, cameras)."""
    groups = people.select(pl.struct(keys).rank("dense").alias("group"), pl.col("camid").rank("dense").alias("camera"))
    indices = groups.to_numpy().astype(np.int64) - 1
    counts = np.zeros(indices.max(axis=0, initial=-1) + 1, np.int64)
    np.add.at(counts, tuple(indices.T), 1)
    return counts


def _check_cameras(people: pl.DataFrame, source: int, target: int) -> None:
    cameras = people["camid"].unique().sort().to_list()
    missing = [camera for camera in (source, target) if camera not in cameras]
    if missing or source == target:
        raise DataError(
            "A pair needs crops of people from two cameras.",
            got=f"source {source}, target {target}",
            allowed=f"two of the cameras {', '.join(map(str, cameras)) or '(there are none)'}",
            fix=None if len(cameras) < 2 else f"{option(source=cameras[0])} {option(target=cameras[1])}",
        )


def _rows(frame: pl.DataFrame) -> np.ndarray:
    return frame["row"].to_numpy()
