"""Cross agreement: how far two views of the same crops have the same neighbours."""

import numpy as np

from reidgen.errors import DataError


def cross_agreement(lists: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Shared neighbours over all neighbours of each crop in two views: |A & B| / |A | B|.

    Cho et al. 2022 (*Part-based pseudo label refinement*), cross agreement score: A are the nearest neighbours
    of a crop by its global feature, B those by the feature of one of its parts. All rows are sorted at once and equal
    neighbours stand side by side, so there is no loop over crops.

    Args:
        lists: int64 (N, k), neighbours of each crop; none twice in a row.
        others: int64 (N, k), likewise in the other view.

    Returns:
        float32 (N,), 0 (nothing in common) to 1 (the same neighbours, in whatever order).

    Raises:
        DataError: The lists have different shapes or no column.
    """
    if lists.shape != others.shape or lists.ndim != 2 or not lists.shape[1]:
        raise DataError("The lists of neighbours do not fit.", got=f"{lists.shape}, {others.shape}", allowed="(N, k)")
    both = np.sort(np.concatenate([lists, others], axis=1), axis=1)
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return (shared / (both.shape[1] - shared)).astype(np.float32)
