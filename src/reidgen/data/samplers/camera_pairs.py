"""Batches of pairs of crops by two cameras, for translators between them."""

from dataclasses import dataclass

import numpy as np

from reidgen.data.pairs import CameraPair, camera_pair
from reidgen.data.samplers.epoch import EpochSampler
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, option


@dataclass(frozen=True, eq=False)
class CameraPairSampler:
    """Pairs of a source and a target crop, every pair once an epoch.

    Attributes:
        pairs: Same person and sequence; or None: each source crop with `targets`.
        sources: Rows of the source (S,), for `targets`.
        targets: Rows of target crops that each source crop is paired with, (S, K).
        batch: Pairs a step.
        seed: Of the order.
    """

    pairs: CameraPair | None
    sources: np.ndarray
    targets: np.ndarray
    batch: int
    seed: int

    @classmethod
    def of_people(cls, table: ReidTable, source: int, target: int, *, batch: int, seed: int = 0) -> "CameraPairSampler":
        """Every crop of a person by the source with every crop of that person, in the same sequence, by the target.

        Raises:
            DataError: There are fewer pairs than a batch.
        """
        pairs = camera_pair(table, source, target)
        if len(pairs) < batch:
            raise DataError(
                f"Cameras {source} and {target} have too few pairs of one person in one sequence.",
                got=f"{len(pairs)} pairs, batch {batch}",
                allowed="at least one batch",
                fix=option(batch=len(pairs))
                if len(pairs)
                else f"other cameras (reidgen pairs), or {option(preset='background')}",
            )
        return cls(pairs, np.zeros(0, np.int64), np.zeros((0, 0), np.int64), batch, seed)

    @classmethod
    def of_anybody(
        cls, table: ReidTable, source: int, target: int, *, each: int, batch: int, seed: int = 0
    ) -> "CameraPairSampler":
        """Each crop by the source with `each` crops by the target, drawn by the seed, whoever is on them."""
        sources, targets = (np.flatnonzero(table.camids == camera) for camera in (source, target))
        rng = np.random.default_rng((seed, len(sources), len(targets)))
        chosen = np.stack([rng.choice(targets, min(each, len(targets)), replace=False) for _ in sources])
        return cls(None, sources, chosen, batch, seed)

    def __len__(self) -> int:
        return self.targets.size if self.pairs is None else len(self.pairs)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self) // self.batch

    def indices(self, step: int) -> np.ndarray:
        """Rows of source and target of a step, int64 (batch, 2). Any step can be asked for in any order."""
        return self.rows(EpochSampler(len(self), self.batch, self.seed).indices(step))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Rows of source and target of the pairs with these numbers, from 0 to len - 1: int64 (N, 2)."""
        if self.pairs is not None:
            return self.pairs.rows(numbers)
        which, nth = np.divmod(numbers, self.targets.shape[1])
        return np.stack([self.sources[which], self.targets[which, nth]], axis=1)
