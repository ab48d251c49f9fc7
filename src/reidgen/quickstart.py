"""The whole chain on the shipped rendered people: from a folder of crops to a measured answer in a few minutes."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reidgen.config import (
    AugmentConfig,
    EvaluateConfig,
    ExtendConfig,
    FilterConfig,
    GenerateConfig,
    PrepareConfig,
    QuickstartConfig,
    ReidConfig,
    ReportConfig,
    StyleGANConfig,
)
from reidgen.data.load import SAMPLE
from reidgen.data.prepare import prepare
from reidgen.data.table import ReidTable
from reidgen.evaluate import evaluate_reid
from reidgen.extend import run_extend
from reidgen.filters.apply import run_filters
from reidgen.generators.people import generate_people
from reidgen.generators.train import train_generator
from reidgen.generators.weights import with_shape_of
from reidgen.reid.train import train_reid
from reidgen.report.page import write_report

GENERATOR = Path(__file__).parent / "assets" / "generator" / "generator.safetensors"
STAGES = 8
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
        extended = run_extend(people, filtered, ExtendConfig(people=config.people), out=out / "extended")
    with stages(f"train re-ID without generated people, {config.seeds} x {config.steps} steps"):
        baseline_results = _train_and_evaluate(people, people, config, out, "baseline")
    with stages(f"train re-ID with generated people, {config.seeds} x {config.steps} steps"):
        extended_results = _train_and_evaluate(extended, people, config, out, "extended")
    with stages("write the page"):
        runs = (
            *(out / name for name in ("people", "generator", "generated", "filtered", "extended")),
            *sorted(out.glob("reid-*")),
        )
        page = ReportConfig(title="Did generated people help? A toy run", limits=TOY)
        return write_report(page, baseline=baseline_results, extended=extended_results, runs=runs, out=out / "report")


def _generator_config(config: QuickstartConfig) -> StyleGANConfig:
    schedule = StyleGANConfig(
        transfer=str(GENERATOR),
        kimg=config.generator_kimg,
        snapshot_kimg=config.generator_kimg,
        batch=16,
        gamma=0.05,
        ema_kimg=1,  # the average must follow within a short run
        device=config.device,
        seed=config.seed,
    )
    return with_shape_of(GENERATOR, schedule)


def _train_and_evaluate(
    table: ReidTable, test: ReidTable, config: QuickstartConfig, out: Path, kind: str
) -> tuple[Path, ...]:
    folders = []
    for seed in range(config.seed, config.seed + config.seeds):
        model_config = replace(REID, steps=config.steps, device=config.device, seed=seed)
        model = train_reid(table, model_config, out=out / f"reid-{kind}-{seed}")
        folder = out / f"evaluate-{kind}-{seed}"
        evaluate_reid(model, test, EvaluateConfig(device=config.device, seed=seed), out=folder)
        folders.append(folder)
    return tuple(folders)


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
