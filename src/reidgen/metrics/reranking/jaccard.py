"""The Jaccard distance between k-reciprocal vectors, sparse: what clustering of unlabelled crops runs on."""

from typing import Any

import numpy as np
from scipy import sparse

from reidgen.errors import DataError
from reidgen.metrics.neighbours import Metric, Neighbours, checked_features, nearest_neighbours
from reidgen.metrics.reranking.reciprocal import check_neighbour_counts, half_of, reciprocal_vectors, sums_with_later

MARGIN = 1e-5  # of a sum of minima, above what float32 can be wrong by


def jaccard_distance(
    features: Any,
    k1: int = 30,
    k2: int = 6,
    *,
    metric: Metric = "cosine",
    at_most: float | None = None,
    neighbours: Neighbours | None = None,
) -> sparse.csr_array:
    """Jaccard distances of k-reciprocal vectors between all features, of the pairs that have neighbours in common.

    Zhong et al. 2017, equations 2, 3, 9 and 10, with the conventions of the field's clustering code (Ge et al. 2020,
    SpCL, and those after it): distances 2 - 2 cos, undivided, in the weights; lists of `k1` neighbours *including the
    feature itself*, of round(k1 / 2) + 1 for the sets that are added, and of `k2` for the average. (`rerank` counts
    `k1` without the feature itself, as the paper does.) Memory grows with the number of stored pairs: 8 bytes each.

    Args:
        features: (N, D), N >= k1 and k2; a numpy array, or a tensor on any device, where the neighbours are searched.
        k1: Length of the neighbour lists, itself included.
        k2: Vectors averaged, its own included; 1 averages nothing.
        metric: "cosine" brings features to length 1 first; "euclid" takes them as they are.
        at_most: Larger distances are not stored; a clustering with radius eps needs those up to eps alone. None stores
            all below 1.
        neighbours: Of the same features, brought to length 1 under "cosine", `listed` or more; None searches them.

    Returns:
        float32 (N, N), symmetric, in [0, 1), columns ascending. What is not stored is farther than `at_most`, or 1; the
        diagonal is stored, as zeros.

    Raises:
        DataError: Features are too few, not finite or without direction, or an option is out of range.
    """
    check_neighbour_counts(k1, k2)
    if at_most is not None and not 0 <= at_most < 1:
        raise DataError("at_most is out of range.", got=at_most, allowed="0 <= at_most < 1, or None")
    known = checked_features("given", features, metric)
    near = nearest_neighbours(known, listed(k1, k2)) if neighbours is None else neighbours
    vectors = reciprocal_vectors(known, near, size=k1, half=half_of(k1) + 1, k2=k2)
    return vectors_distance(vectors, at_most=at_most)


def listed(k1: int, k2: int) -> int:
    """How many neighbours of each feature, itself included, the distances are made of."""
    return max(k1, half_of(k1) + 1, k2)


def vectors_distance(vectors: sparse.csr_array, *, at_most: float | None = None) -> sparse.csr_array:
    """1 - S / (2 - S) with S = sum of min(V_i, V_j), for vectors of sum 1 (Zhong et al. 2017, equation 9).

    Args:
        vectors: (N, L) non-negative, rows of sum 1, columns ascending.
        at_most: As in `jaccard_distance`.
    """
    least = 0.0 if at_most is None else 2 * (1 - at_most) / (2 - at_most) - MARGIN
    own = np.arange(vectors.shape[0], dtype=np.int32)
    parts = [(own, own, np.zeros(len(own), np.float32))]  # to the last bit, whatever the rounding of the rows
    for rows, sums in sums_with_later(vectors):
        found = np.flatnonzero(sums.reshape(-1) > least)  # a few more than are asked for
        distances = distance_of(sums.reshape(-1)[found])
        near = distances < 1 if at_most is None else distances <= at_most
        row, column = (rows.start + place[near].astype(np.int32) for place in np.divmod(found, sums.shape[1]))
        parts += [(row, column, distances[near]), (column, row, distances[near])]
    places, others, stored = (np.concatenate(part) for part in zip(*parts, strict=True))
    distances = sparse.csr_array((stored, (places, others)), shape=(len(own),) * 2)
    distances.sort_indices()
    return distances


def distance_of(sums: np.ndarray) -> np.ndarray:
    """1 - S / (2 - S), at least 0, float32."""
    sums = sums.astype(np.float32)
    rest = 2 - sums
    np.divide(sums, rest, out=sums)
    np.subtract(1, sums, out=sums)
    return np.maximum(sums, 0, out=sums)
