"""Training a generator on the crops of a table: what it starts from, and what it leaves."""

from pathlib import Path
from typing import Any

import torch

from reidgen.config import DCGANConfig, GeneratorConfig, StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import Fabric, setup
from reidgen.engine.loop import begun, in_run, memory_told, resume, train
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import DataError, option, say
from reidgen.files import file_sha256, write_json
from reidgen.generators.trained import TrainedGenerator, load_generator
from reidgen.generators.training import failures
from reidgen.generators.training.dcgan import DCGANTraining
from reidgen.generators.training.estimate import estimate, gamma_line
from reidgen.generators.training.gan import plan_of, rename_snapshots, total_steps
from reidgen.generators.training.style import StyleGANTraining
from reidgen.generators.transfer.transfer import as_json, transfer
from reidgen.generators.weights import FILE, GeneratorFile, Part, read_generator

Training = StyleGANTraining | DCGANTraining


def train_generator(table: ReidTable, config: GeneratorConfig, *, out: Path | str) -> TrainedGenerator:
    """Train a generator on a table's crops: StyleGAN2 or 3, or a DCGAN.

    StyleGAN: Karras et al. 2020 (CVPR) and 2021, with adaptive augmentation, Karras et al. 2020 (NeurIPS). DCGAN:
    Radford et al. 2016.

    Writes generator.safetensors, a snapshot and a sheet of its fakes each `snapshot_kimg`, metrics.jsonl and, with
    `transfer`, transfer.json. The same call again resumes at the last checkpoint, to the same bytes as a run that was
    never stopped, or returns what is there. A run that is not done may be taken up with another `accumulate`, or with a
    larger `kimg`: it then ends with the bytes of one that had that length from the start, but that earlier snapshots
    name the old one, and that a run of less than 50 kimg has logged more often until then. First it says what a step
    costs and which R1 weight is in force.

    Args:
        table: Crops; only its train split is learned from, unless `config.split` says otherwise, and never what a
            filter has rejected.
        config: Network, losses, schedule: a `StyleGANConfig` or a `DCGANConfig`.
        out: The run folder.

    Raises:
        DataError: There are no crops to learn from, fewer than a batch, or one cannot be read.
        WeightsError: The file to start from is missing or of another network.
        RunError: The folder belongs to another run, or to a finished one that is shorter.
        TrainingError: A loss stopped being a number, or memory ran out; the last checkpoint and the snapshots stay.
    """
    crops = _crops(table, config)
    fabric = setup(config.device, devices=config.devices, nodes=config.nodes)
    parent = _parent(config)
    inputs = {"table": crops.hash(), "transfer": parent.hash if parent else None}
    if refusal := failures.longer_than_done(Path(out), config):
        raise refusal
    known = {"stage": "train-generator", "config": config, "inputs": inputs}
    with begun(fabric, out, **known, adjustable=("accumulate", "devices", "nodes"), growing=("kimg",)) as run:
        if not run.done:
            CropStore.open(crops, size=config.size)  # decode here, with a bar; processes then map the file
            run.finish(in_run(fabric, run, _train, crops, config))
    return load_generator(run.path, device=config.device)


def _train(fabric: Fabric, run: RunFolder | RunFiles, crops: ReidTable, config: GeneratorConfig) -> dict[str, Any]:
    """Train to the end, write the weights, and return the run's summary."""
    parent, cost = _parent(config), None
    with memory_told(run, lambda: failures.out_of_memory(config, cost, fabric.device)):
        training = _training(config, fabric, CropStore.open(crops, size=config.size), ramp=parent is None)
        training.facts = {
            "split": config.split,
            "images": len(crops),
            "table": crops.hash(),
            "origins": sorted(crops.rows["origin"].unique().to_list()),
            "kimg": total_steps(config) * config.batch / 1000,
            "parent": parent.hash if parent else None,
            "ancestors": _ancestors(parent),
        }
        _start(run, training, parent)
        with sound_bfloat16(fabric.device, config.precision, tell=fabric.is_global_zero) as kept:
            cost = estimate(training)
            if fabric.is_global_zero:
                say(cost.line(config))
                if isinstance(config, StyleGANConfig):
                    say(gamma_line(config))
            train(run, training, plan_of(config))
    if not fabric.is_global_zero:
        return {}
    training.write_weights(run.path / FILE)
    augmentation = {"ada_p": training.ada_p} if isinstance(training, StyleGANTraining) else {}
    left = {"kept_in_float32": kept} if kept else {}
    return {**training.facts, **augmentation, **left, "weights": file_sha256(run.path / FILE)}


def _training(config: GeneratorConfig, fabric: Fabric, store: CropStore, *, ramp: bool) -> Training:
    """The training that belongs to a config."""
    if isinstance(config, DCGANConfig):
        return DCGANTraining(config, fabric, store)
    return StyleGANTraining(config, fabric, store, ramp=ramp)


def _parent(config: GeneratorConfig) -> GeneratorFile | None:
    """The weights that the training starts from."""
    source = config.transfer if isinstance(config, StyleGANConfig) else None
    return read_generator(source) if source else None


def _ancestors(parent: GeneratorFile | None) -> list[dict[str, Any]]:
    """Facts of the trainings that a transfer goes back to, oldest first: whom they saw, these weights have seen too."""
    if parent is None:
        return []
    facts = dict(parent.training)
    return [*facts.pop("ancestors", []), facts]


def _crops(table: ReidTable, config: GeneratorConfig) -> ReidTable:
    crops = (table.train if config.split == "train" else table).kept
    if len(crops) < config.batch:
        raise DataError(
            f"{table.name or 'The table'} has too few crops for a generator in the {config.split} split."
            if config.split == "train"
            else f"{table.name or 'The table'} has too few crops for a generator.",
            got=f"{len(crops)} crops, batch {config.batch}",
            allowed="at least one batch; a thousand or more for results",
            fix=f"another {option('data')}" if len(crops) < 2 else option(batch=len(crops)),
        )
    return crops


def _start(run: RunFolder | RunFiles, training: Training, parent: GeneratorFile | None) -> None:
    """Go back to the checkpoint, or to the parent's weights, or start at random."""
    first = training.fabric.is_global_zero
    if resume(run, training):
        if first:
            rename_snapshots(run.path, training.config)
        return
    if parent is not None and isinstance(training, StyleGANTraining):
        networks: dict[Part, torch.nn.Module] = {
            "generator": training.generator,
            "discriminator": training.discriminator,
        }
        reports = transfer(parent, training.config, networks)
        training.average.load_state_dict(training.generator.state_dict())
        if not first:
            return
        write_json(run.path / "transfer.json", as_json(parent, reports))
        for part, report in reports.items():
            say(report.line(part))
        for facts in (*parent.training.get("ancestors", []), parent.training):
            if "licence" in facts:
                say(facts["licence"])
