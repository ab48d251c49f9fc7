"""k-reciprocal vectors: each feature as a few weights on the features that are its neighbours both ways.

Zhong et al. 2017, *Re-ranking Person Re-identification with k-reciprocal Encoding*, sections 3.2 to 3.4. A vector has
tens of non-zeros, so all of them are one sparse matrix, and the sets are found by products of sparse matrices.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from torch import Tensor

from reidgen.errors import DataError
from reidgen.metrics.neighbours import Neighbours, pair_squares

SUMS_BYTES = 2**22  # of sums of minima held at once: they are added to in no order, so they should stay in the cache
TERMS = 2**16  # minima computed at once


def check_neighbour_counts(k1: int, k2: int) -> None:
    """Raise `DataError` unless both are 1 or more."""
    if k1 < 1 or k2 < 1:
        raise DataError("k1 and k2 must be positive.", got=f"k1 {k1}, k2 {k2}", allowed="1 or more each")


def half_of(k1: int) -> int:
    """round(k1 / 2), the neighbours in the lists of the smaller sets; a half goes to the even number."""
    return round(k1 / 2)


def reciprocal_vectors(
    features: Tensor, neighbours: Neighbours, *, size: int, half: int, k2: int, scale: np.ndarray | None = None
) -> sparse.csr_array:
    """V of each feature (equations 3 to 5 and 10): exp(-distance) on its expanded reciprocal set, of sum 1, averaged
    over its k2 nearest neighbours.

    Args:
        features: float32 (N, D), those that the neighbours are of.
        neighbours: At least as many as the largest of `size`, `half` and `k2`.
        size: Length of the lists that two neighbours have to be in each other's, itself included.
        half: Length of the lists of the sets that are added, itself included.
        k2: Features whose vectors are averaged, itself included; 1 averages nothing.
        scale: float32 (N,), what the squared distances of each feature are divided by; None leaves them.

    Returns:
        float32 (N, N) of a few per cent of non-zeros or less, whose rows sum to 1; columns ascend.
    """
    sets = expanded_sets(neighbours.indices, size=size, half=half)
    squares = _squares_of(sets, features, neighbours)
    lengths = np.diff(sets.indptr)
    if scale is not None:
        squares /= np.repeat(scale, lengths)
    weights = np.exp(-squares)
    weights /= np.repeat(np.add.reduceat(weights, sets.indptr[:-1]), lengths)  # no set is empty: each holds its owner
    vectors = sparse.csr_array((weights, sets.indices, sets.indptr), shape=sets.shape)
    if k2 == 1:
        return vectors
    averaged = _lists(neighbours.indices[:, :k2]) @ vectors
    averaged.data /= np.float32(k2)
    averaged.sort_indices()  # so that sums over two vectors run in one order, whichever comes first
    return averaged


def expanded_sets(indices: np.ndarray, *, size: int, half: int) -> sparse.csr_array:
    """R* of each feature p: its reciprocal set R(p), with the smaller set R'(c) of each c in it of which more than two
    thirds are in R(p): equation 3, which adds at two thirds themselves too; the authors' published code does not.

    Args:
        indices: int64 (N, k), neighbours of each, itself first.
        size: How many of them R is made of.
        half: How many of them R' is made of.

    Returns:
        float32 (N, N), positive where the column is in the row's set; columns ascend.
    """
    sets, smaller = _reciprocal(indices[:, :size]), _reciprocal(indices[:, :half])
    shared = (sets @ smaller.T).multiply(sets).tocsr()
    few = 3 * shared.data <= 2 * np.diff(smaller.indptr)[shared.indices]  # in whole numbers, which float32 holds
    shared.data[few] = 0
    shared.eliminate_zeros()
    whole = (sets + shared @ smaller).tocsr()
    whole.sort_indices()
    return whole


def _reciprocal(indices: np.ndarray) -> sparse.csr_array:
    """R(p) = {c in p's list: p is in c's list} (equation 2), as ones."""
    lists = _lists(indices)
    return lists.multiply(lists.T).tocsr()


def _lists(indices: np.ndarray) -> sparse.csr_array:
    count, size = indices.shape
    starts = np.arange(0, count * size + 1, size)
    return sparse.csr_array((np.ones(indices.size, np.float32), indices.reshape(-1), starts), shape=(count, count))


def _squares_of(sets: sparse.csr_array, features: Tensor, neighbours: Neighbours) -> np.ndarray:
    """Squared distances float32 of each row to the features in its set: known ones from the lists, the rest anew."""
    count = len(neighbours.indices)
    rows = np.repeat(np.arange(count), np.diff(sets.indptr))
    wanted = rows * count + sets.indices
    known = (np.arange(count)[:, None] * count + neighbours.indices).reshape(-1)
    places = np.searchsorted(wanted, known)
    places[places == len(wanted)] = 0
    hit = wanted[places] == known
    squares = np.full(len(wanted), np.nan, np.float32)
    squares[places[hit]] = neighbours.squares.reshape(-1)[hit]
    missing = np.flatnonzero(np.isnan(squares))
    squares[missing] = pair_squares(features, rows[missing], sets.indices[missing].astype(np.int64))
    return squares


def sums_of_minima(vectors: sparse.csr_array, others: sparse.csc_array) -> Iterator[tuple[slice, np.ndarray]]:
    """Sum over l of min(a_l, b_l) of each vector a with each other b, as rows and their float64 (B, M), in blocks.

    Only what both have is visited: for each non-zero of a row, the non-zeros of that column (equation 9's numerator).
    The sum of a pair does not depend on which of the two comes first, to the last bit.

    Args:
        vectors: (N, L), non-negative, columns ascending.
        others: (M, L), non-negative.
    """
    starts, ends = (others.indptr[vectors.indices + one].astype(np.int64) for one in (0, 1))
    for rows, sums in _summed(vectors, others, starts, ends - starts):
        yield rows, sums.reshape(-1, others.shape[0])


def sums_with_later(vectors: sparse.csr_array) -> Iterator[tuple[slice, np.ndarray]]:
    """The same of vectors with those that come after them, each pair once: rows and float64 (B, N - rows.start).

    The first column is that of the first row. A pair of which the first does not come before the second has 0.
    """
    places = sparse.csr_array((np.arange(vectors.nnz), vectors.indices, vectors.indptr), shape=vectors.shape).tocsc()
    starts = np.empty(vectors.nnz, np.int64)
    starts[places.data] = np.arange(1, vectors.nnz + 1)  # in its column, what follows a non-zero is of later rows
    counts = places.indptr[vectors.indices + 1] - starts
    columns = sparse.csc_array((vectors.data[places.data], places.indices, places.indptr), shape=vectors.shape)
    for rows, sums in _summed(vectors, columns, starts, counts, later=True):
        yield rows, sums.reshape(rows.stop - rows.start, -1)


def _summed(
    vectors: sparse.csr_array, others: sparse.csc_array, starts: np.ndarray, counts: np.ndarray, *, later: bool = False
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and their sums with others, in blocks; of each non-zero with `counts` of its column from `starts` on.

    With `later` no sum is with others before the first of the rows, and none is held.
    """
    ends = np.concatenate([[0], np.cumsum(counts)])[vectors.indptr]
    # Numbers of the width that numpy's index and bincount work with: converted once, not block by block.
    weights = vectors.data.astype(np.float64)
    columns = (others.data.astype(np.float64), others.indices.astype(np.int64))
    first = 0
    while first < vectors.shape[0]:
        before = first if later else 0
        width = others.shape[0] - before
        reach = int(np.searchsorted(ends, ends[first] + TERMS, "right")) - 1
        most = first + max(1, SUMS_BYTES // (8 * max(1, width)))
        last = min(max(reach, first + 1), most, vectors.shape[0])
        part = slice(vectors.indptr[first], vectors.indptr[last])
        rows = np.repeat(np.arange(last - first) * width - before, np.diff(vectors.indptr[first : last + 1]))
        sums = _minima(weights[part], starts[part], counts[part], rows, columns)
        yield slice(first, last), np.bincount(*sums, minlength=(last - first) * width)
        first = last


def _minima(
    weights: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    rows: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """For each weight its minimum with each of `counts` numbers of a column, and where that is to be added.

    A column is a run in `columns` (numbers, rows of the matrix) that begins at `starts`.
    """
    ends = np.cumsum(counts)
    places = np.repeat(starts - (ends - counts), counts)
    places += np.arange(len(places))
    minima, keys = columns[0].take(places), columns[1].take(places)
    np.minimum(minima, np.repeat(weights, counts), out=minima)
    keys += np.repeat(rows, counts)
    return keys, minima
