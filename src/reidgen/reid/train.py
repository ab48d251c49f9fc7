"""Training a re-ID network: one loop, read from top to bottom."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidgen.config import ReidConfig, as_dict
from reidgen.data.augment import augment, normalise
from reidgen.data.samplers import EpochSampler, MixedSampler
from reidgen.data.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.device import generator, setup
from reidgen.engine.progress import progress
from reidgen.errors import TrainingError
from reidgen.losses.cross_entropy import cross_entropy
from reidgen.models.embedder import Embedder, dropout_factors
from reidgen.reid.embed import WEIGHTS, ReidModel, build_network, load_reid, save_reid
from reidgen.reid.groups import kept_groups
from reidgen.reid.labels import Labels, label_facts
from reidgen.reid.people import People
from reidgen.reid.recipe import learning_rate, make_optimizer, set_learning_rate
from reidgen.reid.weights import load_backbone, weights_hash

CHECKPOINT, GROUPS = "checkpoint.safetensors", "groups.safetensors"
LOOK_EVERY = 20  # steps between two looks at the loss: each look makes a GPU wait
VAL_BATCH = 128


def train_reid(table: ReidTable, config: ReidConfig = ReidConfig(), *, out: Path | str) -> ReidModel:
    """Train a re-ID network on a table's train split.

    Distractors, junk and crops that a filter has rejected are not used; what the classifier is told of generated crops
    is the config's `generated_label` (see `reidgen.losses.soft_labels`). The same call again resumes a run that was
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
        WeightsError: The backbone's weights cannot be had, or do not fit.
        RunError: `out` belongs to another run.
        TrainingError: The loss is no number any more, or the memory does not suffice.
    """
    people = People.of(table, config)
    inputs = {"crops": people.table.hash(), "weights": weights_hash(config.weights)}
    features = None
    if config.generated_features is not None:
        features = load_reid(config.generated_features, device=config.device)
        inputs["features"] = features.hash
    with RunFolder.begin(out, stage="train-reid", config=config, inputs=inputs) as run:
        if not run.done:
            summary = _train(run, people, config, inputs["crops"], features)
            run.finish(summary)
        (run.path / CHECKPOINT).unlink(missing_ok=True)
    return load_reid(run.path, device=config.device)


@dataclass
class Sums:
    """Loss and mistakes since the epoch began, on the device, so that no step waits for them.

    Attributes:
        loss: float64 (), sum over crops.
        wrong: int64 (), crops taken for another person.
        named: int64 (), crops that are said to be one of the people.
        crops: How many were seen.
    """

    loss: torch.Tensor
    wrong: torch.Tensor
    named: torch.Tensor
    crops: int

    @classmethod
    def zero(cls, device: torch.device) -> "Sums":
        """Nothing seen yet."""
        loss = torch.zeros((), dtype=torch.float64, device=device)
        wrong, named = torch.zeros((2,), dtype=torch.int64, device=device)
        return cls(loss, wrong, named, 0)

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count one batch with its mean loss; label -1 is a crop that is none of the people."""
        named = labels >= 0
        self.loss += loss.detach().double() * len(labels)
        self.wrong += ((logits.detach().argmax(dim=1) != labels) & named).sum()
        self.named += named.sum()
        self.crops += len(labels)

    def means(self) -> tuple[float, float]:
        """Mean loss of the crops and rank-1 error of those that are one of the people, NaN where none was seen."""
        named = self.named.item()
        error = self.wrong.item() / named if named else math.nan
        return (self.loss.item() / self.crops if self.crops else math.nan, error)


def _train(
    run: RunFolder, people: People, config: ReidConfig, crops_hash: str, features: ReidModel | None = None
) -> dict[str, Any]:
    sampler = _sampler(people, config)
    steps = config.epochs * sampler.steps_per_epoch if config.steps is None else config.steps
    fabric = setup(config.device, config.precision)
    device = fabric.device
    network = build_network(config, len(people.pids))
    network.initialise(generator("reid", "weights", config.seed))
    origin = load_backbone(network.backbone, config)
    sys.stderr.write(f"{origin}\n")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    wrapped, stepper = fabric.setup(network, optimizer)
    start, sums = _resume(run, network, optimizer, fabric.strategy.precision, device)
    store = CropStore.open(people.table, size=config.size).to(device)
    groups = None if features is None else kept_groups(run.path / GROUPS, people, config, features)
    labels = Labels.of(people, config, device, groups)
    saved_sec = time.monotonic()

    with progress("train re-ID", steps, start=start) as bar, _memory_told(config.batch):
        for step in range(start, steps):
            rows = people.train[sampler.indices(step)]
            draws = generator("reid", config.seed, "step", step)
            images = augment(store.batch(rows), config.augment, draws)
            keep = dropout_factors((config.batch, config.bottleneck), config.dropout, draws)
            picked = torch.from_numpy(rows).to(device)

            wrapped.train()
            lr = learning_rate(config, step / steps)
            set_learning_rate(optimizer, lr)
            logits = wrapped(images, None if keep is None else keep.to(device)).logits
            loss = labels.loss(logits, picked, step / steps)
            stepper.zero_grad(set_to_none=True)
            fabric.backward(loss)
            stepper.step()
            sums.add(loss, logits, labels.people[picked])

            done = step + 1
            epoch_ends = done % sampler.steps_per_epoch == 0 or done == steps
            if epoch_ends or done % LOOK_EVERY == 0:
                _check_finite(sums, done, config)
                bar.advance(0, loss=sums.means()[0], error=sums.means()[1], lr=lr)
            bar.advance()
            if epoch_ends:
                _write_epoch(run, sampler.epoch_of(step) + 1, done, lr, sums, wrapped, store, labels.people, people.val)
                sums = Sums.zero(device)
            if done < steps and time.monotonic() - saved_sec >= config.checkpoint_sec:
                _save(run, done, sums, network, optimizer, fabric.strategy.precision)
                saved_sec = time.monotonic()

    length = {"steps": steps, "epochs": round(steps / sampler.steps_per_epoch, 3)}
    facts = {**length, **people.facts(), **label_facts(people, config), "table": crops_hash}
    description = {"reid": as_dict(config), "pids": people.pids, "facts": facts, "learned": people.learned()}
    save_reid(run.path / WEIGHTS, network, description)
    return {**facts, "backbone": origin, **run.metrics.read()[-1]}


def _sampler(people: People, config: ReidConfig) -> EpochSampler | MixedSampler:
    """All crops alike, or so many real and generated ones a batch."""
    if config.generated_ratio is None:
        return EpochSampler(len(people.train), config.batch, config.seed)
    unit = config.batch // sum(config.generated_ratio)
    parts = (config.generated_ratio[0] * unit, config.generated_ratio[1] * unit)
    return MixedSampler(people.generated[people.train], parts, config.seed)


def _write_epoch(
    run: RunFolder,
    epoch: int,
    step: int,
    lr: float,
    sums: Sums,
    network: torch.nn.Module,
    store: CropStore,
    labels: torch.Tensor,
    val: np.ndarray,
) -> None:
    train_loss, train_error = sums.means()
    val_loss, val_error = _validate(network, store, labels, val).means()
    run.metrics.write(
        epoch=epoch,
        step=step,
        lr=lr,
        train_loss=train_loss,
        train_error=train_error,
        val_loss=val_loss,
        val_error=val_error,
    )


@torch.no_grad()
def _validate(network: torch.nn.Module, store: CropStore, labels: torch.Tensor, val: np.ndarray) -> Sums:
    """Loss, without label smoothing, and rank-1 error on the held-out crops as they are."""
    network.eval()
    sums = Sums.zero(labels.device)
    for first in range(0, len(val), VAL_BATCH):
        rows = val[first : first + VAL_BATCH]
        targets = labels[torch.from_numpy(rows).to(labels.device)]
        logits = network(normalise(store.batch(rows))).logits
        sums.add(cross_entropy(logits, targets), logits, targets)
    return sums


def _save(
    run: RunFolder, step: int, sums: Sums, network: Embedder, optimizer: torch.optim.Optimizer, scaler: Any
) -> None:
    state = {
        "step": step,
        "metrics": run.metrics.position,
        "sums": {"loss": sums.loss, "wrong": sums.wrong, "named": sums.named, "crops": sums.crops},
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
    }
    save_state(run.path / CHECKPOINT, state)
    run.note_cost()


def _resume(
    run: RunFolder, network: Embedder, optimizer: torch.optim.Optimizer, scaler: Any, device: torch.device
) -> tuple[int, Sums]:
    """Put a checkpoint's state in place, if there is one; the step to go on with and the sums of its epoch."""
    if not (run.path / CHECKPOINT).is_file():
        run.metrics.rewind(0)
        return 0, Sums.zero(device)
    state = load_state(run.path / CHECKPOINT)
    run.metrics.rewind(state["metrics"])
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    sums = state["sums"]
    loss, wrong, named = (sums[name].to(device) for name in ("loss", "wrong", "named"))
    return state["step"], Sums(loss, wrong, named, sums["crops"])


def _check_finite(sums: Sums, step: int, config: ReidConfig) -> None:
    if not math.isfinite(sums.loss.item()):
        raise TrainingError(
            "The training loss is not a number any more.",
            got=f"loss {sums.loss.item()} at step {step}, lr {config.lr:g}, precision {config.precision}",
            allowed="a finite loss",
            fix=f"--lr {config.lr / 10:g}, or --warmup 0.1, or --precision float32; in another --out",
        )


@contextmanager
def _memory_told(batch: int) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        raise TrainingError(
            "The memory does not suffice for the training.",
            got=f"--batch {batch}; {str(error).splitlines()[0]}",
            allowed="a batch that fits",
            fix=f"--batch {max(2, batch // 2)}, a smaller --size, or --precision bf16 on a GPU; in another --out",
        ) from error
