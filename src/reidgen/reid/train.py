"""Training a re-ID network on the crops of a table: what it starts from, and what it leaves."""

import sys
from pathlib import Path
from typing import Any, Literal

from reidgen.backbones.reid_model import ReidModel, load_reid, save_reid
from reidgen.backbones.weights import TRAINED, weights_hash
from reidgen.config import ReidConfig, as_dict, require
from reidgen.data.disk.notes import tell_nobody
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import Fabric, setup
from reidgen.engine.loop import Plan, begun, in_run, memory_told, resume, train
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import option
from reidgen.reid.supervised.groups import Groups, kept_groups
from reidgen.reid.supervised.labels import label_facts
from reidgen.reid.supervised.objective import check_losses
from reidgen.reid.supervised.people import People
from reidgen.reid.supervised.training import ReidTraining


def train_reid(table: ReidTable, config: ReidConfig = ReidConfig(), *, out: Path | str) -> ReidModel:
    """Train a re-ID network on a table's train split.

    Distractors, junk and crops that a filter has rejected are not used; what the classifier is told of generated crops
    is the config's `generated_label` (see `losses.reid.soft_labels`). The same call again resumes a run that was
    stopped at any moment, and ends with the bytes of one that was not; of a finished run it loads the network.
    `out` gets reid.safetensors (network, config, people, hash of the crops), metrics.jsonl (one line an epoch: loss and
    rank-1 error, the share of crops that are taken for another person, on the augmented training crops and on the
    held-out ones as they are) and run.json.

    Args:
        table: Crops of which those in split train are learned from.
        config: Network, recipe and length.
        out: Run folder.

    Returns:
        The trained network on the config's device.

    Raises:
        DataError: Too few people or crops, or a crop that cannot be decoded.
        ConfigError: A loss or a backbone that there is not, features that no label looks at, or fewer GPUs than asked
            for.
        WeightsError: The backbone's weights cannot be had, or do not fit.
        RunError: `out` belongs to another run.
        TrainingError: The loss or the network is not a number any more, the memory does not suffice, or a process died.
    """
    check_losses(config)
    require(
        config.generated_label == "slsr" or config.generated_features is None,
        f"{option('generated_features')} belong to {option(generated_label='slsr')}.",
        got=f"label {config.generated_label} with {config.generated_features}",
        allowed="slsr, or no features",
        fix=option(generated_label="slsr"),
    )
    fabric = _processes(config)
    people = People.of(table, config)
    inputs = {"crops": people.table.hash(), "weights": weights_hash(config.weights)}
    features = None
    if config.generated_label == "slsr":
        assert config.generated_features is not None, "slsr has features"
        features = load_reid(config.generated_features, device=config.device)
        inputs["features"] = features.hash
    with begun(fabric, out, stage="train-reid", config=config, inputs=inputs) as run:
        if not run.done:
            tell_nobody(table.train.kept)
            groups = None
            if features is not None:
                groups = kept_groups(run, people, config, features)
            CropStore.open(people.table, size=config.size)  # decode here, with a bar; processes then map the file
            run.finish(in_run(fabric, run, _train, people, config, inputs["crops"], groups))
    return load_reid(run.path, device=config.device)


def _processes(config: ReidConfig) -> Fabric:
    """The processes of the training. Networks of timm may have parts that only their own classifier would hear of."""
    unused: Literal["none", "some"] = "some" if config.frozen or config.of_timm else "none"
    return setup(config.device, config.precision, devices=config.devices, nodes=config.nodes, unused=unused)


def _train(
    fabric: Fabric,
    run: RunFolder | RunFiles,
    people: People,
    config: ReidConfig,
    crops_hash: str,
    groups: Groups | None,
) -> dict[str, Any]:
    """Train to the end, write the network, and return the run's summary."""
    asked = f"{option(batch=config.batch)} {option(accumulate=config.accumulate)}"
    smaller = (
        f"{option(accumulate=2 * config.accumulate)}, {option(batch=max(2, config.batch // 2))}, "
        f"a smaller {option('size')}, "
        f"or {option(precision='bf16')} on a GPU; in another {option('out')}"
    )
    with (
        memory_told(run, lambda: (asked, smaller)),
        sound_bfloat16(fabric.device, config.precision, tell=fabric.is_global_zero) as kept,
    ):
        training = ReidTraining(config, fabric, people, groups)
        resume(run, training)
        if fabric.is_global_zero:
            sys.stderr.write(f"{training.origin}\n")
        epoch, sec = training.sampler.steps_per_epoch, config.checkpoint_sec
        train(run, training, Plan(label="train re-ID", steps=training.steps, log_steps=(epoch,), checkpoint_sec=sec))
        training.check_embeddings()
    length = {"steps": training.steps, "epochs": round(training.steps / epoch, 3)}
    facts = {**length, **people.facts(), **label_facts(people, config), "table": crops_hash}
    if not fabric.is_global_zero:
        return {}
    description = {"reid": as_dict(config), "pids": people.pids, "facts": facts, "learned": people.learned()}
    save_reid(run.path / TRAINED, training.network, description)
    left = {"kept_in_float32": kept} if kept else {}
    return {**facts, "backbone": training.origin, **run.metrics.read()[-1], **left}
