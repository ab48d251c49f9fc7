"""Batches with so many real and so many generated crops."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from reidgen.data.samplers.epoch import EpochSampler
from reidgen.errors import DataError, option


@dataclass(frozen=True, eq=False)
class MixedSampler:
    """So many real and so many generated crops in every batch, each kind in random orders of its own.

    An epoch is once through the real crops (those left over as in `EpochSampler`), whatever the number of generated
    ones; these go on through epochs of their own. So tables that differ in their generated crops alone have the same
    steps per epoch and show each real crop equally often.

    Attributes:
        generated: bool (count,), which crops are generated.
        parts: Real and generated crops a step.
        seed: Seed of the orders.
    """

    generated: np.ndarray
    parts: tuple[int, int]
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (int((~self.generated).sum()), int(self.generated.sum()))
        if any(count < part for count, part in zip(counts, self.parts, strict=True)):
            raise DataError(
                "The table has too few crops for one batch of real and generated ones.",
                got=f"{counts[0]} real and {counts[1]} generated crops",
                allowed=f"at least {self.parts[0]} real and {self.parts[1]} generated ones, as in each batch",
                fix=f"a smaller {option('batch')}, another {option('generated_ratio')} or none, "
                "or a table with more crops",
            )

    @functools.cached_property
    def _kinds(self) -> list[tuple[np.ndarray, EpochSampler]]:
        rows = (np.flatnonzero(~self.generated), np.flatnonzero(self.generated))
        return [
            (rows[kind], EpochSampler(len(rows[kind]), self.parts[kind], self.seed, stream=kind)) for kind in (0, 1)
        ]

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch: those of the real crops."""
        return self._kinds[0][1].steps_per_epoch

    def epoch_of(self, step: int) -> int:
        """The epoch of the real crops, from 0, that a step, from 0, belongs to."""
        return step // self.steps_per_epoch

    def indices(self, step: int) -> np.ndarray:
        """Row numbers of the batch of a step: int64 (batch,). Any step can be asked for in any order.

        The kinds lie in the batch by turns, for parts 24 and 8 three real ones, then a generated one, and so on, so
        that a part of the batch is mixed too (for normalisation and accumulation by parts).
        """
        turns = math.gcd(*self.parts)
        kinds = [rows[sampler.indices(step)].reshape(turns, -1) for rows, sampler in self._kinds]
        return np.concatenate(kinds, axis=1).reshape(-1)
