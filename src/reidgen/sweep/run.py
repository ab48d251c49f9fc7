"""A sweep: all points of a description, in parallel, each in folders of its own, so that none is ever done twice."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reidgen.backbones.weights import weights_hash
from reidgen.config import SweepConfig, as_dict
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.runs.run import read_record
from reidgen.errors import DataError, RunError, TrainingError, option
from reidgen.files import check_apart
from reidgen.sweep.decoded import Decoded
from reidgen.sweep.launching.full import telling_full_disk
from reidgen.sweep.launching.launch import Ended, Workers, work_off
from reidgen.sweep.launching.live import watching
from reidgen.sweep.launching.local import LocalWorkers, default_threads, default_workers
from reidgen.sweep.plan import Job, Point, jobs, plan
from reidgen.sweep.point import Order, finished, order_of, read_point
from reidgen.sweep.result import SweepResult, points_table, write_points
from reidgen.sweep.start import check_starts
from reidgen.sweep.tables import (
    check_people,
    check_served,
    check_tested,
    hashes_of,
    read_table,
    steps_of_each,
    steps_on,
)

WHERE = ("launcher", "workers", "threads", "retries", "ray_address")  # no part of what is asked
MORE = ("preset", "axis", "arm", "seeds")  # a sweep may grow


def sweep(
    real: Path | str, config: SweepConfig, *, generated: Path | str | None = None, out: Path | str
) -> SweepResult:
    """Train and evaluate every point of a grid, with several seeds each.

    The same call again goes on where it was stopped: what is finished is kept, a training that was cut off goes on from
    its checkpoint, a run that failed is tried again. With more seeds, or other axes, only what is new is run.
    `out` gets `runs/POINT/seed-N/train` and `.../result` (run folders of train-reid and evaluate) and points.parquet
    and points.csv, which are written anew after each run.

    Args:
        real: Folder of a table with train, query and gallery.
        config: What is varied, how often, where it runs.
        generated: Folder of a table of generated crops, filtered or not.
        out: Run folder.

    Raises:
        ConfigError: The crops do not suffice for an axis, or an option does not fit.
        DataError: A folder holds no table.
        RunError: `out` belongs to another sweep, or the disk is full.
        TrainingError: Some runs failed; all others are finished.
        MissingExtraError: The launcher is ray, which is not installed.
    """
    real, out = Path(real), Path(out)
    generated = None if generated is None else Path(generated)
    folders = _folders(config, generated)
    check_apart(out, [real, *(folder for folder in folders if folder)])
    crops, made = read_table(real), {folder: None if folder is None else read_table(folder) for folder in folders}
    hashes = {folder: hashes_of(crops, table) for folder, table in made.items()}
    asked = _as_recorded(config, out)
    with (
        telling_full_disk(),
        RunFolder.begin(
            out, stage="sweep", config=asked, inputs=hashes[generated], adjustable=WHERE, reopening=MORE
        ) as run,
    ):
        if not run.done:
            points = plan(config, generated=generated is not None, steps_of=steps_on(crops))
            todo = jobs(points)
            _check(config, todo, crops, made, generated)
            orders = [
                order_of(
                    job,
                    evaluate=config.evaluate,
                    real=real,
                    generated=_folder(job, generated),
                    out=out,
                    hashes=hashes[_folder(job, generated)] | _start(job, config),
                )
                for job in todo
            ]
            results = _run(orders, points, config, out)
            run.finish(_summary(todo, results, out))
    return SweepResult.read(out)


def _folders(config: SweepConfig, generated: Path | None) -> dict[Path | None, None]:
    """The folders of generated crops, that of the sweep itself, or None, first."""
    return dict.fromkeys([generated, *(Path(arm.generated) for arm in config.arms if arm.generated)])


def _folder(job: Job, generated: Path | None) -> Path | None:
    """Where the generated crops of a job are."""
    return generated if job.generated is None else Path(job.generated)


def _start(job: Job, config: SweepConfig) -> dict[str, str | None]:
    """What an arm's result depends on beside crops and options: the file that its weights are of."""
    return {"weights": weights_hash(job.training.weights)} if config.arm else {}


def _check(
    config: SweepConfig,
    todo: Sequence[Job],
    crops: ReidTable,
    made: Mapping[Path | None, ReidTable | None],
    generated: Path | None,
    *,
    downloads: bool = True,
) -> None:
    """Everything that can be told before the first run.

    Raises:
        ConfigError: The crops do not suffice for an axis.
        DataError: Nothing can be evaluated, or there are too few people.
        WeightsError: The weights of an arm cannot be had, or do not fit.
    """
    check_tested(crops, config.evaluate)
    check_people(todo, crops)
    for folder, table in made.items():
        some = [job for job in todo if _folder(job, generated) == folder]
        check_served(some, crops, table, varied=[axis.name for axis in config.axes])
    if config.arm:
        check_starts(todo, crops, downloads=downloads)


def _run(orders: Sequence[Order], points: Sequence[Point], config: SweepConfig, out: Path) -> dict[str, Ended]:
    """Work off what is not finished yet; how every run ended."""
    known = {order["name"]: finished(order) for order in orders}
    done = {name: Ended(name, "done", found) for name, found in known.items() if found is not None}
    rest = [order for order in orders if order["name"] not in done]

    decoded = Decoded(jobs(points))

    def write(results: Mapping[str, Ended]) -> None:
        write_points(out, points_table(points, results, config.axes))
        decoded.free(results)

    write(done)
    if rest:
        with watching(rest, done, write) as watch:
            done |= work_off(rest, _workers(config, len(rest), out), watch, retries=config.retries)
    return done


def _workers(config: SweepConfig, runs: int, out: Path) -> Workers:
    gpus = _gpus(config)
    if config.launcher == "ray":
        from reidgen.sweep.launching.cluster import RayWorkers

        return RayWorkers(config, gpu=bool(gpus))
    count = min(config.workers or default_workers(gpus=gpus), runs)
    threads = config.threads or default_threads(count)
    return LocalWorkers(count, threads=threads, gpus=gpus, logs=out / "logs")


def _gpus(config: SweepConfig) -> int:
    """GPUs that the trainings may use."""
    if config.training.device == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


def _as_recorded(config: SweepConfig, out: Path) -> SweepConfig:
    """With the workers that a finished sweep had: where it ran is not another sweep."""
    known = read_record(out)
    if known is None or known["stage"] != "sweep" or known["status"] != "done":
        return config
    return dataclasses.replace(config, **{name: known["config"][name] for name in WHERE if name in known["config"]})


def _summary(todo: Sequence[Job], results: Mapping[str, Ended], out: Path) -> dict[str, Any]:
    """Facts for run.json.

    Raises:
        TrainingError: A run failed.
    """
    failed = [results[job.name] for job in todo if results[job.name].how != "done"]
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(todo)} runs of the sweep failed; the others are finished.",
            got="; ".join(f"{ended.name}: {ended.text.splitlines()[0]}" for ended in failed[:4]),
            allowed="runs that end with figures",
            fix=f"column error of {out / 'points.csv'} has all reasons; the same command again tries these runs again, "
            f"other options need another {option('out')}",
        )
    return {"runs": len(todo), "wall_sec_of_runs": round(sum((e.found or {})["wall_sec"] for e in results.values()), 3)}


def describe(real: Path, config: SweepConfig, *, generated: Path | None, out: Path) -> dict[str, Any]:
    """All points of a sweep and what they cost, without running or writing anything.

    Steps are known where the tables are (for equal steps the real one alone is enough); time is estimated from runs of
    the sweep that are finished.

    Args:
        real: As `sweep`.
        config: As `sweep`.
        generated: As `sweep`.
        out: As `sweep`.

    Returns:
        JSON types: `points` (values, seed, run, steps), `runs`, and `cost` (steps and crops of all runs, and hours).

    Raises:
        ConfigError: As `sweep`.
    """
    folders = _folders(config, generated)
    crops, made = _if_there(real), {folder: None if folder is None else _if_there(folder) for folder in folders}
    points = plan(config, generated=generated is not None, steps_of=None if crops is None else steps_on(crops))
    todo = jobs(points)
    steps: Mapping[str, int | None] = {job.name: job.steps for job in todo}
    if crops is not None and all(table is not None for folder, table in made.items() if folder):
        _check(config, todo, crops, made, generated, downloads=False)
        every = [
            steps_of_each([job for job in todo if _folder(job, generated) == folder], crops, table)
            for folder, table in made.items()
        ]
        steps = {name: length for some in every for name, length in some.items()}
    return {
        "stage": "sweep",
        "real": str(real),
        "generated": None if generated is None else str(generated),
        "out": str(out),
        "config": as_dict(config),
        "points": [
            {**point.values, "seed": point.job.seed, "run": point.job.name, "steps": steps[point.job.name]}
            for point in points
        ],
        "runs": len(todo),
        "cost": _cost(todo, steps, out, "generated" if crops is not None else "real"),
    }


def _if_there(folder: Path) -> ReidTable | None:
    """A table; None where there is none yet, as a plan may be looked at before its tables are made."""
    try:
        return read_table(folder)
    except (DataError, RunError):
        return None


def _cost(todo: Sequence[Job], steps: Mapping[str, int | None], out: Path, lacking: str) -> dict[str, Any]:
    """Steps and crops; hours of one worker for what is left, by the crops a second of the runs that are finished."""
    lengths = {job.name: steps[job.name] for job in todo}
    batches = {job.name: job.training.batch for job in todo}
    seen = {name: None if length is None else length * batches[name] for name, length in lengths.items()}
    records = {job.name: read_point(out / "runs" / job.name) for job in todo}
    done = {name: record["found"] for name, record in records.items() if record is not None}
    left = [crops for name, crops in seen.items() if name not in done]
    known, unknown = None not in seen.values(), f"not known without the {lacking} table"
    spent = sum(found["wall_sec"] for found in done.values())
    rate = sum(seen[name] or 0 for name in done) / spent if spent else 0
    return {
        "finished_runs": len(done),
        "steps": sum(length or 0 for length in lengths.values()) if known else unknown,
        "crops": sum(crops or 0 for crops in seen.values()) if known else unknown,
        "hours_of_one_worker_left": round(sum(crops or 0 for crops in left) / rate / 3600, 2)
        if known and rate
        else "not known before a run is finished",
    }
