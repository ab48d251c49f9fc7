"""One step of a re-ID training, and everything that must be kept to go on exactly where a run stopped."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reidgen.backbones.reid_model import build_network
from reidgen.backbones.weights import load_backbone
from reidgen.config import GeneratedConfig, LossesConfig, ReidConfig
from reidgen.data.augment import apply, draw, normalise
from reidgen.data.pixels.store import CropStore
from reidgen.data.samplers import EpochSampler, MixedSampler, PeopleSampler
from reidgen.engine.devices.device import Fabric, average_buffers, gathered, generator, seeded, share_of
from reidgen.engine.loop import finite
from reidgen.errors import TrainingError, option
from reidgen.losses.reid.cross_entropy import cross_entropy
from reidgen.models.reid.embedder import Embedded, Embedder, dropout_factors
from reidgen.models.reid.ghost_norm import use_parts
from reidgen.reid.supervised.groups import Groups
from reidgen.reid.supervised.labels import Labels
from reidgen.reid.supervised.objective import Objective
from reidgen.reid.supervised.people import People
from reidgen.reid.supervised.recipe import learning_rate, like_parameters, make_optimizer, set_learning_rate

VAL_BATCH = 128
SUMS = ("loss", "wrong", "named")


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


class ReidTraining:
    """The network, its optimiser, what it learns from, and the sums of an epoch.

    Random numbers come from generators seeded by (seed, purpose, step), so there is no random state to keep. Labels,
    sampler and objective may be renewed at the beginning of an epoch, see `renew`.

    Attributes:
        network: The re-ID network.
        origin: Where its backbone came from, in words.
        sampler: Which crops each step sees.
        objective: The loss.
        step: Steps done, of `steps`.
    """

    def __init__(self, config: ReidConfig, fabric: Fabric, people: People, groups: Groups | None = None) -> None:
        self.config, self.fabric, self.people = config, fabric, people
        self.network = build_network(config, len(people.pids) + config.extra_classes)
        self.network.initialise(generator("reid", "weights", config.seed))
        self.origin = load_backbone(self.network.backbone, config)
        if config.norm_batch is not None:
            use_parts(self.network, config.norm_batch)
        _rest_unheard(self.network, config)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, config)
        self.wrapped, self.stepper = fabric.setup(self.network, self.optimizer)
        self.store = CropStore.open(people.table, size=config.size).to(fabric.device)
        self.labels = Labels.of(people, config, fabric.device, groups)
        self.objective = Objective(
            config,
            self.labels,
            people=len(people.pids),
            width=self.network.width,
            parts=config.accumulate,
            seed=config.seed,
        )
        self.sampler = sampler_of(people, config)
        self.steps = config.epochs * self.sampler.steps_per_epoch if config.steps is None else config.steps
        self.step, self.sums = 0, Sums.zero(fabric.device)

    def renew(self) -> None:
        """Called before the first step of each epoch: a training without labels finds its labels here."""

    def advance(self) -> None:
        """One step on a batch, in its parts."""
        if self.step % self.sampler.steps_per_epoch == 0:
            self.renew()
        config, step, share = self.config, self.step, self.step / self.steps
        rows = self.people.train[self.sampler.indices(step)]
        draws = generator("reid", config.seed, "step", step)
        changes = draw(len(rows), config.size, config.augment, draws)
        keep = dropout_factors((config.batch, self.network.width), config.dropout, draws)
        self._prepare(share)
        for part in range(config.accumulate):
            whole, mine = self._shares(part)
            images = apply(self.store.batch(rows[mine]), changes.part(mine), config.augment)
            kept = None if keep is None else keep[mine].to(self.fabric.device)
            picked = torch.from_numpy(rows[whole]).to(self.fabric.device)
            with self.fabric.no_backward_sync(self.wrapped, enabled=part < config.accumulate - 1):
                out = self._see(images, kept, part, rests=share < config.frozen)
                loss = self.objective.loss(out, picked, share) / config.accumulate
                self.fabric.backward(loss * self.fabric.world_size)
            self.sums.add(loss * config.accumulate, out.logits, self.labels.people[picked])
            self.objective.follow(out, picked, share)
        self.stepper.step()
        average_buffers(self.fabric, self.network)
        self.step += 1

    def shown(self) -> dict[str, float]:
        """Loss and error of the epoch so far."""
        loss, error = self.sums.means()
        return {"loss": loss, "error": error, "lr": self._lr()}

    def figures(self) -> dict[str, Any]:
        """The record of an epoch: on the crops that were learned from, and on those that are held out."""
        learned, held_out = self.sums.means(), self._validate()
        if not math.isfinite(held_out.loss.item()):
            raise self._broken("The held-out loss is", f"loss {held_out.loss.item()}", "a finite loss")
        self.sums = Sums.zero(self.fabric.device)
        counters = {"epoch": self.sampler.epoch_of(self.step - 1) + 1, "step": self.step, "lr": self._lr()}
        train = dict(zip(("train_loss", "train_error"), learned, strict=True))
        return {**counters, **train, **dict(zip(("val_loss", "val_error"), held_out.means(), strict=True))}

    def finite(self) -> bool:
        """Whether the loss, the weights and the running statistics are numbers."""
        return finite(self.sums.loss, networks=(self.network,))

    def diverged(self, folder: Path) -> TrainingError:
        """The error of a training that is not finite."""
        loss = self.sums.loss.item()
        if not math.isfinite(loss):
            return self._broken("The training loss is", f"loss {loss}", "a finite loss")
        state = self.network.state_dict().items()
        broken = next(name for name, value in state if not value.isfinite().all())
        return self._broken("The network is", broken, "finite weights")

    def write(self, folder: Path) -> None:
        """There are no snapshots."""

    @torch.no_grad()
    def check_embeddings(self) -> None:
        """Finite weights may be so large that what they compute is not, and there may be no held-out crops to see it.

        Raises:
            TrainingError: An embedding of the first crops is not a number.
        """
        self.wrapped.eval()
        crops = normalise(self.store.batch(self.people.train[:8]))
        if not self.wrapped(crops).embedding.isfinite().all():
            raise self._broken("What the network computes is", "embeddings", "finite embeddings")

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {
            "step": self.step,
            "sums": {**{name: getattr(self.sums, name) for name in SUMS}, "crops": self.sums.crops},
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "centers": self.objective.centers,
            "scaler": self.fabric.strategy.precision.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        device = self.fabric.device
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        like_parameters(self.optimizer)
        self.objective.centers = None if state["centers"] is None else state["centers"].to(device)
        self.fabric.strategy.precision.load_state_dict(state["scaler"])
        loss, wrong, named = (state["sums"][name].to(device) for name in SUMS)
        self.sums = Sums(loss, wrong, named, state["sums"]["crops"])
        self.step = state["step"]

    def _prepare(self, share: float) -> None:
        """The network in the mode, and the optimiser at the learning rate, of this share of the training."""
        self.wrapped.train()
        if share < self.config.frozen:
            self.network.backbone.eval()
        set_learning_rate(self.optimizer, learning_rate(self.config, share))
        self.stepper.zero_grad(set_to_none=True)

    def _see(self, images: torch.Tensor, kept: torch.Tensor | None, part: int, *, rests: bool) -> Embedded:
        """What the network says of a part of the batch, of the crops of all processes."""
        with seeded(self.fabric.device, "reid", self.config.seed, "layers", self.step, part, self.fabric.global_rank):
            out = self.wrapped(images, kept, backbone="rests" if rests else "learns")
        return Embedded(*(gathered(self.fabric, values) for values in out))

    def _shares(self, part: int) -> tuple[slice, slice]:
        """Which crops of a batch a part of it has, and which of these are this process's."""
        length = self.config.batch // self.config.accumulate
        mine, begin = share_of(self.fabric, length), part * length
        return slice(begin, begin + length), slice(begin + mine.start, begin + mine.stop)

    def _lr(self) -> float:
        """The learning rate of the last step."""
        return learning_rate(self.config, (self.step - 1) / self.steps)

    @torch.no_grad()
    def _validate(self) -> Sums:
        """Loss, without label smoothing, and rank-1 error on the held-out crops as they are."""
        self.wrapped.eval()
        sums, val, labels = Sums.zero(self.fabric.device), self.people.val, self.labels.people
        for first in range(0, len(val), VAL_BATCH):
            rows = val[first : first + VAL_BATCH]
            targets = labels[torch.from_numpy(rows).to(labels.device)]
            logits = self.wrapped(normalise(self.store.batch(rows))).logits
            sums.add(cross_entropy(logits, targets), logits, targets)
        return sums

    def _broken(self, what: str, got: str, allowed: str) -> TrainingError:
        config = self.config
        return TrainingError(
            f"{what} not a number any more.",
            got=f"{got} at step {self.step}, lr {config.lr:g}, precision {config.precision}",
            allowed=allowed,
            fix=f"{option(lr=config.lr / 10)}, or {option(warmup=0.1)}, "
            f"or {option(precision='float32')}; in another {option('out')}",
        )


def _rest_unheard(network: Embedder, config: LossesConfig) -> None:
    """Without cross entropy no loss looks past the feature: several processes would wait for gradients from there."""
    if "cross-entropy" not in config.loss_weights:
        network.norm.requires_grad_(False)
        network.classifier.requires_grad_(False)


def sampler_of(people: People, config: GeneratedConfig) -> EpochSampler | MixedSampler | PeopleSampler:
    """All crops alike, so many real and generated ones a batch, or so many crops of so many people."""
    if config.sampler == "people":
        each = config.crops_per_person
        return PeopleSampler(people.labels[people.train], config.batch // each, each, config.seed)
    if config.generated_ratio is None:
        return EpochSampler(len(people.train), config.batch, config.seed)
    unit = config.batch // sum(config.generated_ratio)
    parts = (config.generated_ratio[0] * unit, config.generated_ratio[1] * unit)
    return MixedSampler(people.generated[people.train], parts, config.seed)
