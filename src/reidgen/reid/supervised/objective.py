"""The loss of a training: what its config names, each with its weight, added up."""

from collections.abc import Callable

import torch
from torch import Tensor

from reidgen.config import LossesConfig
from reidgen.engine.devices.device import generator
from reidgen.errors import ConfigError, option
from reidgen.losses.reid.center import center_loss, moved_centers
from reidgen.losses.reid.circle import circle_loss
from reidgen.losses.reid.triplet import triplet_loss
from reidgen.losses.reid.weighted_triplet import weighted_triplet_loss
from reidgen.models.reid.embedder import Embedded
from reidgen.reid.supervised.labels import Labels

# Losses between the crops of a batch: of features (N, D), persons (N,) and the config. A new one is a line here.
PAIR_LOSSES: dict[str, Callable[[Tensor, Tensor, LossesConfig], Tensor]] = {
    "triplet": lambda features, people, config: triplet_loss(features, people, margin=config.margin),
    "triplet-soft": lambda features, people, config: triplet_loss(features, people, margin=None),
    "triplet-weighted": lambda features, people, config: weighted_triplet_loss(features, people),
    "circle": lambda features, people, config: circle_loss(features, people),
}
CENTER_RATE = 0.5  # Luo et al. 2019
LOSSES = ("cross-entropy", *PAIR_LOSSES, "center")


class Objective:
    """The loss of a batch, and the centers that a center loss keeps.

    Losses between crops and to centers see the feature before the neck's normalisation; generated crops take part in
    them as people like all others, unless their label policy gives them no identity or their weight is 0.

    Args:
        config: The losses.
        labels: Of all crops of the training.
        people: K, classes that have a center.
        width: D, of the feature.
        parts: That a batch is computed in.
        seed: Of the first centers.

    Attributes:
        centers: (K, D), float32; None without center loss.
    """

    def __init__(
        self, config: LossesConfig, labels: Labels, *, people: int, width: int, parts: int = 1, seed: int = 0
    ) -> None:
        check_losses(config)
        self.config, self.labels, self.parts = config, labels, parts
        self.centers: Tensor | None = None
        if "center" in config.loss_weights:
            drawn = torch.randn(people, width, generator=generator("reid", "centers", seed))
            self.centers = drawn.to(labels.people.device)

    def loss(self, out: Embedded, rows: Tensor, progress: float) -> Tensor:
        """The weighted sum of the losses of a batch.

        Args:
            out: What the network says of the batch's N crops.
            rows: int64 (N,), which crops of the training they are.
            progress: Share of the training's steps that are done.
        """
        total = out.logits.new_zeros((), dtype=torch.float32)
        for name, weight in self.config.loss_weights.items():
            total = total + weight * self._one(name, out, rows, progress)
        return total

    def _one(self, name: str, out: Embedded, rows: Tensor, progress: float) -> Tensor:
        if name == "cross-entropy":
            return self.labels.loss(out.logits, rows, progress)
        people = self.labels.compared(rows, progress)
        if name == "center":
            assert self.centers is not None
            return center_loss(out.feature, people, self.centers)
        return PAIR_LOSSES[name](out.feature, people, self.config)

    def follow(self, out: Embedded, rows: Tensor, progress: float) -> None:
        """Let the centers follow the crops of a batch, or of its part by its share; nothing without center loss.

        With a batch in `accumulate` parts that is nearly the step of the whole batch; later parts see moved centers.
        """
        if self.centers is not None:
            people, rate = self.labels.compared(rows, progress), CENTER_RATE / self.parts
            self.centers = moved_centers(out.feature.detach(), people, self.centers, rate=rate)


def check_losses(config: LossesConfig) -> None:
    """Raise `ConfigError` for a loss that there is not."""
    for name in config.loss_weights:
        if name not in LOSSES:
            raise ConfigError(
                "There is no such loss.",
                got=option(losses=(name,)),
                allowed=", ".join(LOSSES),
                fix=option(losses=("cross-entropy",)),
            )
