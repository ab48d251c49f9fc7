"""DBSCAN on a sparse matrix of distances: a graph of core points and its connected components."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from reidgen.errors import DataError

NOISE = -1


def dbscan(distances: sparse.csr_array, *, eps: float, min_samples: int = 4) -> np.ndarray:
    """Density-based clusters (Ester et al. 1996), with the very labels of scikit-learn's DBSCAN.

    A point with `min_samples` points within `eps`, itself included, is a core point; core points within `eps` of each
    other are of one cluster; another point within `eps` of a core point joins that one's cluster. Clusters are numbered
    by their first core point, and a point between several joins the first of them.

    Args:
        distances: (N, N), symmetric; what is not stored is farther than `eps`, the diagonal need not be stored.
        eps: Radius, included.
        min_samples: Points that make a core point.

    Returns:
        int64 (N,), clusters from 0, -1 for points of none.

    Raises:
        DataError: The matrix is not square or not symmetric within `eps`, a distance is NaN or negative, or an option
            is out of range.

    >>> points = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 9.0])
    >>> gaps = sparse.csr_array(np.abs(points[:, None] - points[None]))
    >>> dbscan(gaps, eps=0.15, min_samples=2).tolist()
    [0, 0, 0, 1, 1, -1]
    """
    near = _within(distances, eps)
    if min_samples < 1:
        raise DataError("min_samples must be positive.", got=min_samples, allowed=">= 1")
    others = np.diff(near.indptr)
    cores = np.flatnonzero(others + 1 >= min_samples)  # a point is within any radius of itself
    labels = np.full(near.shape[0], NOISE, dtype=np.int64)
    if not len(cores):
        return labels
    to_cores = near[:, cores].tocsr()
    _, found = connected_components(to_cores[cores], directed=False)
    _, first, found = np.unique(found, return_index=True, return_inverse=True)
    labels[cores] = np.argsort(np.argsort(first))[found]  # by first core point, as a scan from the first row meets them
    borders = np.setdiff1d(np.flatnonzero(np.diff(to_cores.indptr)), cores)
    reached = to_cores[borders]
    if len(borders):
        labels[borders] = np.minimum.reduceat(labels[cores][reached.indices], reached.indptr[:-1])
    return labels


def _within(distances: sparse.csr_array, eps: float) -> sparse.csr_array:
    """Ones (N, N) where two different points are within eps of each other."""
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise DataError("The distances are not a square matrix.", got=distances.shape, allowed="(N, N)")
    if not 0 < eps < np.inf:
        raise DataError("eps must be a positive number.", got=eps, allowed="> 0; 0.5 or 0.6 for Jaccard distances")
    if distances.nnz and not distances.data.min() >= 0:
        raise DataError("A distance is negative or not a number.", allowed="numbers of 0 or more")
    rows = np.repeat(np.arange(distances.shape[0]), np.diff(distances.indptr))
    kept = (distances.data <= eps) & (rows != distances.indices)
    places = (rows[kept], distances.indices[kept])
    near = sparse.csr_array((np.ones(len(places[0]), np.int8), places), shape=distances.shape)
    back = near.T.tocsr()
    if not (np.array_equal(near.indptr, back.indptr) and np.array_equal(near.indices, back.indices)):
        raise DataError("The distances are not symmetric.", allowed="d(a, b) = d(b, a), both stored or neither")
    return near
