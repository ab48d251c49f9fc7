"""The part of a re-ID training's config that says how long and with which steps it learns."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Part, check_counts, check_not_negative, check_positive, check_shares

Optimizer = Literal["sgd", "adam", "amsgrad"]


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Part):
    """Length, optimiser, and how its learning rate goes over the training.

    Attributes:
        epochs: Length in epochs of the table. Ignored when steps is given.
        steps: Length in optimisation steps; hold it fixed when tables of different sizes are compared.
        optimizer: "sgd" has Nesterov momentum; "amsgrad" is a variant of "adam".
        lr: Learning rate of the head; the backbone learns at backbone_lr times it.
        backbone_lr: Factor of the backbone's learning rate.
        weight_decay: Of all weights.
        schedule: "step" divides the learning rate by ten at each of decay_at, "cosine" takes it to 0 over the training.
        decay_at: Shares of the training.
        warmup: Share of the training in which the learning rate grows.
        warmup_from: Where it grows from, as a share of lr.
        frozen: Share of the training in which only the head learns (torchreid's fixbase); the losses have to reach it.
    """

    epochs: int = 60
    steps: int | None = None
    optimizer: Optimizer = "sgd"
    lr: float = 0.05
    backbone_lr: float = 0.1
    weight_decay: float = 5e-4
    schedule: Literal["step", "cosine"] = "step"
    decay_at: tuple[float, ...] = (2 / 3,)
    warmup: float = 0.0
    warmup_from: float = 0.1
    frozen: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "epochs", "steps")
        check_positive(self, "lr")
        check_not_negative(self, "backbone_lr", "weight_decay")
        check_shares(self, "warmup", "warmup_from", "frozen", "decay_at")
