"""How far crops are from each other's neighbours, with and without a crop or a person in the set.

A real crop that is scored must not find itself among the real ones, and what it adds to their neighbourhoods must go
too: only then its score is like that of a new crop. One more neighbour than is asked for makes that exact.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidgen.metrics.exact import exact_squares, first_of_rows, margin_of
from reidgen.metrics.neighbours import squares_to

BLOCK = 256  # crops against all others at a time: bounds the memory
NOBODY = -1  # a group that is in no set


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """For each of M features the groups that are nearest to it, its own left out.

    A group is a person, whose nearest crop counts, or a single crop.

    Attributes:
        features: float32 (M, D), in the order of their groups.
        groups: int64 (M,), group of each.
        near: float64 (M, k + 1), distances to the nearest k + 1 other groups, ascending; of equal ones the smaller
            group first. Crops that are each other's neighbours have the very same.
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
        features, groups = features[order], groups[order]
        known, starts = np.unique(groups.numpy(), return_index=True)
        assert len(known) > neighbours + 1, "the caller tells the user"
        squares_of, margin = squares_to(features), margin_of(features)
        parts = []
        for first in range(0, len(features), BLOCK):
            part = slice(first, first + BLOCK)
            squares = squares_of(features[part])
            squares[groups[part, None] == groups[None]] = torch.inf
            nearest = np.minimum.reduceat(squares.numpy(), starts, axis=1)
            bound = torch.from_numpy(np.partition(nearest, neighbours, axis=1)[:, neighbours, None])
            rows, columns = np.nonzero((squares <= bound + 2 * margin).numpy())
            found = exact_squares(features[part], features, rows, columns)
            parts.append(_nearest_groups(rows, groups.numpy()[columns], found, neighbours + 1, len(squares)))
        near, near_groups = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
        return cls(features, groups, near, near_groups)

    def radii_without(self, groups: Tensor) -> Tensor:
        """Distances to the k-th nearest other group, if each of some groups were not in the set: float64 (B, M)."""
        missing = torch.zeros(len(groups), len(self.near), dtype=torch.bool)
        for column in range(self.near.shape[1] - 1):
            missing |= self.near_groups[None, :, column] == groups[:, None]
        return torch.where(missing, self.near[None, :, -1], self.near[None, :, -2])


def _nearest_groups(
    rows: np.ndarray, groups: np.ndarray, squares: np.ndarray, count: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs of a row and a crop of a group: each row's distances to the nearest groups, and these groups."""
    order = np.lexsort((squares, groups, rows))
    rows, groups, squares = rows[order], groups[order], squares[order]
    first = np.flatnonzero(np.diff(rows, prepend=-1) | np.diff(groups, prepend=-1))  # a group's nearest crop
    kept = first[first_of_rows(rows[first], squares[first], groups[first], count=count, length=length)]
    return np.sqrt(squares[kept]), groups[kept]
