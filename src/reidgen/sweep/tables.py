"""The table that a job trains on, and whether the crops suffice for what the axes ask."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from reidgen.config import EvaluateConfig, ExtendConfig, ReidConfig, UnsupervisedConfig
from reidgen.config.reid.generated import WITH_IDENTITY
from reidgen.config.sweep.axes import share_in_words
from reidgen.data.provenance.parents import end_of_chain
from reidgen.data.table import ReidTable
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, DataError, option
from reidgen.extend import run_extend
from reidgen.files import sha256
from reidgen.reid.ranking.queries import check_asked
from reidgen.reid.supervised.people import People
from reidgen.reid.unsupervised.crops import Crops
from reidgen.sweep.plan import Job, Training, without_generated
from reidgen.sweep.words import in_words_of_sweep


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

    Without any real people these are the generated crops that say themselves who is on them, or no train crop at all:
    crops that have their label from real people are of nobody then.

    Raises:
        ConfigError: The generated table cannot give what is asked.
        DataError: There is nothing to add, or nothing to add to.
    """
    part = share_of(real, job.share, seed=job.seed)
    if job.extend is None:
        return part
    assert generated is not None, "the plan adds nothing where there is no generated table"
    added = _of_people(part, real, generated)
    if job.share > 0:
        return run_extend(part, added, job.extend)
    named = job.extend.label == "new" and getattr(job.training, "generated_label", "") in WITH_IDENTITY
    if not named or not len(added.train.kept):
        return part
    table = run_extend(real, added, job.extend)
    return table.take(range(len(real), len(table)))


def beside(table: ReidTable, real: ReidTable, generated: ReidTable | None, training: Training) -> ReidTable | None:
    """The generated crops that a training without labels takes beside its table."""
    takes = isinstance(training, UnsupervisedConfig) and training.takes_generated
    return _of_people(table, real, generated) if takes and generated is not None else None


def share_of(real: ReidTable, share: float, *, seed: int) -> ReidTable:
    """All rows but those of train people beyond the share.

    The people are drawn by the seed; those of a smaller share are among those of a larger one.

    Args:
        real: The whole table.
        share: From 0 to 1; the number of people is rounded up.
        seed: Of the draw.
    """
    if share == 1:
        return real
    order = _drawn(real, seed)
    chosen = order[: math.ceil(share * len(order))].tolist()
    return real.where((pl.col("split") != "train") | pl.col("pid").is_in(chosen))


def _drawn(real: ReidTable, seed: int) -> np.ndarray:
    """All train people in the order in which a seed draws them."""
    people = np.unique(real.train.pids[real.train.pids > 0])
    return np.random.default_rng((seed, len(people))).permutation(people)


def check_people(jobs: Sequence[Job], real: ReidTable) -> None:
    """Whether each share of real people, to which nothing is added, is people and crops enough for a batch.

    Raises:
        ConfigError: One is not; the smallest that is, is told.
    """
    learned: dict[str, Counter[int]] = {}
    for job in jobs:
        training = job.training
        if not 0 < job.share < 1 or job.extend is not None or isinstance(training, UnsupervisedConfig):
            continue
        if training.validation not in learned:
            people = People.of(real, training)
            learned[training.validation] = Counter(people.table.pids[people.train].tolist())
        order = _drawn(real, job.seed)
        crops = np.cumsum([learned[training.validation][pid] for pid in order.tolist()])
        least = training.batch // training.crops_per_person if training.sampler == "people" else 2
        needed = max(least, int(np.searchsorted(crops, training.batch)) + 1)
        asked = math.ceil(job.share * len(order))
        if asked < needed:
            raise ConfigError(
                "A share of the real people is too small to train on.",
                got=f"{share_in_words(job.share)}, {asked} of {len(order):,} people, seed {job.seed}",
                allowed=f"{needed} people or more: shares from {needed}/{len(order)} on, or 0",
                fix=f"{option(axis=f'real=all,{needed}/{len(order)}')}, or a smaller {option('reid.batch')}",
            )


def _of_people(part: ReidTable, real: ReidTable, generated: ReidTable) -> ReidTable:
    """Without crops that were made from real people who are left out: their label is not known either.

    A crop of another dataset may have the name of one that is left out; `parent_origin` tells them apart, where it is.
    """
    if len(part) == len(real):
        return generated
    here, rows = set(part.train.rows["file_name"]), generated.rows
    names = real.train.rows.select("file_name", "origin").iter_rows()
    gone = {name: origin for name, origin in names if name not in here}
    parents = dict(rows.select("file_name", "parent").iter_rows())
    told = "parent_origin" in rows.columns
    origins = dict(rows.select("parent", "parent_origin").iter_rows()) if told else {}
    ends = [end_of_chain(name, parents) for name in rows["file_name"]]
    return generated.where([end not in gone or origins.get(end) not in (None, gone[end]) for end in ends])


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


def steps_of_each(jobs: Sequence[Job], real: ReidTable, generated: ReidTable | None) -> dict[str, int]:
    """Steps of each job by its name; one that has none of its own has its epochs on its own table.

    Raises:
        ConfigError: An axis asks for more people, or crops of a batch, than there are.
        DataError: A table has too few people to learn from.
    """
    every = _crops_of_each(jobs, real, generated)
    return {job.name: (job.steps or _steps(job.training, *crops)) if any(crops) else 0 for job, crops in every}


def _steps(training: Training, crops: int, of_real: int) -> int:
    assert isinstance(training, ReidConfig), "the others have steps of their own"
    return training.epochs * _epoch_steps(crops, of_real, training)


def _epoch_steps(crops: int, of_real: int, reid: ReidConfig) -> int:
    """Steps of an epoch as a training counts them: once through all crops, or by ratio once through the real ones."""
    if reid.generated_ratio is None:
        return _steps_per_epoch(crops, reid.batch)
    return _steps_per_epoch(of_real, reid.batch // sum(reid.generated_ratio) * reid.generated_ratio[0])


def _steps_per_epoch(crops: int, batch: int) -> int:
    if crops < batch:
        raise ConfigError(
            "A training has fewer crops than a batch.",
            got=f"{crops} train crops, batch {batch}",
            allowed=f"a batch of at most {crops}",
            fix=f"{option('reid.batch')} {max(crops, 2)}",
        )
    return crops // batch


def check_served(
    jobs: Sequence[Job], real: ReidTable, generated: ReidTable | None, *, varied: Collection[str] = ()
) -> None:
    """Make the table of every combination once, in memory, so that what cannot be had is told before the first run.

    Args:
        jobs: All runs.
        real: The real table.
        generated: The table of generated crops, if there is one.
        varied: Names of the sweep's axes, which errors then name.

    Raises:
        ConfigError: An axis asks for more people, crops of a person, or crops of a batch than there are.
        DataError: A table has too few people to learn from.
    """
    for job, (crops, _) in _crops_of_each(jobs, real, generated, varied):
        if crops:
            _steps_per_epoch(crops, job.training.batch)
    if generated is not None:
        _check_crops([job.extend for job in jobs if job.extend is not None], generated)


def _crops_of_each(
    jobs: Sequence[Job], real: ReidTable, generated: ReidTable | None, varied: Collection[str] = ()
) -> Iterator[tuple[Job, tuple[int, int]]]:
    """Every job with the number of crops that it learns from, and of the real ones; equal tables are made once.

    A share is another draw of people for each seed, and may hold too few of them for one seed alone.
    """
    made: dict[str, tuple[int, int]] = {}
    for job in jobs:
        drawn = job.seed if job.share < 1 else None
        training = job.training
        if isinstance(training, UnsupervisedConfig):
            about: tuple[object, ...] = training.cameras, training.uses, training.mesh, training.mesh_image
        else:
            about = training.validation, training.generated_label
        key = repr((job.share, drawn, job.extend, about))
        if key not in made:
            with in_words_of_sweep(varied, type(training), of="" if job.generated is None else job.name):
                table = table_of(job, real, generated)
                made[key] = _learned_from(table, beside(table, real, generated, training), training)
        yield job, made[key]


def _learned_from(table: ReidTable, generated: ReidTable | None, training: Training) -> tuple[int, int]:
    """Crops that a training sees, and how many of these are real; none where there is nothing to learn from."""
    if not len(table.train):
        return 0, 0
    if isinstance(training, UnsupervisedConfig):
        crops = Crops.of(table, generated, training)
        return crops.real, crops.real
    people = People.of(table, training)
    return len(people.train), int((~people.generated[people.train]).sum())


def check_tested(real: ReidTable, config: EvaluateConfig) -> None:
    """Whether there is something to evaluate on, so that this is not found after the first training.

    Raises:
        DataError: There are no query or gallery crops, a query is of nobody, or none has a match.
    """
    check_asked(real)
    query, gallery = real.query, real.gallery
    by_camera = config.protocol == "market"
    cameras: dict[int, set[int]] = defaultdict(set)
    for pid, camid in zip(gallery.pids.tolist(), gallery.camids.tolist(), strict=True):
        cameras[pid].add(camid if by_camera else 0)
    seen = zip(query.pids.tolist(), query.camids.tolist(), strict=True)
    if not any(cameras[pid] - ({camid} if by_camera else set()) for pid, camid in seen):
        raise DataError(
            f"No query of {real.name} has a match in the gallery, so no run of the sweep could be evaluated.",
            got=f"{len(query):,} queries, {len(gallery):,} gallery crops, protocol {config.protocol}",
            allowed="at least one query whose person is in the gallery, by another camera under protocol market",
            fix=f"{option('evaluate.protocol')} all, or {option(real='DIR')} of another dataset",
        )


def _check_crops(asked: Sequence[ExtendConfig], generated: ReidTable) -> None:
    """`extend` adds at most so many crops a person; a number that nobody has would be a point that is not another."""
    most = max((extend.crops_per_person or 0 for extend in asked), default=0)
    has = int(generated.train.kept.rows.group_by("pid").len()["len"].max() or 0)  # type: ignore[arg-type]
    if most > has:
        raise ConfigError(
            f"{option('axis')} crops asks for more crops of a person than anybody has.",
            got=most,
            allowed=f"0 to {has}: the kept crops of the person of {generated.name} who has most",
            fix=f"{option(axis=f'crops=0,...,{has}')}, or more crops of each in reidgen generate",
        )
