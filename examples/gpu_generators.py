"""Train the generators on a table, in calls of a few minutes: each call goes on where the last one stopped.

    python examples/gpu_generators.py --data runs/market --out runs/generators --minutes 9
    python examples/gpu_generators.py --data runs/market --out runs/generators --presets market-stylegan3-r --minutes 9

The presets are trained one after the other, at 128x64 in bfloat16, with a snapshot and a sheet of fakes each few
thousand images. A training that is cut off by the clock loses what came after its last checkpoint and ends, some calls
later, with the same bytes as one that was never cut off. At the end of a call one line a preset says how far it is.
"""

import dataclasses
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import reidgen as rg


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, and for how long.

    Attributes:
        data: Table with a train split, as written by reidgen.
        out: Folder of the runs, one a preset.
        presets: Trainings, in this order.
        minutes: Length of this call; None trains to the end.
        kimg: Length of each training; None takes the preset's.
        size: (height, width) of the crops.
        snapshot_kimg: Images (thousands) between two snapshots.
        checkpoint_sec: Seconds between two checkpoints: what a call may lose at most.
        precision: Number format of the highest resolutions.
        channel_base: Width of the networks; None takes the preset's.
        channel_max: Largest width; None takes the preset's.
        batch: Images a step; None takes the preset's.
        gamma: R1 weight; None takes the preset's.
    """

    data: Path
    out: Path
    presets: tuple[rg.Preset, ...] = ("person-stylegan2", "market-stylegan3-t", "market-stylegan3-r")
    minutes: float | None = 9
    kimg: float | None = None
    size: tuple[int, int] = (128, 64)
    snapshot_kimg: float = 40
    checkpoint_sec: float = 60
    precision: rg.Precision = "bf16"
    channel_base: int | None = None
    channel_max: int | None = None
    batch: int | None = None
    gamma: float | None = None

    def config(self, preset: rg.Preset) -> rg.GeneratorConfig:
        """The training of a preset."""
        fields = ("size", "snapshot_kimg", "checkpoint_sec", "precision", "kimg", "channel_base", "channel_max")
        asked = {name: getattr(self, name) for name in (*fields, "batch", "gamma")}
        known = {field.name for field in dataclasses.fields(rg.generator_preset(preset))}
        changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None and name in known}
        return rg.generator_preset(preset, **changes)


def main(plan: Plan) -> None:
    """Train until the clock runs out, then say how far each preset is."""
    end_sec = float("inf") if plan.minutes is None else time.monotonic() + 60 * plan.minutes
    for preset in plan.presets:
        # a process of its own can be cut off at any time
        worker = multiprocessing.get_context("spawn").Process(target=train, args=(plan, preset))
        worker.start()
        worker.join(None if plan.minutes is None else max(end_sec - time.monotonic(), 0))
        if worker.is_alive():
            worker.kill()
            worker.join()
            break
        if worker.exitcode:
            raise SystemExit(worker.exitcode)
    for preset in plan.presets:
        print(state(plan, preset))


def train(plan: Plan, preset: rg.Preset) -> None:
    """Train one preset to its end, or go on with it."""
    rg.train_generator(rg.ReidTable.read(plan.data), plan.config(preset), out=plan.out / preset)


def state(plan: Plan, preset: rg.Preset) -> str:
    """How far a training is and what it cost so far."""
    folder = plan.out / preset
    if not (folder / "run.json").is_file():
        return f"{preset}: not begun"
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    metrics = folder / "metrics.jsonl"
    records = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
    kimg = json.loads(records[-1])["kimg"] if records else 0
    cost = ", ".join(f"{name} {value:g}" for name, value in run["cost"].items())
    return f"{preset}: {run['status']}, {kimg:g} of {plan.config(preset).kimg:g} kimg; {cost}"


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
