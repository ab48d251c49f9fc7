"""Training a rotator on the crops of a table: what it learns from, and what it leaves."""

from pathlib import Path
from typing import Any

from reidgen.backbones.weights import weights_hash
from reidgen.config.generators.views import RotatorConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.device import Fabric, setup
from reidgen.engine.loop import begun, in_run
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import DataError, option
from reidgen.files import file_sha256, sha256
from reidgen.generators.training.adversarial import facts_of, learn
from reidgen.generators.views.structures import shapes_of, with_structures
from reidgen.generators.views.trained_rotator import FILE, TrainedRotator, load_rotator, write_rotator
from reidgen.generators.views.views_training import OWN, RotatorTraining, ViewCrops, angles_of


def train_rotator(table: ReidTable, config: RotatorConfig | None = None, *, out: Path | str) -> TrainedRotator:
    """Train a rotator on a table's crops.

    Writes rotator.safetensors, a sheet of turned crops each `snapshot_steps`, and metrics.jsonl. The same call again
    resumes at the last checkpoint, to the same bytes as a run that was never stopped, or returns what is there.

    Args:
        table: Crops with the structures that the config names; only its train split is learned from, unless
            `config.split` says otherwise, and never what a filter has rejected, distractors and junk.
        config: Structure, networks, losses, schedule; None takes the defaults.
        out: The run folder.

    Raises:
        DataError: There are too few crops, none has the structures, or a file cannot be read.
        WeightsError: The identity encoder's weights cannot be had.
        RunError: The folder belongs to another run.
        TrainingError: A loss stopped being a number, or memory ran out; the last checkpoint stays.
    """
    config = config or RotatorConfig()
    crops = learned_from(table, config)
    shapes = sha256(repr(shapes_of(crops, config.structure, angle)).encode() for angle in angles_of(config))
    inputs = {"table": crops.hash(), "structures": shapes, "weights": weights_hash(config.weights)}
    fabric = setup(config.device, devices=config.devices, nodes=config.nodes)
    known = {"stage": "train-rotator", "config": config, "inputs": inputs}
    with begun(fabric, out, **known, adjustable=("devices", "nodes")) as run:
        if not run.done:
            ViewCrops.open(crops, config, angles_of(config))  # decode here, with a bar; processes map the files
            run.finish(in_run(fabric, run, _train, crops, config))
    return load_rotator(run.path, device=config.device)


def learned_from(table: ReidTable, config: RotatorConfig) -> ReidTable:
    """The crops that have what the config needs.

    Raises:
        DataError: They are fewer than a batch.
    """
    crops = (table.train if config.split == "train" else table).kept
    crops = crops.where(crops.rows["pid"] > 0)
    angles = (OWN, *config.angles)
    crops = with_structures(crops, config.structure, angles, whose=option(structure=config.structure))
    if len(crops) < config.batch:
        raise DataError(
            f"{table.name or 'The table'} has too few crops for one batch.",
            got=f"{len(crops)} crops",
            allowed=f"{option(batch=config.batch)} or more",
            fix=f"a smaller {option('batch')}, or a table with more crops",
        )
    return crops


def _train(fabric: Fabric, run: RunFolder | RunFiles, table: ReidTable, config: RotatorConfig) -> dict[str, Any]:
    """Train to the end, write the weights, and return the run's summary."""
    crops = ViewCrops.open(table, config, angles_of(config))
    training, left = learn(
        fabric,
        run,
        config,
        lambda: RotatorTraining(config, fabric, crops.to(fabric.device)),
        label="train rotator (steps)",
    )
    if not fabric.is_global_zero:
        return {}
    facts = facts_of(table, config)
    write_rotator(run.path / FILE, training.rotator, config=config, training=facts)
    return {**facts, **left, "weights": file_sha256(run.path / FILE)}
