"""What a training tells its classifier of each crop: labels and weights on the device, and the loss they make."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reidgen.config import GeneratedConfig, ReidConfig
from reidgen.losses.reid.cross_entropy import cross_entropy
from reidgen.losses.reid.soft_labels import soft_cross_entropy, soft_targets
from reidgen.reid.supervised.groups import Groups
from reidgen.reid.supervised.people import People


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of all crops of a training, in table order, on its device.

    Attributes:
        people: int64 (N,), class of each crop; -1 for generated ones without identity.
        generated: bool (N,), which crops are generated.
        groups: The groups of policy "slsr".
        plain: Whether the loss is the cross entropy of all crops alike.
        config: The training.
    """

    people: Tensor
    generated: Tensor
    groups: Groups | None
    plain: bool
    config: ReidConfig

    @classmethod
    def of(cls, people: People, config: ReidConfig, device: torch.device, groups: Groups | None = None) -> "Labels":
        """The labels of a training's crops."""
        alike = config.generated_label in ("table", "new", "same") and config.generated_weight == 1
        plain = not people.generated.any() or (alike and config.generated_from == 0)
        known = (torch.from_numpy(people.labels).to(device), torch.from_numpy(people.generated).to(device))
        moved = None if groups is None else Groups(groups.crops.to(device), groups.shares.to(device))
        return cls(*known, moved, plain, config)

    def loss(self, logits: Tensor, rows: Tensor, progress: float) -> Tensor:
        """Mean loss of a batch: of real crops at weight 1, of generated ones as the config has it.

        Args:
            logits: (N, C), scores of the batch.
            rows: int64 (N,), its crops.
            progress: Share of the training's steps that are done.
        """
        if self.plain:
            return cross_entropy(logits, self.people[rows], smoothing=self.config.label_smoothing)
        generated = self.generated[rows]
        targets = soft_targets(
            self.config.generated_label,
            logits,
            self.people[rows],
            generated,
            smoothing=self.config.label_smoothing,
            generated_smoothing=self.config.generated_smoothing,
            groups=None if self.groups is None else self.groups.shares[self.groups.crops[rows]],
        )
        weight = self.config.generated_weight if progress >= self.config.generated_from else 0.0
        return soft_cross_entropy(logits, targets, torch.where(generated, weight, 1.0))

    def compared(self, rows: Tensor, progress: float) -> Tensor:
        """Persons (N,) for losses that compare crops with each other: -1 for crops that take no part in them.

        These are generated crops without identity, and all generated ones while their weight is 0. With a weight they
        take part like real ones.
        """
        people = self.people[rows]
        silent = self.config.generated_weight == 0 or progress < self.config.generated_from
        return torch.where(self.generated[rows], -1, people) if silent else people


def label_facts(people: People, config: GeneratedConfig) -> dict[str, Any]:
    """How the generated crops were labelled, weighted and drawn; nothing where there are none."""
    if not people.generated.any():
        return {}
    return {
        "generated_label": config.generated_label,
        "generated_weight": config.generated_weight,
        "generated_from": config.generated_from,
        "generated_ratio": None if config.generated_ratio is None else list(config.generated_ratio),
    }
