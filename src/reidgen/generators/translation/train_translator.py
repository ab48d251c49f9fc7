"""Training a translator on the crops of a table: what it learns from, and what it leaves."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from torch import nn

from reidgen.config.base import require
from reidgen.config.generators.translation import TranslatorConfig
from reidgen.config.generators.translators import Family
from reidgen.data.pixels.maps import with_masks
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.device import Fabric, setup
from reidgen.engine.loop import begun, in_run
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import option
from reidgen.files import file_sha256
from reidgen.generators.training.adversarial import facts_of, learn
from reidgen.generators.translation.adversaries import TranslatorTraining
from reidgen.generators.translation.cycle import CycleTraining
from reidgen.generators.translation.domain_crops import check_camera, open_crops, sampler_of, tell_sizes
from reidgen.generators.translation.domains import DomainTraining
from reidgen.generators.translation.networks import GENERATOR
from reidgen.generators.translation.paired import PairedTraining
from reidgen.generators.translation.pasting import make_paste
from reidgen.generators.translation.translator import FILE, TrainedTranslator, load_translator, write_translator

TRAININGS: dict[Family, type[TranslatorTraining]] = {
    "paired": PairedTraining,
    "cycle": CycleTraining,
    "domains": DomainTraining,
}


def train_translator(table: ReidTable, config: TranslatorConfig, *, out: Path | str) -> TrainedTranslator:
    """Train a translator on a table's crops.

    Writes translator.safetensors, a sheet of translated crops each `snapshot_steps`, and metrics.jsonl. The same call
    again resumes at the last checkpoint, to the same bytes as a run that was never stopped, or returns what is there.
    Crops of another size are resized, and their masks alike; how many these are is told. The preset "paste" has nothing
    to learn: its file holds backgrounds of the target.

    Args:
        table: Crops; only its train split is learned from, unless `config.split` says otherwise, and never what a
            filter has rejected.
        config: Preset, cameras, networks, losses, schedule.
        out: The run folder.

    Raises:
        DataError: A camera has too few crops, no person is in both, masks are missing or wrong, or a crop cannot be
            read.
        RunError: The folder belongs to another run.
        TrainingError: A loss stopped being a number, or memory ran out; the last checkpoint stays.
    """
    require(
        config.family in ("domains", "paste") or config.source is not None,
        f"{option(preset=config.preset)} moves people from one camera to another.",
        got=f"neither {option('source')} nor {option('target')}",
        allowed="two cameras of the table",
        fix=f"{option(source=1)} {option(target=2)}",
    )
    crops = learned_from(table, config)
    fabric = setup(config.device, devices=config.devices, nodes=config.nodes)
    known = {"stage": "train-translator", "config": config, "inputs": {"table": crops.hash()}}
    with begun(fabric, out, **known, adjustable=("devices", "nodes")) as run:
        if not run.done:
            tell_sizes(crops, config.size)
            open_crops(crops, config.size, masks=config.needs_masks)  # decode here, with a bar; processes map the file
            run.finish(in_run(fabric, run, _train, crops, config))
    return load_translator(run.path, device=config.device)


def train_translators(table: ReidTable, config: TranslatorConfig, *, out: Path | str) -> list[TrainedTranslator]:
    """Train a translator between each two cameras of a table, one after the other: CamStyle's 15 for Market-1501.

    Each has a run folder of its own in `out`, named by its cameras, 1-2; `load_translators` opens them all.

    Args:
        table: As for `train_translator`.
        config: Of the preset camstyle or spgan, without cameras.
        out: Folder of the run folders.

    Raises:
        ConfigError: The config names cameras, or its preset moves people one way.
        DataError, RunError, TrainingError: As `train_translator`.
    """
    require(
        config.family == "cycle" and config.source is None,
        f"All pairs of cameras are trained by {option('preset')} camstyle and spgan, "
        f"without {option('source')} and {option('target')}.",
        got=f"{option(preset=config.preset)} {option(source=config.source)} {option(target=config.target)}",
        allowed=f"{option('preset')} camstyle or spgan, without cameras",
    )
    crops = (table.train if config.split == "train" else table).kept
    cameras = sorted(set(crops.camids.tolist()))
    configs = [replace(config, source=a, target=b) for a, b in itertools.combinations(cameras, 2)]
    for one in configs:  # what is missing is told before the first of many trainings
        learned_from(table, one)
    return [train_translator(table, one, out=Path(out) / f"{one.source}-{one.target}") for one in configs]


def learned_from(table: ReidTable, config: TranslatorConfig) -> ReidTable:
    """The crops of the config's cameras, all with masks where it needs them.

    Raises:
        DataError: They are not enough to learn from.
    """
    crops = (table.train if config.split == "train" else table).kept
    if config.family != "domains":
        for camera in (config.source, config.target):
            check_camera(crops, camera)
        crops = crops.where(pl.col("camid").is_in([config.source, config.target]))
    if config.needs_masks:
        crops = with_masks(crops, option(preset=config.preset))
    for camera in sorted(set(crops.camids.tolist())):
        check_camera(crops, camera)
    if config.family == "paired":
        sampler_of(crops, config)
    return crops


def _train(fabric: Fabric, run: RunFolder | RunFiles, table: ReidTable, config: TranslatorConfig) -> dict[str, Any]:
    """Train to the end, write the weights, and return the run's summary."""
    crops = open_crops(table, config.size, masks=config.needs_masks)
    facts = facts_of(table, config)
    left: dict[str, Any] = {}
    if config.family == "paste":
        networks = nn.ModuleDict({GENERATOR: make_paste(config, crops)})
    else:
        kind = TRAININGS[config.family]
        training, left = learn(
            fabric, run, config, lambda: kind(config, fabric, crops.to(fabric.device)), label="train translator (steps)"
        )
        networks = training.networks
    if not fabric.is_global_zero:
        return {}
    write_translator(run.path / FILE, networks, config=config, cameras=crops.cameras, training=facts)
    return {**facts, **left, "weights": file_sha256(run.path / FILE)}
