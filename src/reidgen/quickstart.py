"""The whole chain on the shipped rendered people: from a folder of crops to a measured answer in a few minutes."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reidgen.config import (
    AugmentConfig,
    ExtendConfig,
    FilterConfig,
    GenerateConfig,
    PrepareConfig,
    QuickstartConfig,
    ReidConfig,
    ReportConfig,
    StyleGANConfig,
    as_dict,
)
from reidgen.data.prepare import prepare
from reidgen.data.readers.load import SAMPLE
from reidgen.engine.devices.machine import cores
from reidgen.errors import TrainingError
from reidgen.extend import run_extend
from reidgen.filters.apply import run_filters
from reidgen.generators.people.people import generate_people
from reidgen.generators.training.train import train_generator
from reidgen.generators.weights import with_shape_of
from reidgen.report.page import write_report
from reidgen.sweep.launching.launch import work_off
from reidgen.sweep.launching.live import Lines
from reidgen.sweep.launching.local import LocalWorkers
from reidgen.sweep.point import Order

SHIPPED_GENERATOR = Path(__file__).parent / "assets" / "generator" / "generator.safetensors"
STAGES = 7
ARMS = {"baseline": "people", "extended": "extended"}  # the folder of what each learns from
AT_ONCE = 3  # trainings at a time; each holds 0.9 GB
REID = ReidConfig(
    backbone="resnet18",
    weights="random",
    size=(64, 32),
    bottleneck=128,
    last_stride=1,
    backbone_lr=1.0,
    augment=AugmentConfig(pad=4),
)
TOY = """\
This is a toy run. It shows that every part works together on this machine, what each part writes, and how a \
comparison is set up: the same number of optimisation steps with and without generated people, several seeds, a \
protocol on every number. It cannot show whether generated people help your cameras: the people are rendered, the \
crops have 64x32 pixels, the networks start from random weights and see a few thousand crops, and the test has a few \
dozen people, so the difference above may point either way."""


def quickstart(config: QuickstartConfig, *, out: Path) -> Path:
    """Prepare, fine-tune the shipped generator, generate, filter, extend, train with and without, evaluate, report.

    Args:
        config: Sizes of the run; the defaults take at most five minutes and 4 GB on two cores.
        out: Folder of folders, one a stage. The same call again goes on where it stopped.

    Returns:
        The path of the HTML page.
    """
    stages = _Stages()
    with stages("prepare the shipped rendered people"):
        people = prepare(PrepareConfig(dataset="reidgen", seed=config.seed), root=SAMPLE, out=out / "people")
    with stages(f"fine-tune the shipped generator for {config.generator_kimg:g} kimg"):
        generator = train_generator(people, _generator_config(config), out=out / "generator")
    with stages(f"generate {config.people} people, {config.variants} crops of each"):
        made = GenerateConfig(
            people=config.people,
            variants=config.variants,
            mix="coarse",  # in this generator the middle layers change clothes, so the person
            psi=0.7,
            cameras=4,
            device=config.device,
            seed=config.seed,
        )
        generated = generate_people(generator, made, out=out / "generated")
    with stages("filter"):
        filtered = run_filters(generated, FilterConfig(calibrate=True), reference=people.train, out=out / "filtered")
    with stages("extend the train split"):
        run_extend(people, filtered, ExtendConfig(people=config.people), out=out / "extended")
    orders = {kind: _orders(kind, table, config, out) for kind, table in ARMS.items()}
    with stages(f"train re-ID without and with generated people, {config.seeds} x {config.steps} steps each"):
        _train_and_evaluate([*orders["baseline"], *orders["extended"]], out)
    with stages("write the page"):
        runs = (
            *(out / name for name in ("people", "generator", "generated", "filtered", "extended")),
            *sorted(out.glob("reid-*")),
        )
        page = ReportConfig(title="Did generated people help? A toy run", limits=TOY)
        results = {kind: tuple(Path(order["result"]) for order in made) for kind, made in orders.items()}
        return write_report(page, **results, runs=runs, out=out / "report")


def _generator_config(config: QuickstartConfig) -> StyleGANConfig:
    schedule = StyleGANConfig(
        transfer=str(SHIPPED_GENERATOR),
        kimg=config.generator_kimg,
        snapshot_kimg=config.generator_kimg,
        batch=16,
        gamma=0.05,
        ema_kimg=1,  # the average must follow within a short run
        device=config.device,
        seed=config.seed,
    )
    return with_shape_of(SHIPPED_GENERATOR, schedule)


def _orders(kind: str, table: str, config: QuickstartConfig, out: Path) -> list[Order]:
    """Trainings on a table, one a seed, each evaluated on the real people."""
    return [
        {
            "name": f"reid-{kind}-{seed}",
            "reid": as_dict(replace(REID, steps=config.steps, device=config.device, seed=seed)),
            "steps": config.steps,
            "table": str((out / table).absolute()),
            "test": str((out / "people").absolute()),
            "model": str((out / f"reid-{kind}-{seed}").absolute()),
            "result": str((out / f"evaluate-{kind}-{seed}").absolute()),
        }
        for seed in range(config.seed, config.seed + config.seeds)
    ]


def _train_and_evaluate(orders: list[Order], out: Path) -> None:
    """Several at once, of one thread each: two threads do not halve the time of a step on crops as small as these.

    Raises:
        TrainingError: One failed; all others are finished.
    """
    count = min(AT_ONCE, cores(), len(orders))
    workers = LocalWorkers(count, threads=1, gpus=0, logs=out / "logs", module="reidgen.quickstart_worker")
    ends = work_off(orders, workers, Lines(orders, {}, lambda _: None), retries=1)
    failed = [ended for ended in ends.values() if ended.how != "done"]
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(orders)} trainings failed; the others are finished.",
            got="; ".join(f"{ended.name}: {ended.text.splitlines()[0]}" for ended in failed),
            fix=f"{out / 'logs'} says more; the same command again tries these again",
        )


class _Stages:
    """Prints a line before and after each stage."""

    def __init__(self) -> None:
        self._number, self._began_sec = 0, time.monotonic()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self._number += 1
        began_sec = time.monotonic()
        sys.stdout.write(f"[{self._number}/{STAGES}] {what}\n")
        sys.stdout.flush()
        yield
        now_sec = time.monotonic()
        sys.stdout.write(
            f"[{self._number}/{STAGES}] done in {now_sec - began_sec:.0f} s, {now_sec - self._began_sec:.0f} s in all\n"
        )
        sys.stdout.flush()
