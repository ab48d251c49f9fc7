"""The part of a re-ID training's config that says which crops a step sees."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_counts, require
from reidgen.config.data import AugmentConfig
from reidgen.config.training import DevicesConfig, check_shared_norm
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class BatchesConfig(DevicesConfig):
    """Batches, the parts that they are computed in, and the changes to their crops.

    Attributes:
        batch: Crops a step.
        sampler: "crops" shows every crop once an epoch, "people" fills each batch with batch / crops_per_person people.
        crops_per_person: Crops of each person in a batch of sampler "people".
        norm_batch: Crops that batch normalisation takes together (ghost batches). None: all that a process holds at a
            time, which is batch / accumulate. With several devices a number is needed, so that theirs does not change
            the result.
        accumulate: Parts that a batch is computed in, one after the other: the memory of a part, and nearly the
            gradient of the whole; batch normalisation and losses between crops see a part.
        validation: "first" keeps the first crop of each person out of training, for the validation curves. "none"
            trains on all, as the published numbers of the recipes did. Of "thesis" that is not known.
        augment: Random changes to the crops.
    """

    batch: int = 32
    sampler: Literal["crops", "people"] = "crops"
    crops_per_person: int = 4
    norm_batch: int | None = None
    accumulate: int = 1
    validation: Literal["first", "none"] = "first"
    augment: AugmentConfig = AugmentConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.batch >= 2, f"{option('batch')} is too small for batch normalisation.", got=self.batch, allowed=">= 2"
        )
        check_counts(self, "crops_per_person", "accumulate", "norm_batch")
        held, rest = divmod(self.batch, self.accumulate * self.processes)
        require(
            rest == 0 and held >= 2,
            f"{option('batch')} cannot be shared out evenly, two crops or more at a time.",
            got=f"{option(batch=self.batch)} {option(accumulate=self.accumulate)} {option(devices=self.devices)}"
            + (f" {option(nodes=self.nodes)}" if self.nodes > 1 else ""),
            allowed="a multiple of accumulate times devices",
            fix=option(batch=self.fitting_batch),
        )
        check_shared_norm(self, held)
        self._check_people()

    def _check_people(self) -> None:
        """Of people in a batch, each part has to hold whole ones."""
        part, crops = self.batch // self.accumulate, self.crops_per_person
        require(
            self.sampler == "crops" or (part % crops == 0 and part >= 2 * crops),
            f"{option('batch')} cannot be filled with two people or more of {option('crops_per_person')} crops.",
            got=f"{option(batch=self.batch)} {option(accumulate=self.accumulate)} {option(crops_per_person=crops)}",
            allowed="a multiple of accumulate times crops-per-person, twice that or more",
            fix=option(batch=self.fitting_batch),
        )

    @property
    def fitting_batch(self) -> int:
        """The nearest batch that parts, devices, ghost batches, people and whatever else divides it all allow."""
        parts = self.accumulate * self.processes
        people = self.accumulate * self.crops_per_person if self.sampler == "people" else 1
        unit = math.lcm(parts * (self.norm_batch or 1), people, *self._divisors())
        fewest = -(-2 * max(parts, people) // unit)
        return max(fewest, round(self.batch / unit)) * unit

    def _divisors(self) -> Iterator[int]:
        """What else has to divide a batch; a part of its own may add to it."""
        yield 1
