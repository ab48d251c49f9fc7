"""The table that a job trains on, and whether the crops suffice for what the axes ask."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from reidgen.config import ExtendConfig, ReidConfig
from reidgen.data.parents import end_of_chain
from reidgen.data.table import ReidTable
from reidgen.engine.run import read_run
from reidgen.errors import ConfigError
from reidgen.extend import run_extend
from reidgen.files import sha256
from reidgen.reid.people import People
from reidgen.sweep.plan import Job, without_generated


def read_table(folder: Path) -> ReidTable:
    """The table of a finished stage, or of a folder that has no run.json.

    Raises:
        DataError: The folder holds no table.
        RunError: Its run is not finished.
    """
    if (folder / "run.json").is_file():
        read_run(folder)
    return ReidTable.read(folder)


def table_of(job: Job, real: ReidTable, generated: ReidTable | None) -> ReidTable:
    """The crops of a job: a share of the real train people, all of query and gallery, and the generated crops.

    Raises:
        ConfigError: The generated table cannot give what is asked.
        DataError: There is nothing to add, or nothing to add to.
    """
    part = share_of(real, job.share, seed=job.seed)
    if job.extend is None:
        return part
    assert generated is not None, "the plan adds nothing where there is no generated table"
    return run_extend(part, _of_people(part, real, generated, job), job.extend)


def share_of(real: ReidTable, share: float, *, seed: int) -> ReidTable:
    """All rows but those of train people beyond the share.

    The people are drawn by the seed; those of a smaller share are among those of a larger one.

    Args:
        real: The whole table.
        share: Above 0, at most 1; the number of people is rounded up.
        seed: Of the draw.
    """
    if share == 1:
        return real
    people = np.unique(real.train.pids[real.train.pids > 0])
    order = np.random.default_rng((seed, len(people))).permutation(people)
    chosen = order[: math.ceil(share * len(people))].tolist()
    return real.where((pl.col("split") != "train") | pl.col("pid").is_in(chosen))


def _of_people(part: ReidTable, real: ReidTable, generated: ReidTable, job: Job) -> ReidTable:
    """Without crops of real people who are left out: they have nobody to be added to."""
    assert job.extend is not None
    if job.share == 1 or job.extend.label != "same":
        return generated
    here = set(part.train.rows["file_name"])
    left_out = set(real.train.rows["file_name"]) - here
    parents = dict(generated.rows.select("file_name", "parent").iter_rows())
    ends = [end_of_chain(name, parents) for name in generated.rows["file_name"]]
    return generated.where([end not in left_out for end in ends])


def hashes_of(real: ReidTable, generated: ReidTable | None) -> dict[str, str | None]:
    """What a sweep reads: the crops, and which of the generated ones take part as whom."""
    if generated is None:
        return {"real": real.hash(), "generated": None, "verdicts": None}
    columns = [name for name in ("rejected_by", "identity", "parent") if name in generated.rows.columns]
    verdicts = sha256(f"{row}\n".encode() for row in generated.rows.select(columns).iter_rows())
    return {"real": real.hash(), "generated": generated.hash(), "verdicts": verdicts}


def steps_on(real: ReidTable) -> Callable[[ReidConfig], int]:
    """The steps that a training's epochs are on all of a real table.

    Raises:
        DataError: The table has too few people.
        ConfigError: It has fewer crops than a batch.
    """
    counts: dict[str, int] = {}

    def steps(reid: ReidConfig) -> int:
        if reid.validation not in counts:
            counts[reid.validation] = len(People.of(real, without_generated(reid)).train)
        return reid.epochs * _steps_per_epoch(counts[reid.validation], reid.batch)

    return steps


def _steps_per_epoch(crops: int, batch: int) -> int:
    if crops < batch:
        raise ConfigError(
            "A training has fewer crops than a batch.",
            got=f"{crops} train crops, batch {batch}",
            allowed=f"a batch of at most {crops}",
            fix=f"--reid.batch {max(crops, 2)}",
        )
    return crops // batch


def check_served(jobs: Sequence[Job], real: ReidTable, generated: ReidTable | None) -> None:
    """Make the table of every combination once, in memory, so that what cannot be had is told before the first run.

    Raises:
        ConfigError: An axis asks for more people, crops of a person, or crops of a batch than there are.
        DataError: A table has too few people to learn from.
    """
    tried: set[str] = set()
    for job in jobs:
        key = repr((job.share, job.extend, dataclasses.replace(job.reid, seed=0)))
        if key not in tried:
            tried.add(key)
            people = People.of(table_of(job, real, generated), job.reid)
            _steps_per_epoch(len(people.train), job.reid.batch)
    if generated is not None:
        _check_crops([job.extend for job in jobs if job.extend is not None], generated)


def _check_crops(asked: Sequence[ExtendConfig], generated: ReidTable) -> None:
    """`extend` adds at most so many crops a person; a number that nobody has would be a point that is no other."""
    most = max((extend.crops_per_person or 0 for extend in asked), default=0)
    has = int(generated.train.kept.rows.group_by("pid").len()["len"].max() or 0)  # type: ignore[arg-type]
    if most > has:
        raise ConfigError(
            "--axis crops asks for more crops of a person than anybody has.",
            got=most,
            allowed=f"0 to {has}: the kept crops of the person of {generated.name} who has most",
            fix=f"--axis crops=0,...,{has}, or more crops of each in reidgen generate",
        )
