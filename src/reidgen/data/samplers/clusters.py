"""Batches of clusters with crops of several cameras, for labels that change from epoch to epoch."""

import functools
from dataclasses import dataclass

import numpy as np

from reidgen.data.samplers.epoch import epoch_order

CLUSTERS_STREAM, MEMBERS_STREAM = 4, 5  # so that the draws differ from those of other samplers with the same seed


@dataclass(frozen=True, eq=False)
class ClusterSampler:
    """So many clusters a step and so many crops of each, as a function of seed and step.

    Clusters come in rounds, each once a round, in a new random order each round; a batch may end one round and begin
    the next, and with fewer clusters than a batch holds it shows some of them twice. Of a cluster a first crop is
    drawn, and the others from its crops in other cameras where there are any, else from all its other crops: without
    replacement as far as they reach, then again (Ge et al. 2020, SpCL; Cho et al. and Dai et al. 2022 follow them).

    Attributes:
        labels: int64 (N,), cluster of each crop; crops below 0 are not shown.
        cameras: int64 (N,); all equal where cameras do not count.
        clusters: Of a batch.
        crops: Of a cluster in a batch.
        seed: Seed of the draws.
    """

    labels: np.ndarray
    cameras: np.ndarray
    clusters: int
    crops: int
    seed: int = 0

    @functools.cached_property
    def _members(self) -> list[np.ndarray]:
        """Row numbers of each cluster's crops."""
        order = np.argsort(self.labels, kind="stable")
        order = order[np.searchsorted(self.labels[order], 0) :]
        _, starts = np.unique(self.labels[order], return_index=True)
        return np.split(order, starts[1:])

    def indices(self, step: int) -> np.ndarray:
        """Row numbers of the batch of a step, cluster after cluster: int64 (clusters * crops,)."""
        rng = np.random.default_rng((self.seed, step, MEMBERS_STREAM))
        return np.concatenate([self._drawn(rng, self._members[who]) for who in self._turns(step)])

    def _turns(self, step: int) -> list[int]:
        count, first = len(self._members), step * self.clusters
        turns = range(first, first + self.clusters)
        return [int(epoch_order(count, self.seed, turn // count, CLUSTERS_STREAM)[turn % count]) for turn in turns]

    def _drawn(self, rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        first = rng.choice(rows)
        others = rows[self.cameras[rows] != self.cameras[first]]
        others = rows[rows != first] if not len(others) else others
        others = rows if not len(others) else others
        rounds = -(-(self.crops - 1) // len(others))
        more = [rng.permutation(others) for _ in range(rounds)]
        return np.concatenate([[first], *more])[: self.crops].astype(np.int64)
