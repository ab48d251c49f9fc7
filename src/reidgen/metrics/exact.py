"""Distances that decide something, free of how a matrix product rounds.

Two features that are each other's nearest neighbours are equally far from each other. A product of blocks rounds the
two distances apart, differently on each processor, and whatever is cut between them (a radius, a k-th neighbour, a
median) falls to one side here and to the other there. So a product only finds the pairs that may decide; these are
computed anew from their differences, in float64 and in one order: the same bits whichever comes first, in any block.

Where features are nearly equal, as a collapsed generator's are, that would be all pairs. A product in float64, about
their mean, first decides what it can, and of equal features one pair stands for all.
"""

import numpy as np
import torch
from torch import Tensor

ROUNDING = 1e-5  # of the largest squared length: what squared distances from float32 products may be wrong by
TERMS, DEVICE_TERMS = 2**15, 2**26  # differences computed at once: on a CPU what stays in its cache
SHARE = 16  # pairs a row and column, and a row and neighbour, that are many: a product of all is quicker from there on
GROUP = 64  # columns whose smallest number stands for them
ROWS = 1024


def margin_of(*features: Tensor) -> float:
    """What squared distances between rows of these features, from float32 products, may be wrong by."""
    longest = [part.square().sum(dim=1).max() for rows in features for part in rows.split(ROWS) if len(rows)]
    return ROUNDING * float(torch.stack(longest).max()) if longest else 0.0


def exact_squares(a: Tensor, b: Tensor, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float64 (P,): squared distances of the pairs a[rows], b[columns]; exchanging the two changes no bit."""
    if not are_many(rows, columns):
        return _squares_of_pairs(a, b, rows, columns)
    kinds, other_kinds = _first_equal(a, rows), _first_equal(b, columns)
    pairs, places = np.unique(kinds[rows] * len(b) + other_kinds[columns], return_inverse=True)
    return _squares_of_pairs(a, b, *np.divmod(pairs, len(b)))[places]


def _first_equal(features: Tensor, rows: np.ndarray) -> np.ndarray:
    """int64 (N,): for each of some rows of features (N, D) the first of them that has the same bits."""
    first: dict[bytes, int] = {}
    kinds, known = np.zeros(len(features), np.int64), np.unique(rows)
    for row, values in zip(known.tolist(), features[torch.from_numpy(known)].cpu().numpy(), strict=True):
        kinds[row] = first.setdefault(values.tobytes(), row)
    return kinds


def are_many(rows: np.ndarray, columns: np.ndarray) -> bool:
    """Whether pairs are a large share of the block that their rows and columns span."""
    high, wide = (np.count_nonzero(np.bincount(places)) for places in (rows, columns))
    return bool(SHARE * len(rows) >= high * wide and len(rows) > SHARE * (high + wide))


def sharper_squares(a: Tensor, b: Tensor, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, float]:
    """float64 (P,): squared distances of many pairs by a float64 product, and what they may differ from exact ones by.

    A sum of D products is wrong by at most (D + 2) u of the product of the lengths, u = 2**-53 (Higham 2002, equation
    3.5). That is two lengths, twice a product, and as much for the exact distance, whose length is up to twice theirs.
    """
    (high, places), (wide, others) = (np.unique(x, return_inverse=True) for x in (rows, columns))
    one, other = (x[torch.from_numpy(y).to(x.device)].double() for x, y in ((a, high), (b, wide)))
    center = other.mean(dim=0)
    one, other = one - center, other - center
    lengths, other_lengths = (x.square().sum(dim=1) for x in (one, other))
    products = torch.addmm(other_lengths[None], one, other.T, alpha=-2).add_(lengths[:, None])
    longest = float(torch.maximum(lengths.max(), other_lengths.max()))
    return products.cpu().numpy()[places, others], 8 * (a.shape[1] + 16) * 2.0**-53 * longest


def _squares_of_pairs(a: Tensor, b: Tensor, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
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
    rows, columns = _narrowed(a, b, *candidates(squares, count, margin), count)
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
    rows, columns = _narrowed(a, b, *candidates(squares, count, margin), count)
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


def _narrowed(a: Tensor, b: Tensor, rows: np.ndarray, columns: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of candidates, `count` or more a row and by rows, those that may still be among the `count` smallest."""
    if len(rows) < SHARE * count * len(a) or not are_many(rows, columns):
        return rows, columns
    values, margin = sharper_squares(a, b, rows, columns)
    order = np.lexsort((values, rows))
    starts = np.searchsorted(rows, np.arange(len(a)))
    kept = values <= values[order[starts + count - 1]][rows] + 2 * margin
    return rows[kept], columns[kept]


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
