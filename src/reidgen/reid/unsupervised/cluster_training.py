"""One step of a training without labels, its clusterings, and everything that is kept to go on exactly."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reidgen.backbones.opening import build_backbone
from reidgen.backbones.weights import load_backbone
from reidgen.config import UnsupervisedConfig
from reidgen.data.augment import apply, draw, normalise
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import Fabric, average_buffers, gathered, generator, seeded, share_of
from reidgen.engine.loop import finite
from reidgen.errors import DataError, TrainingError, option
from reidgen.models.reid.ghost_norm import use_parts
from reidgen.models.reid.part_embedder import Parted, PartEmbedder
from reidgen.reid.supervised.recipe import learning_rate, like_parameters, make_optimizer, set_learning_rate
from reidgen.reid.unsupervised.crops import Crops
from reidgen.reid.unsupervised.epoch import Epoch, Fault
from reidgen.reid.unsupervised.look import Look
from reidgen.reid.unsupervised.mask_images import Combination
from reidgen.reid.unsupervised.objectives import Batch, Classifier, Memory, Objective, proxies_loss

EMBED_BATCH = 64


class CollapsedError(Exception):
    """The clusters of a training have become such that nothing can be learned from them; the text says how."""


class UnsupervisedTraining:
    """The network, its optimiser, the clusters that it learns from, and the sums of an epoch.

    Random numbers come from generators seeded by (seed, purpose, step), so there is no random state to keep.

    Attributes:
        network: The re-ID network.
        origin: Where its backbone came from, in words.
        objective: The loss, with what it keeps for each cluster.
        combination: What makes features of crops and of their mask images one; None: there are no mask images.
        epoch: The clusters that are learned from; None before the first step.
        good: Weights (`PartEmbedder.global_state`) that the last sound clusters were found with.
        best: Stability of the clusters that the weights `stable` led to; for `keep` "stable".
        step: Steps done, of `steps`.
    """

    def __init__(self, config: UnsupervisedConfig, fabric: Fabric, crops: Crops, test: Look | None = None) -> None:
        self.config, self.fabric, self.crops, self.test = config, fabric, crops, test
        self.schedule = config.as_reid()
        self.network = PartEmbedder(build_backbone(config), parts=config.parts, pooling=config.pooling)
        self.network.initialise(generator("reid", "weights", config.seed))
        self.origin = load_backbone(self.network.backbone, config)
        if config.norm_batch is not None:
            use_parts(self.network, config.norm_batch)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, self.schedule)
        self.wrapped, self.stepper = fabric.setup(self.network, self.optimizer)
        self.store = CropStore.open(crops.table, size=config.size).to(fabric.device)
        self.masks = None if crops.masks is None else crops.masks.open(self.store)
        self.combination = None if self.masks is None else Combination(config, fabric.device)
        kind = Classifier if config.loss == "classifier" else Memory
        self.objective: Objective = kind(config, fabric.device, width=self.network.width)
        self.steps = config.epochs * config.epoch_steps
        self.step, self.loss = 0, torch.zeros((), dtype=torch.float64, device=fabric.device)
        self.epoch: Epoch | None = None
        self.good: dict[str, Tensor] | None = None
        self.stable: dict[str, Tensor] | None = None
        self.best = -math.inf

    def advance(self) -> None:
        """One step on a batch, in its parts; before the first step of an epoch its clusters are found."""
        if self.step % self.config.epoch_steps == 0:
            self.renew()
        assert self.epoch is not None
        config, step = self.config, self.step
        rows = self.epoch.sampler(self.crops, config).indices(step)
        changes = draw(len(rows), config.size, config.augment, generator("reid", config.seed, "step", step))
        self.wrapped.train()
        lr = learning_rate(self.schedule, step / self.steps)
        set_learning_rate(self.optimizer, lr)
        self.stepper.zero_grad(set_to_none=True)
        seen = []
        for part in range(config.accumulate):
            whole, mine = self._shares(part)
            change = partial(apply, draws=changes.part(mine), config=config.augment)
            images = self._seen(rows[mine], change)
            batch = self._known(rows[whole])
            with self.fabric.no_backward_sync(self.wrapped, enabled=part < config.accumulate - 1):
                out = self._see(images, part)
                loss = self._loss(out, batch) / config.accumulate
                self.fabric.backward(loss * self.fabric.world_size)
            self.loss += loss.detach().double()
            seen.append((Parted(*(values.detach() for values in out)), batch))
        self.stepper.step()
        for out, batch in seen:
            self.objective.follow(out, batch)
        self.objective.step(lr, self.fabric.world_size)
        if self.combination is not None:
            self.combination.step(lr, self.fabric)
        average_buffers(self.fabric, self.network)
        self.step += 1

    def renew(self) -> None:
        """Find the clusters of an epoch, and begin it with them.

        Raises:
            DataError: Nothing can be learned from the first ones.
            CollapsedError: Nothing can be learned from later ones; `good` are the weights before that.
        """
        found = self.find(self.step // self.config.epoch_steps)
        if isinstance(found, Fault):
            if self.epoch is None:
                raise self._no_clusters(found)
            raise CollapsedError(f"after epoch {self.step // self.config.epoch_steps}: {found.what} ({found.others})")
        self.objective.renew(found.means)
        self.good = self._weights()
        self._compare(found)
        self.epoch = found

    def find(self, number: int) -> Epoch | Fault:
        """The clusters of an epoch by the network as it is; the first process finds them for all."""
        rows = self.crops.active(number)
        features = self._features(np.concatenate(rows))
        before = None if self.epoch is None else self.epoch.labels
        found: Epoch | Fault | DataError | None = None
        if self.fabric.is_global_zero:
            try:
                found = Epoch.of(features, rows, self.crops, self.config, before)
            except DataError as error:
                found = error
        told = self.fabric.broadcast(found)
        if isinstance(told, DataError):
            raise told
        assert told is not None
        return told

    def chosen(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """After the last step: the weights that are kept, and what a last clustering says of the network.

        Clusters that nothing could be learned from are a verdict, and the weights before them are kept.
        """
        found = self.find(self.config.epochs - 1)
        if isinstance(found, Fault):
            assert self.good is not None
            return self.good, {"collapsed": f"after epoch {self.config.epochs}: {found.what} ({found.others})"}
        last = self._weights()
        self.good = last
        self._compare(found)
        figures = {f"final_{name}": value for name, value in found.figures.items()}
        if self.config.keep == "stable" and self.stable is not None:
            return self.stable, {**figures, "kept_stability": self.best}
        return last, figures

    def shown(self) -> dict[str, float]:
        """Loss of the epoch so far, and its clusters."""
        clusters = 0 if self.epoch is None else self.epoch.figures["clusters"]
        return {"loss": self._mean_loss(), "clusters": clusters}

    def figures(self) -> dict[str, Any]:
        """The record of an epoch: its loss, the clusters that it learned from, and a look at query and gallery."""
        assert self.epoch is not None
        number = self.step // self.config.epoch_steps
        lr = learning_rate(self.schedule, (self.step - 1) / self.steps)
        record = {"epoch": number, "step": self.step, "lr": lr, "train_loss": self._mean_loss(), **self.epoch.figures}
        if self.combination is not None:
            record["crop_weight"] = round(self.combination.share, 6)
        self.loss = torch.zeros_like(self.loss)
        if self.test is not None and number % self.config.test_every == 0 and self.fabric.is_global_zero:
            self.wrapped.eval()
            record["test_mAP"] = self.test.mean_average_precision(self.network, self.fabric.device)
        return record

    def finite(self) -> bool:
        """Whether the loss, the weights and the running statistics are numbers."""
        return finite(self.loss, self.objective.classes(), networks=(self.network,))

    def diverged(self, folder: Path) -> TrainingError:
        """The error of a training that is not finite."""
        return TrainingError(
            "The loss or the network is not a number any more.",
            got=f"loss {self.loss.item()} at step {self.step}, {option(lr=self.config.lr)}",
            allowed="a finite loss and finite weights",
            fix=f"{option(lr=self.config.lr / 10)}, or {option(precision='float32')}; in another {option('out')}",
        )

    def write(self, folder: Path) -> None:
        """There are no snapshots."""

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {
            "step": self.step,
            "loss": self.loss,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state(),
            "combination": None if self.combination is None else self.combination.state(),
            "epoch": None if self.epoch is None else self.epoch.state(),
            "good": self.good,
            "stable": self.stable,
            "best": self.best,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        device = self.fabric.device
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        like_parameters(self.optimizer)
        self.objective.load(state["objective"], device)
        if self.combination is not None:
            self.combination.load(state["combination"])
        self.step, self.loss, self.best = state["step"], state["loss"].to(device), state["best"]
        self.epoch = None if state["epoch"] is None else Epoch.from_state(state["epoch"])
        self.good, self.stable = state["good"], state["stable"]

    def _compare(self, found: Epoch) -> None:
        """Keep the weights whose clusters are most like those before, where that is asked for."""
        score = found.figures.get("stability", -math.inf)
        if self.config.keep == "stable" and score > self.best:
            self.stable, self.best = self._weights(), score

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the weights as a file has them, on the CPU."""
        known = self.network.global_state(self.objective.classes())
        return {name: value.detach().cpu().clone() for name, value in known.items()}

    @torch.no_grad()
    def _features(self, rows: np.ndarray) -> Tensor:
        """Features of crops as they are, float32 (M, 1 + P, D), each of length 1; the processes share the crops."""
        each = -(-len(rows) // self.fabric.world_size)
        first = self.fabric.global_rank * each
        mine = np.resize(rows, each * self.fabric.world_size)[first : first + each]
        self.wrapped.eval()
        found = []
        for start in range(0, len(mine), EMBED_BATCH):
            out = self._mixed(self.wrapped(self._seen(mine[start : start + EMBED_BATCH], normalise)))
            both = torch.cat([out.embedding[:, None], out.parts], dim=1).float()
            found.append(functional.normalize(both, dim=2))
        return gathered(self.fabric, torch.cat(found))[: len(rows)]

    def _seen(self, rows: np.ndarray, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Crops as the network shall see them, and then their mask images, changed alike."""
        images = change(self.store.batch(rows))
        return images if self.masks is None else torch.cat([images, change(self.masks.batch(rows))])

    def _mixed(self, out: Parted) -> Parted:
        """What the network says of crops, and of their mask images, as of crops."""
        return out if self.combination is None else self.combination(out)

    def _known(self, rows: np.ndarray) -> Batch:
        """What is known of the crops of a batch, on the device."""
        assert self.epoch is not None
        picked = torch.from_numpy(rows)
        device = self.fabric.device
        labels, agreement = self.epoch.labels[picked].to(device), self.epoch.agreement[picked].to(device)
        cameras = torch.from_numpy(self.crops.cameras[rows]).to(device)
        return Batch(labels, agreement, cameras, self.step // self.config.epoch_steps)

    def _loss(self, out: Parted, batch: Batch) -> Tensor:
        assert self.epoch is not None
        loss = self.objective.loss(out, batch)
        if self.epoch.proxies is None:
            return loss
        return loss + proxies_loss(out, batch, self.epoch.proxies.to(self.fabric.device), self.config)

    def _see(self, images: Tensor, part: int) -> Parted:
        """What the network says of a part of the batch, of the crops of all processes."""
        with seeded(self.fabric.device, "reid", self.config.seed, "layers", self.step, part, self.fabric.global_rank):
            out = self._mixed(self.wrapped(images))
        return Parted(*(gathered(self.fabric, values) for values in out))

    def _shares(self, part: int) -> tuple[slice, slice]:
        """Which crops of a batch a part of it has, and which of these are this process's."""
        length = self.config.batch // self.config.accumulate
        mine, begin = share_of(self.fabric, length), part * length
        return slice(begin, begin + length), slice(begin + mine.start, begin + mine.stop)

    def _mean_loss(self) -> float:
        done = self.step - (self.step - 1) // self.config.epoch_steps * self.config.epoch_steps
        return self.loss.item() / max(1, done)

    def _no_clusters(self, found: Fault) -> DataError:
        config = self.config
        return DataError(
            "The crops do not fall into two clusters or more, so there is nothing to learn.",
            got=f"{found.what}; {option(eps=config.eps)}, {option(k1=config.k1)}",
            allowed=found.others,
            fix=f"an {option('eps')} with clusters, or {option('weights')} of a network that knows people",
        )
