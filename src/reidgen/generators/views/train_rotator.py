"""Training a rotator on the crops of a table: what it learns from, and what it leaves."""

from pathlib import Path
from typing import Any

from reidgen.backbones.weights import weights_hash
from reidgen.config.generators.views import RotatorConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import CHECKPOINT
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import setup
from reidgen.engine.loop import Plan, memory_told, resume, train
from reidgen.errors import DataError, option
from reidgen.files import file_sha256, sha256
from reidgen.generators.views.structures import shapes_of, with_structures
from reidgen.generators.views.trained_rotator import FILE, TrainedRotator, load_rotator, write_rotator
from reidgen.generators.views.views_training import OWN, RotatorTraining, ViewCrops

LOG_RECORDS, LOG_STEPS = 50, 100  # a log record each so many steps, but at least so many in a run


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
    angles = (OWN, *config.angles) if config.structure == "mesh" else (OWN,)
    shapes = sha256(repr(shapes_of(crops, config.structure, angle)).encode() for angle in angles)
    inputs = {"table": crops.hash(), "structures": shapes, "weights": weights_hash(config.weights)}
    with RunFolder.begin(out, stage="train-rotator", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_train(run, ViewCrops.open(crops, config, angles), config))
        (run.path / CHECKPOINT).unlink(missing_ok=True)
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


def _train(run: RunFolder, crops: ViewCrops, config: RotatorConfig) -> dict[str, Any]:
    """Train to the end, write the weights, and return the run's summary."""
    fabric = setup(config.device)
    asked = f"batch {config.batch}, width {config.width}, {config.size[0]}x{config.size[1]}"
    plan = Plan(
        label="train rotator (steps)",
        steps=config.steps,
        log_steps=(max(min(LOG_STEPS, config.steps // LOG_RECORDS), 1),),
        write_steps=(config.snapshot_steps,),
        checkpoint_sec=config.checkpoint_sec,
    )
    smaller = f"a smaller {option('batch')} or {option('width')}, in another {option('out')}"
    with memory_told(run, lambda: (asked, smaller)):
        training = RotatorTraining(config, fabric, crops.to(fabric.device))
        resume(run, training)
        with sound_bfloat16(fabric.device, config.precision) as kept:
            train(run, training, plan)
    rows = crops.table.rows
    facts = {
        "split": config.split,
        "images": len(rows),
        "table": run.record["inputs"]["table"],
        "origins": sorted(rows["origin"].unique().to_list()),
        "people": rows["pid"].n_unique(),
        "steps": config.steps,
    }
    write_rotator(run.path / FILE, training.rotator, config=config, training=facts)
    left = {"kept_in_float32": kept} if kept else {}
    return {**facts, **left, "weights": file_sha256(run.path / FILE)}
