"""Batches of P people with K crops each, for losses that compare crops with each other."""

import functools
from dataclasses import dataclass

import numpy as np

from reidgen.data.samplers.epoch import epoch_order
from reidgen.errors import DataError, option

PEOPLE_STREAM, CROPS_STREAM = 2, 3  # so that the draws differ from those of other samplers with the same seed


@dataclass(frozen=True, eq=False)
class PeopleSampler:
    """P people a step and K crops of each (Hermans et al. 2017, section 2), as a function of seed and step.

    People come in rounds: each has its turn once a round, in a new random order each round, whatever the number of its
    crops; the last few who do not fill a batch are left out, others in each round, so that no batch shows a person
    twice. A person's K crops are drawn anew each time, without replacement where the person has as many, and else each
    crop once before any comes twice. An epoch has as many steps as one of `EpochSampler`.

    Attributes:
        labels: int64 (count,), the person of each crop.
        people: P.
        crops: K.
        seed: Seed of the draws.
    """

    labels: np.ndarray
    people: int
    crops: int
    seed: int = 0

    def __post_init__(self) -> None:
        there = len(np.unique(self.labels))
        if there < self.people:
            raise DataError(
                "The table has too few people for one batch.",
                got=f"{there} people, batches of {self.people} people x {self.crops} crops",
                allowed=f"at least {self.people} people",
                fix=option(batch=max(there, 1) * self.crops),
            )

    @functools.cached_property
    def _rows(self) -> list[np.ndarray]:
        """Row numbers of each person's crops."""
        order = np.argsort(self.labels, kind="stable")
        _, starts = np.unique(self.labels[order], return_index=True)
        return np.split(order, starts[1:])

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which as many crops are shown as the table has, at least one."""
        return max(1, len(self.labels) // (self.people * self.crops))

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that a step, from 0, belongs to."""
        return step // self.steps_per_epoch

    def indices(self, step: int) -> np.ndarray:
        """Row numbers of the batch of a step, from 0, person after person: int64 (P * K,). Any step, in any order."""
        per_round = len(self._rows) // self.people
        order = epoch_order(len(self._rows), self.seed, step // per_round, PEOPLE_STREAM)
        start = step % per_round * self.people
        rng = np.random.default_rng((self.seed, step, CROPS_STREAM))
        return np.concatenate([self._drawn(rng, who) for who in order[start : start + self.people]])

    def _drawn(self, rng: np.random.Generator, who: int) -> np.ndarray:
        rows = self._rows[who]
        rounds = -(-self.crops // len(rows))
        return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[: self.crops]
