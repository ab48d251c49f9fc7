"""What a training without labels minimises: a classifier of clusters, or a memory of them."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from reidgen.config import UnsupervisedConfig
from reidgen.losses.clusters.agreement_smoothing import agreement_smoothed_loss
from reidgen.losses.clusters.camera_proxies import camera_proxy_loss
from reidgen.losses.clusters.cluster_memory import cluster_contrast_loss, moved_memory
from reidgen.losses.clusters.label_refinement import refined_labels
from reidgen.losses.reid.cross_entropy import cross_entropy
from reidgen.losses.reid.soft_labels import soft_cross_entropy
from reidgen.losses.reid.triplet import triplet_loss
from reidgen.models.reid.part_embedder import Parted
from reidgen.reid.supervised.recipe import optimizer_of, set_learning_rate
from reidgen.reid.unsupervised.clusters import Proxies


@dataclass(frozen=True, eq=False)
class Batch:
    """What is known of the crops of a batch.

    Attributes:
        labels: int64 (N,), cluster of each.
        agreement: float32 (N, P), of its parts.
        cameras: int64 (N,).
        epoch: From 0.
    """

    labels: Tensor
    agreement: Tensor
    cameras: Tensor
    epoch: int


class Objective(Protocol):
    """A loss over clusters, with whatever it keeps for each of them."""

    def renew(self, means: Tensor) -> None:
        """Begin an epoch with the means of its clusters, float32 (1 + P, K, D)."""

    def loss(self, out: Parted, batch: Batch) -> Tensor:
        """The loss of a batch."""

    def follow(self, out: Parted, batch: Batch) -> None:
        """Let what is kept follow a batch, or a part of it."""

    def step(self, lr: float, processes: int) -> None:
        """A step with the gradients that are there, which are those of so many processes."""

    def classes(self) -> Tensor:
        """What stands for each cluster in the network that is left, (K, D)."""

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to a `state`."""


class Classifier:
    """Scores by rows of weights, one for each cluster and branch, which start from the clusters' means.

    Cho et al. 2022, *Part-based pseudo label refinement*: soft cross entropy of the global feature with refined labels,
    soft-margin triplets of it, and the mean over parts of smoothed cross entropy.
    """

    def __init__(self, config: UnsupervisedConfig, device: torch.device, *, width: int) -> None:
        self.config, self.scale, self.schedule = config, config.scale(width), config.as_reid()
        self._put(torch.zeros(1 + config.parts, 0, width, device=device))

    def _put(self, weights: Tensor) -> None:
        self.weights = torch.nn.Parameter(weights)
        self.optimizer = optimizer_of([{"params": [self.weights], "scale": 1.0}], self.schedule)

    def renew(self, means: Tensor) -> None:
        """Write all rows anew; moments of the optimiser stay at their rows, or begin anew."""
        before = self.optimizer.state.get(self.weights, {})
        self._put(means.to(self.weights.device))
        if before and self.config.moments == "kept":
            kept = {name: _resized(value, means.shape[1]) for name, value in before.items()}
            self.optimizer.state[self.weights] = kept

    def loss(self, out: Parted, batch: Batch) -> Tensor:
        """The weighted sum of the three."""
        config = self.config
        with torch.autocast(out.embedding.device.type, enabled=False):
            logits = self.scale * out.embedding.float() @ self.weights[0].T
            parts = self.scale * torch.einsum("npd,pkd->npk", out.parts.float(), self.weights[1:])
        total = self._of_global(logits, parts, batch)
        if config.triplet_weight:
            total = total + config.triplet_weight * triplet_loss(out.embedding, batch.labels, margin=None)
        return total + self._of_parts(parts, batch) if config.parts else total

    def _of_global(self, logits: Tensor, parts: Tensor, batch: Batch) -> Tensor:
        if self.config.beta == 1:
            return cross_entropy(logits, batch.labels)
        targets = refined_labels(batch.labels, parts, batch.agreement, beta=self.config.beta)
        return soft_cross_entropy(logits, targets)

    def _of_parts(self, parts: Tensor, batch: Batch) -> Tensor:
        config = self.config
        if config.smoothing == "agreement" and batch.epoch >= config.agreement_from:
            return agreement_smoothed_loss(parts, batch.labels, batch.agreement)
        epsilon = 0.0 if config.smoothing == "none" else config.label_smoothing
        labels = batch.labels.repeat_interleave(parts.shape[1])
        return cross_entropy(parts.flatten(0, 1), labels, smoothing=epsilon)

    def follow(self, out: Parted, batch: Batch) -> None:
        """The rows learn by gradient alone."""

    def step(self, lr: float, processes: int) -> None:
        """A step of the optimiser; every process has the gradient of all crops, times their number."""
        assert self.weights.grad is not None
        self.weights.grad /= processes
        set_learning_rate(self.optimizer, lr)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def classes(self) -> Tensor:
        """The rows of the global feature, with the factor of the scores."""
        return self.scale * self.weights[0].detach()

    def state(self) -> dict[str, Any]:
        """Rows and moments."""
        return {"weights": self.weights.detach(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to a `state`."""
        self._put(state["weights"].to(device))
        self.optimizer.load_state_dict(state["optimizer"])


def _resized(value: Any, count: int) -> Any:
    """Moments (B, K, D) for another number of rows: the first ones stay, new ones are 0; other values as they are."""
    if not isinstance(value, Tensor) or value.ndim < 3:
        return value
    moved = value.new_zeros(value.shape[0], count, value.shape[2])
    shared = min(count, value.shape[1])
    moved[:, :shared] = value[:, :shared]
    return moved


class Memory:
    """One vector for each cluster, which follows its crops (Dai et al. 2022, *Cluster contrast*)."""

    def __init__(self, config: UnsupervisedConfig, device: torch.device, *, width: int) -> None:
        self.config = config
        self.vectors = torch.zeros(0, width, device=device)

    def renew(self, means: Tensor) -> None:
        """Begin with the clusters' means."""
        self.vectors = means[0].to(self.vectors.device)

    def loss(self, out: Parted, batch: Batch) -> Tensor:
        """InfoNCE against all clusters."""
        return cluster_contrast_loss(out.embedding, batch.labels, self.vectors, temperature=self.config.temperature)

    def step(self, lr: float, processes: int) -> None:
        """The vectors have no gradient."""

    def follow(self, out: Parted, batch: Batch) -> None:
        """Let the vectors follow the batch's crops."""
        self.vectors = moved_memory(out.embedding, batch.labels, self.vectors, momentum=self.config.momentum)

    def classes(self) -> Tensor:
        """The vectors, with their temperature."""
        return self.vectors / self.config.temperature

    def state(self) -> dict[str, Any]:
        """The vectors."""
        return {"vectors": self.vectors}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to a `state`."""
        self.vectors = state["vectors"].to(device)


def proxies_loss(out: Parted, batch: Batch, proxies: Proxies, config: UnsupervisedConfig) -> Tensor:
    """The camera-aware loss of the global feature and the mean of the parts', weighted."""

    def of(features: Tensor, vectors: Tensor) -> Tensor:
        return camera_proxy_loss(
            features,
            batch.labels,
            batch.cameras,
            vectors,
            (proxies.clusters, proxies.cameras),
            temperature=config.camera_temperature,
            negatives=config.camera_negatives,
        )

    total = of(out.embedding, proxies.vectors[0])
    if config.parts:
        each = [of(out.parts[:, n], proxies.vectors[1 + n]) for n in range(config.parts)]
        total = total + torch.stack(each).mean()
    return config.camera_weight * total
