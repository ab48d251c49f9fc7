"""What generated people add to a few labelled ones, measured on the shipped rendered people in about a minute."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidgen.backbones.reid_model import load_reid
from reidgen.backbones.weights import SHIPPED_REID
from reidgen.config import (
    AugmentConfig,
    FilterConfig,
    GenerateConfig,
    PrepareConfig,
    QuickstartConfig,
    ReidConfig,
    ReportConfig,
    SweepConfig,
)
from reidgen.data.prepare import prepare
from reidgen.data.readers.load import SAMPLE
from reidgen.engine.devices.machine import cores
from reidgen.filters.apply import run_filters
from reidgen.generators.people.people import generate_people
from reidgen.generators.trained import load_generator
from reidgen.report.sweep.sweep_page import write_sweep_report
from reidgen.sweep.run import sweep

SHIPPED_GENERATOR = Path(__file__).parent / "assets" / "generator" / "generator.safetensors"
STAGES = 5
AT_ONCE = 3  # trainings at a time; each holds 0.9 GB
TITLE = "A few labelled people: which generated people help?"
NOTE = """\
You have thirty people with labels, twelve crops of each, by four cameras. Other people, rendered in other places, are \
to hand in two ways: a network that has learned from them, as the start of the training; and people by a StyleGAN that \
has learned from them, added as new identities. All trainings have the same steps; the test has thirty more people."""
LIMITS = f"""\
This is a toy run: your people are rendered here too, by the renderer that the start has learned from, though they are \
other people, cameras and places. Crops of real cameras are further from rendered ones: the same network, which has \
89 % mAP on these people before it has seen a crop of yours, has 2.2 % on CUHK03's test people.

With crops of your own, `reidgen prepare --root CROPS --dataset folder --split-by share:0.5 --pattern PATTERN --out \
runs/mine` reads a folder, and `reidgen worth --real runs/mine --arm "rendered start: weights={SHIPPED_REID}" \
--reid.backbone resnet18_ibn --reid.base-width 32 --reid.weights random --reid.size 128 64 --out runs/worth` says how \
many labelled people the start is worth to you."""


def quickstart(config: QuickstartConfig, *, out: Path) -> Path:
    """Prepare, generate, filter, train with and without two kinds of generated people, evaluate, report.

    Args:
        config: Sizes of the run; the defaults take about a minute and 2 GB on two cores.
        out: Folder of folders, one a stage. The same call again goes on where it stopped.

    Returns:
        The path of the HTML page.
    """
    stages = _Stages()
    with stages("prepare the shipped rendered people"):
        people = prepare(PrepareConfig(dataset="reidgen", seed=config.seed), root=SAMPLE, out=out / "people")
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
        generated = generate_people(load_generator(SHIPPED_GENERATOR), made, out=out / "generated")
    with stages("filter"):
        run_filters(generated, FilterConfig(calibrate=True), reference=people.train, out=out / "filtered")
    trainings = sweep_config(config, out)
    with stages(f"train re-ID three ways, {config.seeds} x {config.steps} steps each"):
        sweep(out / "people", trainings, out=out / "sweep")
    with stages("write the page"):
        runs = [out / name for name in ("people", "generated", "filtered")]
        page = ReportConfig(title=TITLE, note=NOTE, limits=LIMITS)
        return write_sweep_report(page, sweep=out / "sweep", runs=runs, out=out / "report")


def sweep_config(config: QuickstartConfig, out: Path) -> SweepConfig:
    """The same training without generated people, from the shipped start, and with a StyleGAN's people."""
    shipped = load_reid(SHIPPED_REID, device="cpu").config
    reid = ReidConfig(
        backbone=shipped.backbone,
        base_width=shipped.base_width,
        weights="random",
        size=(64, 32),
        bottleneck=128,
        backbone_lr=1.0,
        augment=AugmentConfig(pad=4),
        steps=config.steps,
        device=config.device,
    )
    arms = (
        f"start from rendered people: weights='{SHIPPED_REID}'",
        f"people of a StyleGAN: generated='{(out / 'filtered').absolute()}' people={config.people}",
    )
    workers = min(AT_ONCE, cores())
    return SweepConfig(arm=arms, reid=reid, seeds=config.seeds, seed=config.seed, workers=workers, threads=1)


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
