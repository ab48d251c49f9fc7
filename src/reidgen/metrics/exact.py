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
TERMS, DEVICE_TERMS = 2**15, 2**26  # differences computed at once: on a CPU what stays in its cache
GROUP = 64  # columns whose smallest number stands for them
ROWS = 1024


def margin_of(*features: Tensor) -> float:
    """What squared distances between rows of these features, from float32 products, may be wrong by."""
    longest = [part.square().sum(dim=1).max() for rows in features for part in rows.split(ROWS) if len(rows)]
    return ROUNDING * float(torch.stack(longest).max()) if longest else 0.0


def exact_squares(a: Tensor, b: Tensor, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float64 (P,): squared distances of the pairs a[rows], b[columns]; exchanging the two changes no bit."""
    out = np.empty(len(rows))
    block = max(1, (TERMS if a.device.type == "cpu" else DEVICE_TERMS) // max(1, a.shape[1]))
    for first in range(0, len(rows), block):
        part = slice(first, first + block)
        one, other = (
            features[torch.from_numpy(places[part]).to(features.device)].double()
            for features, places in ((a, rows), (b, columns))
        )
        differences = one.sub_(other)
        if differences.device.type == "cpu":  # numpy adds a row up in one order on every processor
            out[part] = np.square(differences.numpy()).sum(axis=1)
        else:  # and a GPU in one for each shape
            whole = torch.nn.functional.pad(differences, (0, 0, 0, block - len(differences)))
            out[part] = whole.square_().sum(dim=1)[: len(differences)].cpu().numpy()
    return out


def exact_smallest(a: Tensor, b: Tensor, squares: Tensor, count: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of `b` are nearest to each of `a`, int64 (N, count), and their squared distances, float64, ascending.

    Of equal distances the smaller row comes first.

    Args:
        a: float32 (N, D).
        b: float32 (M, D).
        squares: float32 (N, M), squared distances from a product; infinite for pairs that do not count.
        count: 0 to as many as are finite in each row.
        margin: See `margin_of`.
    """
    if not count:
        return np.empty((len(a), 0), np.int64), np.empty((len(a), 0))
    rows, columns = candidates(squares, count, margin)
    exact = exact_squares(a, b, rows, columns)
    kept = first_of_rows(rows, exact, columns, count=count, length=len(a))
    return columns[kept], exact[kept]


def smallest_in_order(
    a: Tensor, b: Tensor, squares: Tensor, count: int, margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `exact_smallest`, for who is nearest and in which order; only what lies near another is computed anew.

    Numbers further apart than two margins are in their order already, and keep the product's value.
    """
    if not count:
        return np.empty((len(a), 0), np.int64), np.empty((len(a), 0))
    rows, columns = candidates(squares, count, margin)
    places = (torch.from_numpy(x).to(squares.device) for x in (rows, columns))
    values = squares[tuple(places)].cpu().numpy().astype(np.float64)
    order = np.lexsort((columns, values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    near = (np.diff(rows) == 0) & (np.diff(values) <= 2 * margin)
    unsure = np.append(near, False) | np.append(False, near)
    values[unsure] = exact_squares(a, b, rows[unsure], columns[unsure])
    kept = first_of_rows(rows, values, columns, count=count, length=len(a))
    return columns[kept], values[kept]


def candidates(squares: Tensor, count: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the numbers that may be among the `count` smallest of their row, by rows."""
    may_be = squares <= _bound(squares, count) + 2 * margin
    if squares.device.type != "cpu":
        may_be = may_be.cpu()
    rows, columns = np.divmod(np.flatnonzero(may_be.numpy()), squares.shape[1])
    return rows, columns


def _bound(distances: Tensor, count: int) -> Tensor:
    """A number for each row (B, 1) that `count` of its numbers or a few more do not exceed.

    In long rows it is the count-th smallest of the minima of groups of columns, which are a sixty-fourth of the row,
    and of the few columns that are in no group. Neighbouring columns, often crops of one person, are in different
    groups. A row whose finite numbers all lie in fewer groups is looked at whole.
    """
    groups = distances.shape[1] // GROUP
    if groups < 4 * count:
        return _smallest_but(distances, count)
    grouped, rest = distances.split([GROUP * groups, distances.shape[1] - GROUP * groups], dim=1)
    bound = _smallest_but(torch.cat([grouped.unflatten(1, (GROUP, groups)).amin(dim=1), rest], dim=1), count)
    hidden = bound[:, 0].isinf()
    if hidden.any():
        bound[hidden] = _smallest_but(distances[hidden], count)
    return bound


def _smallest_but(distances: Tensor, count: int) -> Tensor:
    """The count-th smallest number of each row, (B, 1)."""
    if distances.device.type == "cpu":
        return torch.from_numpy(np.partition(distances.numpy(), count - 1, axis=1)[:, count - 1 : count].copy())
    return distances.topk(count, dim=1, largest=False).values[:, -1:]


def first_of_rows(rows: np.ndarray, values: np.ndarray, names: np.ndarray, *, count: int, length: int) -> np.ndarray:
    """Places int64 (length, count) of each row's smallest values, ascending; of equal ones the smaller name first."""
    order = np.lexsort((names, values, rows))
    starts = np.searchsorted(rows[order], np.arange(length))
    return order[starts[:, None] + np.arange(count)]
