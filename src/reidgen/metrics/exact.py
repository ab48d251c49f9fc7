"""Distances that decide something, free of how a matrix product rounds.

Two features that are each other's nearest neighbours are equally far from each other. A product of blocks rounds the
two distances apart, differently on each processor, and whatever is cut between them (a radius, a k-th neighbour, a
median) falls to one side here and to the other there. So a product only finds the pairs that may decide; these are
computed anew from their differences, in float64 and in one order: the same bits whichever comes first, in any block.
"""

import numpy as np
import torch
from torch import Tensor

ROUNDING = 1e-5  # of the largest squared length: what squared distances from float32 products may be wrong by
TERMS = 2**18  # differences computed at once: what stays in a processor's cache


def margin_of(*features: Tensor) -> float:
    """What squared distances between rows of these features, from float32 products, may be wrong by."""
    return ROUNDING * max((float(part.square().sum(dim=1).max()) for part in features if len(part)), default=0.0)


def exact_squares(a: Tensor, b: Tensor, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float64 (P,): squared distances of the pairs a[rows], b[columns]; exchanging the two changes no bit."""
    out = np.empty(len(rows))
    block = max(1, TERMS // max(1, a.shape[1]))
    for first in range(0, len(rows), block):
        part = slice(first, first + block)
        one, other = a[torch.from_numpy(rows[part])], b[torch.from_numpy(columns[part])]
        # numpy adds a row up in one order on every processor
        out[part] = np.square(one.double().numpy() - other.double().numpy()).sum(axis=1)
    return out


def exact_smallest(a: Tensor, b: Tensor, squares: Tensor, count: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of `b` are nearest to each of `a`, int64 (N, count), and their squared distances, float64, ascending.

    Of equal distances the smaller row comes first.

    Args:
        a: float32 (N, D).
        b: float32 (M, D).
        squares: float32 (N, M), squared distances from a product; infinite for pairs that do not count.
        count: 1 to as many as are finite in each row.
        margin: See `margin_of`.
    """
    bound = torch.from_numpy(np.partition(squares.numpy(), count - 1, axis=1)[:, count - 1 : count])
    rows, columns = np.nonzero((squares <= bound + 2 * margin).numpy())
    exact = exact_squares(a, b, rows, columns)
    kept = first_of_rows(rows, exact, columns, count=count, length=len(a))
    return columns[kept], exact[kept]


def first_of_rows(rows: np.ndarray, values: np.ndarray, names: np.ndarray, *, count: int, length: int) -> np.ndarray:
    """Places int64 (length, count) of each row's smallest values, ascending; of equal ones the smaller name first."""
    order = np.lexsort((names, values, rows))
    starts = np.searchsorted(rows[order], np.arange(length))
    return order[starts[:, None] + np.arange(count)]
