"""Query expansion: an embedding moved towards what lies nearest to it, and the mean of several queries."""

import numpy as np
import torch
from torch import Tensor

from reidgen.errors import DataError
from reidgen.metrics.neighbours import Metric, checked_features, nearest_neighbours, nearest_of


def expand_queries(
    query: Tensor, gallery: Tensor, *, neighbours: int = 5, alpha: float = 0.0, own: np.ndarray | None = None
) -> Tensor:
    """Each query's weighted sum with its nearest gallery embeddings, of length 1.

    q' = q + sum over the n nearest g of max(0, q.g)^alpha g, for embeddings of length 1. alpha 0 is average query
    expansion (Chum et al. 2007, *Total recall*, section 3.2), above it alpha query expansion (Radenovic et al. 2018,
    *Fine-tuning CNN image retrieval with no human annotation*, section 4.4; alpha 3).

    Args:
        query: (Q, D); brought to length 1.
        gallery: (G, D), G >= `neighbours`; likewise.
        neighbours: n.
        alpha: Power of the cosine, 0 or more. With 0 all weights are 1.
        own: int64 (Q,), the row of the gallery that is the query itself and so not its neighbour, -1 where none is.

    Returns:
        float32 (Q, D), each of length 1, or 0 where the sum is.

    Raises:
        DataError: An embedding is not finite or zero, there are too few, or of two widths, or an option is out of
            range.
    """
    query, gallery = checked_features("query", query, "cosine"), checked_features("gallery", gallery, "cosine")
    _check_alpha(alpha)
    if query.shape[1] != gallery.shape[1]:
        shapes = f"{tuple(query.shape)} and {tuple(gallery.shape)}"
        raise DataError("Query and gallery embeddings do not fit.", got=shapes, allowed="(Q, D) and (G, D)")
    indices, squares = nearest_of(query, gallery, neighbours, own=own)
    return _weighted(query, gallery, indices, squares, alpha)


def expand_gallery(gallery: Tensor, *, neighbours: int = 5, alpha: float = 0.0) -> Tensor:
    """The same for each gallery embedding among the others: database-side augmentation (Arandjelovic and Zisserman
    2012, section 4). Arguments, result and errors are those of `expand_queries`, with G > `neighbours`.
    """
    gallery = checked_features("gallery", gallery, "cosine")
    _check_alpha(alpha)
    found = nearest_neighbours(gallery, neighbours + 1)  # the first is itself
    return _weighted(gallery, gallery, found.indices[:, 1:], found.squares[:, 1:], alpha)


def pool_groups(embeddings: Tensor, groups: np.ndarray, *, metric: Metric = "cosine") -> Tensor:
    """The mean embedding of each group: several queries of a person as one.

    Args:
        embeddings: (N, D).
        groups: int64 (N,), group of each from 0 to G - 1, -1 for embeddings of none; no group may be empty.
        metric: Under "cosine" embeddings are brought to length 1 before the mean is taken.

    Returns:
        float32 (G, D).

    Raises:
        DataError: An embedding is not finite, or has no direction under "cosine"; lengths differ; a group is empty.
    """
    known = checked_features("query", embeddings, metric)
    if groups.shape != (len(known),):
        raise DataError("The groups do not fit the embeddings.", got=groups.shape, allowed=f"({len(known)},)")
    rows = np.flatnonzero(groups >= 0)
    counts = np.bincount(groups[rows])
    if not counts.all():
        raise DataError("A group has no embedding.", got=f"group {int(np.argmin(counts))}", allowed="one or more")
    places = torch.from_numpy(groups[rows]).to(known.device)
    sums = known.new_zeros(len(counts), known.shape[1])
    sums.index_add_(0, places, known[torch.from_numpy(rows).to(known.device)])
    return sums / torch.from_numpy(counts).to(sums)[:, None]


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha < np.inf:
        raise DataError("alpha is out of range.", got=alpha, allowed="0 or more", fix="3, as published")


def _weighted(own: Tensor, others: Tensor, indices: np.ndarray, squares: np.ndarray, alpha: float) -> Tensor:
    """The sums, of length 1, one neighbour of everybody after another: no (N, n, D) is held."""
    cosines = torch.from_numpy(1 - squares / 2).to(own.device).clamp_(min=0)
    weights = cosines**alpha if alpha else torch.ones_like(cosines)
    sums = own.clone()
    for column in range(indices.shape[1]):
        nearest = others[torch.from_numpy(indices[:, column]).to(own.device)]
        sums.addcmul_(weights[:, column, None], nearest)
    return torch.nn.functional.normalize(sums)
