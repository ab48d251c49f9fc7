"""`reidgen render`: a dataset of rendered people, as a Market-1501 tree with masks, key points, yaw and maps."""

import json
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import polars as pl

from reidgen.config import RenderConfig, as_dict
from reidgen.data.table import ReidTable
from reidgen.data.tree import market_names
from reidgen.engine.devices.workers import Told, Worker, lines_of
from reidgen.engine.progress import progress
from reidgen.engine.runs.run import RunFolder
from reidgen.errors import RunError, option
from reidgen.render.bodies.body import load_anny

WORKER = "reidgen.render.worker"


def render_people(config: RenderConfig, *, out: Path | str) -> ReidTable:
    """Render people as seen by several cameras and write them as a run.

    The first half of the people (or `train_people`) form the train split; of the others each camera's first crop is a
    query and the rest is the gallery, as in Market-1501. A crop depends only on (seed, person, camera, index), so a run
    that was killed goes on where it was and ends with the same bytes, with any number of workers.

    Args:
        config: How many people, cameras and crops, and what is written beside them.
        out: The run's folder; the same config again resumes it or returns what is there.

    Returns:
        The table; columns beside the usual ones: `mask`, `parts`, `normals` (paths relative to the run, where written:
        255 on the person; 1 + index into `wardrobe.SLOTS`, 0 elsewhere; 127.5 + 127.5 * normal to the right, up and
        towards the viewer),
        `keypoints` (17 times x, y in pixels and visibility: 2 seen, 1 hidden, 0 outside), `yaw` (degrees, 0 faces the
        camera, 90 looks to the right of the picture).

    Raises:
        ReidgenError: anny or warp is not installed.
        RunError: The folder holds another run, or a worker process failed.
    """
    with RunFolder.begin(out, stage="render", config=config) as run:
        if not run.done:
            run.finish(_render(config, run.path))
    return ReidTable.read(run.path)


def _render(config: RenderConfig, folder: Path) -> dict[str, Any]:
    """Render all crops, write the table, and return the run's summary."""
    load_anny()
    plan = plan_crops(config)
    order = {"train": 0, "query": 1, "gallery": 2}  # as `ReidTable.read` returns them
    plan = plan.sort(pl.col("split").replace_strict(order), maintain_order=True)
    known = {row["file_name"]: row for row in _rendered(plan, config, folder)}
    facts = pl.DataFrame([known[name] for name in plan["file_name"]])
    table = ReidTable.from_rows(
        pl.concat([plan.drop("index"), facts.drop("file_name")], how="horizontal"),
        root=folder,
        name="rendered people",
    )
    table = table.write(folder)
    counts = {split: len(table.where(pl.col("split") == split)) for split in ("train", "query", "gallery")}
    return {"people": config.people, "cameras": config.cameras, "crops": len(table), **counts}


def plan_crops(config: RenderConfig) -> pl.DataFrame:
    """All crops of a run with their names, before anything is rendered: columns of the table, and `index`."""
    train = config.people // 2 if config.train_people is None else config.train_people
    rows: list[dict[str, Any]] = []
    for pid in range(1, config.people + 1):
        for camid in range(1, config.cameras + 1):
            frames = np.random.default_rng([config.seed, 9, pid, camid]).choice(
                90000, config.images_per_camera, replace=False
            )
            for index, frame in enumerate(np.sort(frames)):
                split = "train" if pid <= train else "query" if index == 0 else "gallery"
                rows.append(
                    {
                        "file_name": ".jpg",
                        "pid": pid,
                        "camid": camid,
                        "split": split,
                        "seq": 1,
                        "frame": int(frame),
                        "origin": "rendered",
                        "seed": config.seed,
                        "index": index,
                    }
                )
    frame = pl.DataFrame(rows)
    return frame.with_columns(file_name=pl.Series(market_names(frame)))


def _rendered(plan: pl.DataFrame, config: RenderConfig, out: Path) -> Iterator[dict[str, Any]]:
    """What is known of each crop, as they are done."""
    tasks = plan.sort("pid", "camid", "index").select("pid", "camid", "index", "file_name").to_dicts()
    with progress("render", len(tasks)) as bar:
        rows = (
            _in_process(tasks, config, out)
            if min(config.workers, config.people) == 1
            else _in_processes(tasks, config, out)
        )
        for row in rows:
            bar.advance()
            yield row


def _in_process(tasks: list[dict[str, Any]], config: RenderConfig, out: Path) -> Iterator[dict[str, Any]]:
    from reidgen.render.worker import Task, render_tasks

    yield from render_tasks([Task(**task) for task in tasks], config, out)


def _in_processes(tasks: list[dict[str, Any]], config: RenderConfig, out: Path) -> Iterator[dict[str, Any]]:
    """People are dealt to worker processes by turns; their lines arrive through a queue."""
    told: Told = SimpleQueue()
    order = {"config": as_dict(config), "out": str(out.absolute())}
    workers: list[Worker] = []
    try:
        for number in range(config.workers):
            workers.append(Worker(WORKER, told))
            own = [task for task in tasks if task["pid"] % config.workers == number]
            workers[-1].send(json.dumps({**order, "tasks": own}), last=True)
        running = len(workers)
        for worker, line in lines_of(told):
            if line is not None:
                yield json.loads(line)
                continue
            if (status := worker.popen.wait()) != 0:
                raise RunError(
                    f"Render worker {workers.index(worker)} failed.",
                    got=f"exit status {status}",
                    fix=f"the same command again goes on from what is rendered; "
                    f"{option(workers=1)} shows the error in full",
                )
            running -= 1
            if not running:
                break
    finally:
        for worker in workers:
            worker.end()
