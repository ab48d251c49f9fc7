"""How far crops are from each other's neighbours, with and without a crop or a person in the set.

A real crop that is scored must not find itself among the real ones, and what it adds to their neighbourhoods must go
too: only then its score is like that of a new crop. One more neighbour than is asked for makes that exact.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidgen.metrics.distance import distance_to

BLOCK = 256  # crops against all others at a time: bounds the memory
NOBODY = -1  # a group that is in no set


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """For each of M features the groups that are nearest to it, its own left out.

    A group is a person, whose nearest crop counts, or a single crop.

    Attributes:
        features: float32 (M, D).
        groups: int64 (M,), group of each.
        near: float32 (M, k + 1), distances to the nearest k + 1 other groups, ascending.
        near_groups: int64 (M, k + 1), these groups.
    """

    features: Tensor
    groups: Tensor
    near: Tensor
    near_groups: Tensor

    @classmethod
    def of(cls, features: Tensor, groups: Tensor, neighbours: int) -> "Neighbourhoods":
        """The neighbourhoods of features (M, D) of groups (M,), which must be neighbours + 2 or more."""
        order = torch.argsort(groups, stable=True)
        known, starts = np.unique(groups[order].numpy(), return_index=True)
        assert len(known) > neighbours + 1, "the caller tells the user"
        measure, columns = distance_to(features[order], "euclid"), torch.from_numpy(known)
        near, near_groups = [], []
        for first in range(0, len(features), BLOCK):
            part = slice(first, first + BLOCK)
            nearest = torch.from_numpy(np.minimum.reduceat(measure(features[part]).numpy(), starts, axis=1))
            nearest[columns[None] == groups[part, None]] = torch.inf
            distances, places = nearest.topk(neighbours + 1, dim=1, largest=False)
            near.append(distances)
            near_groups.append(columns[places])
        return cls(features, groups, torch.cat(near), torch.cat(near_groups))

    def radii_without(self, groups: Tensor) -> Tensor:
        """Distances to the k-th nearest other group, if each of some groups were not in the set: float32 (B, M)."""
        missing = torch.zeros(len(groups), len(self.near), dtype=torch.bool)
        for column in range(self.near.shape[1] - 1):
            missing |= self.near_groups[None, :, column] == groups[:, None]
        return torch.where(missing, self.near[None, :, -1], self.near[None, :, -2])


def exact(a: Tensor, b: Tensor) -> np.ndarray:
    """float64 (N,): distance of each row of `a` from that of `b`; a matrix product cannot tell a copy from a twin."""
    return torch.linalg.vector_norm(a.double() - b.double(), dim=1).numpy()
