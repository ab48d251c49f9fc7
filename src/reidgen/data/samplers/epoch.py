"""The order in which a training sees the crops: a function of seed and step, so that resuming needs the step alone."""

import functools
from dataclasses import dataclass

import numpy as np

from reidgen.errors import DataError, option


@dataclass(frozen=True)
class EpochSampler:
    """Every crop once an epoch, in a new random order each epoch, in batches of one size.

    An epoch has count // batch steps. The count % batch crops at the end of its order are left out, others in each
    epoch, so that no step has a batch of another size (batch normalisation and step counts depend on it).

    Attributes:
        count: Crops of the table.
        batch: Crops a step.
        seed: Seed of the orders.
        stream: Number of the order where one training has several, so that they differ.
    """

    count: int
    batch: int
    seed: int = 0
    stream: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1 or self.count < self.batch:
            raise DataError(
                "The table has too few crops for one batch.",
                got=f"{self.count} crops, batch {self.batch}",
                allowed="at least one batch",
                fix=option(batch=max(self.count, 1)) if self.count else "a table with crops",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.count // self.batch

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that a step, from 0, belongs to."""
        return step // self.steps_per_epoch

    def indices(self, step: int) -> np.ndarray:
        """Row numbers of the batch of a step, from 0: int64 (batch,). Any step can be asked for in any order."""
        order = epoch_order(self.count, self.seed, self.epoch_of(step), self.stream)
        start = step % self.steps_per_epoch * self.batch
        return order[start : start + self.batch].copy()


@functools.lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int, stream: int = 0) -> np.ndarray:
    """The random order of `count` crops in an epoch: int64 (count,), read-only, the same for the same four numbers."""
    order = np.random.default_rng((seed, epoch, stream) if stream else (seed, epoch)).permutation(count)
    order.flags.writeable = False
    return order
