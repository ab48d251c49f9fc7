"""Training a re-ID network on crops that nobody has labelled: what it starts from, and what it leaves."""

import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from reidgen.backbones.reid_model import ReidModel, load_reid
from reidgen.backbones.weights import TRAINED, weights_hash
from reidgen.config import UnsupervisedConfig, as_dict
from reidgen.data.disk.notes import tell_nobody
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.checkpoint import save_weights
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import Fabric, setup
from reidgen.engine.loop import Plan, begun, in_run, memory_told, resume, train
from reidgen.engine.runs.run import RunFiles, RunFolder, read_run
from reidgen.errors import option
from reidgen.reid.supervised.people import learned
from reidgen.reid.unsupervised.cluster_training import CollapsedError, UnsupervisedTraining
from reidgen.reid.unsupervised.crops import Crops
from reidgen.reid.unsupervised.look import Look


def train_unsupervised(
    table: ReidTable,
    config: UnsupervisedConfig = UnsupervisedConfig(),
    *,
    generated: ReidTable | None = None,
    out: Path | str,
) -> ReidModel:
    """Train a re-ID network on a table's train split without its labels.

    At the beginning of each epoch the crops are clustered by their features, and the clusters are learned as if they
    were people. Labels are used for figures alone: purity and mutual information of clusters and people, in
    metrics.jsonl, and a look at the mAP of query and gallery where `test_every` asks for it. No weight depends on them.
    The same call again resumes a run that was stopped at any moment, and ends with the bytes of one that was not.
    `out` gets reid.safetensors, which `load_reid` opens and all that works with re-ID networks; its classes are the
    last clusters, numbered from 1. When the clusters collapse, the weights before are kept and run.json says so.

    Args:
        table: Crops of which those in split train are learned from.
        config: Network, recipe and length.
        generated: Generated crops beside them; `generated_use` says when and how they count.
        out: Run folder.

    Returns:
        The trained network on the config's device.

    Raises:
        DataError: There are too few crops, they do not fall into two clusters at the beginning, a crop cannot be
            decoded, there are no two cameras for a loss by cameras, a generated crop lacks a parent or a camera, or a
            crop its mask image.
        ConfigError: Generated crops without a use, a use without crops, angles that there are not, or fewer GPUs than
            asked for.
        WeightsError: The backbone's weights cannot be had, or do not fit.
        RunError: `out` belongs to another run.
        TrainingError: The loss or the network is not a number any more, the memory does not suffice, or a process died.
    """
    fabric = setup(
        config.device,
        config.precision,
        devices=config.devices,
        nodes=config.nodes,
        unused="some" if config.of_timm else "none",
    )
    crops = Crops.of(table, generated, config)
    look = Look.of(table, config.size) if config.test_every else None
    inputs = {"crops": crops.table.hash(), "weights": weights_hash(config.weights)}
    if crops.masks is not None:
        inputs["masks"] = crops.masks.hash()
    if look is not None:
        inputs |= {"query": look.query.hash(), "gallery": look.gallery.hash()}
    with begun(fabric, out, stage="train-unsupervised", config=config, inputs=inputs) as run:
        if not run.done:
            tell_nobody(table.train.kept)
            store = CropStore.open(crops.table, size=config.size)  # decode here, with a bar; processes then map it
            if crops.masks is not None:
                crops.masks.open(store)
            run.finish(in_run(fabric, run, _train, crops, config, inputs["crops"], look))
        if fabric.is_global_zero:
            _tell_collapse(run.path)
    return load_reid(run.path, device=config.device)


def _train(
    fabric: Fabric,
    run: RunFolder | RunFiles,
    crops: Crops,
    config: UnsupervisedConfig,
    crops_hash: str,
    look: Look | None,
) -> dict[str, Any]:
    """Train to the end, write the network, and return the run's summary."""
    asked = f"{option(batch=config.batch)} {option(accumulate=config.accumulate)}"
    smaller = f"{option(accumulate=2 * config.accumulate)}, or a smaller {option('size')}; in another {option('out')}"
    with (
        memory_told(run, lambda: (asked, smaller)),
        sound_bfloat16(fabric.device, config.precision, tell=fabric.is_global_zero) as kept,
    ):
        training = UnsupervisedTraining(config, fabric, crops, look)
        resume(run, training)
        if fabric.is_global_zero:
            sys.stderr.write(f"{training.origin}\n")
        weights, verdict = _to_the_end(run, training)
    if not fabric.is_global_zero:
        return {}
    facts = {"steps": training.step, "epochs": training.step // config.epoch_steps, **crops.facts(), **verdict}
    facts["table"] = crops_hash
    _write(run.path, weights, config, facts, crops)
    records, left = run.metrics.read(), {"kept_in_float32": kept} if kept else {}
    return {**(records[-1] if records else {}), **facts, "backbone": training.origin, **left}


def _tell_collapse(folder: Path) -> None:
    """Say it after each call, also where the run was done already."""
    summary = read_run(folder)["summary"]
    if "collapsed" in summary:
        sys.stderr.write(f"The clusters collapsed {summary['collapsed']}; the weights before are kept.\n")


def _to_the_end(run: RunFolder | RunFiles, training: UnsupervisedTraining) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Do the steps that are left; the weights to keep, and what is to be said of them."""
    config = training.config
    plan = Plan(
        label="train without labels",
        steps=training.steps,
        log_steps=(config.epoch_steps,),
        checkpoint_sec=config.checkpoint_sec,
    )
    try:
        train(run, training, plan)
    except CollapsedError as collapsed:
        assert training.good is not None
        return training.good, {"collapsed": str(collapsed)}
    return training.chosen()


def _write(
    folder: Path, weights: dict[str, Tensor], config: UnsupervisedConfig, facts: dict[str, Any], crops: Crops
) -> None:
    """The file that is left, as a supervised training would have written it, and how it came about."""
    description = {
        "reid": as_dict(config.as_reid()),
        "unsupervised": as_dict(config),
        "pids": list(range(1, 1 + len(weights["classifier.weight"]))),
        "facts": facts,
        "learned": learned(crops.table),
    }
    save_weights(folder / TRAINED, weights, config=description)
