"""Training a re-ID network: one loop, read from top to bottom."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from reidgen.config import ReidConfig, as_dict, require
from reidgen.data.augment import apply, draw, normalise
from reidgen.data.notes import tell_nobody
from reidgen.data.pk_sampler import PeopleSampler
from reidgen.data.samplers import EpochSampler, MixedSampler
from reidgen.data.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.bfloat16 import sound_bfloat16
from reidgen.engine.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from reidgen.engine.device import (
    Fabric,
    average_buffers,
    gathered,
    generator,
    in_processes,
    is_out_of_memory,
    seeded,
    setup,
    share_of,
)
from reidgen.engine.progress import no_progress, progress
from reidgen.engine.run import RunFiles
from reidgen.errors import TrainingError
from reidgen.losses.cross_entropy import cross_entropy
from reidgen.models.embedder import Embedded, Embedder, dropout_factors
from reidgen.models.ghost_norm import use_parts
from reidgen.models.timm_backbone import PREFIX
from reidgen.reid.embed import WEIGHTS, ReidModel, build_network, load_reid, save_reid
from reidgen.reid.groups import Groups, kept_groups
from reidgen.reid.labels import Labels, label_facts
from reidgen.reid.objective import Objective, check_losses
from reidgen.reid.people import People
from reidgen.reid.recipe import learning_rate, like_parameters, make_optimizer, set_learning_rate
from reidgen.reid.weights import load_backbone, weights_hash

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
        ConfigError: A loss or a backbone that there is not, features that no label looks at, or fewer GPUs than asked
            for.
        WeightsError: The backbone's weights cannot be had, or do not fit.
        RunError: `out` belongs to another run.
        TrainingError: The loss or the network is no number any more, the memory does not suffice, or a process died.
    """
    check_losses(config)
    require(
        config.generated_label == "slsr" or config.generated_features is None,
        "--generated-features belong to --generated-label slsr.",
        got=f"label {config.generated_label} with {config.generated_features}",
        allowed="slsr, or no features",
        fix="--generated-label slsr",
    )
    people = People.of(table, config)
    inputs = {"crops": people.table.hash(), "weights": weights_hash(config.weights)}
    features = None
    if config.generated_label == "slsr":
        assert config.generated_features is not None, "slsr has features"
        features = load_reid(config.generated_features, device=config.device)
        inputs["features"] = features.hash
    with RunFolder.begin(out, stage="train-reid", config=config, inputs=inputs) as run:
        if not run.done:
            tell_nobody(table.train.kept)
            groups = None if features is None else kept_groups(run, people, config, features)
            summary = _train(run, people, config, inputs["crops"], groups)
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
    run: RunFolder, people: People, config: ReidConfig, crops_hash: str, groups: Groups | None = None
) -> dict[str, Any]:
    """The training in this process, or in several that share each batch; the summary of the run."""
    # networks of timm may have parts that only their own classifier would hear of
    unused: Literal["none", "some"] = "some" if config.frozen or config.backbone.startswith(PREFIX) else "none"
    fabric = setup(config.device, config.precision, devices=config.devices, unused=unused)
    if config.devices == 1:
        return _loop(fabric, run, people, config, crops_hash, groups)
    CropStore.open(people.table, size=config.size)  # decode here, with a bar; the processes then map the file
    return in_processes(fabric, _loop, RunFiles(run.path, run.identity), people, config, crops_hash, groups)


def _loop(
    fabric: Fabric,
    run: RunFolder | RunFiles,
    people: People,
    config: ReidConfig,
    crops_hash: str,
    groups: Groups | None,
) -> dict[str, Any]:
    with sound_bfloat16(fabric.device, config.precision, tell=fabric.is_global_zero) as kept:
        summary = _steps(fabric, run, people, config, crops_hash, groups)
    return {**summary, "kept_in_float32": kept} if kept else summary


def _steps(
    fabric: Fabric,
    run: RunFolder | RunFiles,
    people: People,
    config: ReidConfig,
    crops_hash: str,
    groups: Groups | None,
) -> dict[str, Any]:
    sampler = _sampler(people, config)
    steps = config.epochs * sampler.steps_per_epoch if config.steps is None else config.steps
    device, first = fabric.device, fabric.is_global_zero
    network = build_network(config, len(people.pids))
    network.initialise(generator("reid", "weights", config.seed))
    origin = load_backbone(network.backbone, config)
    if config.norm_batch is not None:
        use_parts(network, config.norm_batch)
    _rest_unheard(network, config)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(network, config)
    wrapped, stepper = fabric.setup(network, optimizer)
    store = CropStore.open(people.table, size=config.size).to(device)
    labels = Labels.of(people, config, device, groups)
    objective = Objective(config, labels, people=len(people.pids), width=network.width)
    start, sums = _resume(run, network, optimizer, objective, fabric.strategy.precision, device)
    if first:
        sys.stderr.write(f"{origin}\n")
    saved_sec = time.monotonic()

    shown = progress("train re-ID", steps, start=start) if first else no_progress()
    with shown as bar, _memory_told(config.batch, config.accumulate):
        for step in range(start, steps):
            done_share = step / steps
            rows = people.train[sampler.indices(step)]
            draws = generator("reid", config.seed, "step", step)
            changes = draw(len(rows), config.size, config.augment, draws)
            keep = dropout_factors((config.batch, network.width), config.dropout, draws)
            rests = done_share < config.frozen

            wrapped.train()
            if rests:
                network.backbone.eval()
            lr = learning_rate(config, done_share)
            set_learning_rate(optimizer, lr)
            stepper.zero_grad(set_to_none=True)
            for part in range(config.accumulate):
                whole, mine = _shares(fabric, config, part)
                images = apply(store.batch(rows[mine]), changes.part(mine), config.augment)
                kept = None if keep is None else keep[mine].to(device)
                picked = torch.from_numpy(rows[whole]).to(device)
                last = part == config.accumulate - 1
                with fabric.no_backward_sync(wrapped, enabled=not last):
                    with seeded(device, "reid", config.seed, "layers", step, part, fabric.global_rank):
                        out = wrapped(images, kept, backbone="rests" if rests else "learns")
                    out = Embedded(*(gathered(fabric, values) for values in out))
                    loss = objective.loss(out, picked, done_share) / config.accumulate
                    fabric.backward(loss * fabric.world_size)
                sums.add(loss * config.accumulate, out.logits, labels.people[picked])
                objective.follow(out, picked, done_share)
            stepper.step()
            average_buffers(fabric, network)

            done = step + 1
            epoch_ends = done % sampler.steps_per_epoch == 0 or done == steps
            if epoch_ends or done % LOOK_EVERY == 0:
                _check_finite(sums, done, config)
                bar.advance(0, loss=sums.means()[0], error=sums.means()[1], lr=lr)
            bar.advance()
            if epoch_ends:
                _check_network(network, done, config)
                held_out = _validate(wrapped, store, labels.people, people.val)
                _check_finite(held_out, done, config, "held-out")
                if first:
                    _write_epoch(run, sampler.epoch_of(step) + 1, done, lr, sums, held_out)
                sums = Sums.zero(device)
            due = first and done < steps and time.monotonic() - saved_sec >= config.checkpoint_sec
            if due and _not_finite(network) is None:  # a broken one is told of at the next look
                _save(run, done, sums, network, optimizer, objective, fabric.strategy.precision)
                saved_sec = time.monotonic()

    _check_embeddings(wrapped, store, people.train[:8], steps, config)
    length = {"steps": steps, "epochs": round(steps / sampler.steps_per_epoch, 3)}
    facts = {**length, **people.facts(), **label_facts(people, config), "table": crops_hash}
    if not first:
        return {}
    description = {"reid": as_dict(config), "pids": people.pids, "facts": facts, "learned": people.learned()}
    save_reid(run.path / WEIGHTS, network, description)
    return {**facts, "backbone": origin, **run.metrics.read()[-1]}


def _rest_unheard(network: Embedder, config: ReidConfig) -> None:
    """Without cross entropy no loss looks past the feature: several processes would wait for gradients from there."""
    if "cross-entropy" not in config.loss_weights:
        network.norm.requires_grad_(False)
        network.classifier.requires_grad_(False)


def _shares(fabric: Fabric, config: ReidConfig, part: int) -> tuple[slice, slice]:
    """Which crops of a batch a part of it has, and which of these are this process's."""
    length = config.batch // config.accumulate
    mine = share_of(fabric, length)
    begin = part * length
    return slice(begin, begin + length), slice(begin + mine.start, begin + mine.stop)


def _sampler(people: People, config: ReidConfig) -> EpochSampler | MixedSampler | PeopleSampler:
    """All crops alike, so many real and generated ones a batch, or so many crops of so many people."""
    if config.sampler == "people":
        each = config.crops_per_person
        return PeopleSampler(people.labels[people.train], config.batch // each, each, config.seed)
    if config.generated_ratio is None:
        return EpochSampler(len(people.train), config.batch, config.seed)
    unit = config.batch // sum(config.generated_ratio)
    parts = (config.generated_ratio[0] * unit, config.generated_ratio[1] * unit)
    return MixedSampler(people.generated[people.train], parts, config.seed)


def _write_epoch(run: RunFolder | RunFiles, epoch: int, step: int, lr: float, learned: Sums, held_out: Sums) -> None:
    train_loss, train_error = learned.means()
    val_loss, val_error = held_out.means()
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
    run: RunFolder | RunFiles,
    step: int,
    sums: Sums,
    network: Embedder,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    scaler: Any,
) -> None:
    state = {
        "step": step,
        "sums": {"loss": sums.loss, "wrong": sums.wrong, "named": sums.named, "crops": sums.crops},
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "centers": objective.centers,
        "scaler": scaler.state_dict(),
    }
    save_checkpoint(run, state)
    run.note_cost()


def _resume(
    run: RunFolder | RunFiles,
    network: Embedder,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    scaler: Any,
    device: torch.device,
) -> tuple[int, Sums]:
    """Put a checkpoint's state in place, if there is one; the step to go on with and the sums of its epoch."""
    state = load_checkpoint(run)
    if state is None:
        return 0, Sums.zero(device)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    like_parameters(optimizer)
    objective.centers = None if state["centers"] is None else state["centers"].to(device)
    scaler.load_state_dict(state["scaler"])
    sums = state["sums"]
    loss, wrong, named = (sums[name].to(device) for name in ("loss", "wrong", "named"))
    return state["step"], Sums(loss, wrong, named, sums["crops"])


def _check_finite(
    sums: Sums, step: int, config: ReidConfig, which: Literal["training", "held-out"] = "training"
) -> None:
    if not math.isfinite(sums.loss.item()):
        raise _broken(f"The {which} loss is", f"loss {sums.loss.item()}", "a finite loss", step, config)


def _check_network(network: Embedder, step: int, config: ReidConfig) -> None:
    """Of the last update before it no loss tells. All processes hold the same network, and raise together."""
    if (name := _not_finite(network)) is not None:
        raise _broken("The network is", name, "finite weights", step, config)


def _not_finite(network: Embedder) -> str | None:
    """The first parameter or buffer that is not finite; one wait for the device, whatever their number."""
    named = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in named.values()]).tolist()
    return next((name for name, fine in zip(named, finite, strict=True) if not fine), None)


@torch.no_grad()
def _check_embeddings(
    network: torch.nn.Module, store: CropStore, rows: np.ndarray, step: int, config: ReidConfig
) -> None:
    """Finite weights may be so large that what they compute is not, and there may be no held-out crops to see it."""
    network.eval()
    if not network(normalise(store.batch(rows))).embedding.isfinite().all():
        raise _broken("What the network computes is", "embeddings", "finite embeddings", step, config)


def _broken(what: str, got: str, allowed: str, step: int, config: ReidConfig) -> TrainingError:
    return TrainingError(
        f"{what} not a number any more.",
        got=f"{got} at step {step}, lr {config.lr:g}, precision {config.precision}",
        allowed=allowed,
        fix=f"--lr {config.lr / 10:g}, or --warmup 0.1, or --precision float32; in another --out",
    )


@contextmanager
def _memory_told(batch: int, parts: int) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "The memory does not suffice for the training.",
            got=f"--batch {batch}; {str(error).splitlines()[0]}",
            allowed="a batch that fits",
            fix=f"--accumulate {2 * parts}, --batch {max(2, batch // 2)}, a smaller --size, "
            "or --precision bf16 on a GPU; in another --out",
        ) from error
