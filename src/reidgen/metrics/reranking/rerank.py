"""k-reciprocal re-ranking of a gallery: Zhong et al. 2017, exactly, without any matrix of all pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from reidgen.errors import DataError
from reidgen.metrics.neighbours import (
    Metric,
    checked_features,
    nearest_neighbours,
    refuse_equal,
    square_blocks,
)
from reidgen.metrics.reranking.jaccard import distance_of
from reidgen.metrics.reranking.reciprocal import check_neighbour_counts, half_of, reciprocal_vectors, sums_of_minima


def rerank(
    query: Any, gallery: Any, k1: int = 20, k2: int = 6, lambda_: float = 0.3, *, metric: Metric = "euclid"
) -> Any:
    """Distances of queries to a gallery after k-reciprocal re-ranking.

    Zhong et al. 2017, *Re-ranking Person Re-identification with k-reciprocal Encoding*, equations 2, 3, 5, 9, 10, 12:

        (1 - lambda) J(q, g) + lambda d(q, g)

    d is the squared Euclidean distance divided by the largest one of q to any query or gallery feature; J the Jaccard
    distance of k-reciprocal vectors over queries and gallery together. Lists have `k1` neighbours *and the feature
    itself*, round(k1 / 2) and itself for the sets that are added, `k2` *including* itself for the average. (The field's
    clustering code counts `k1` with the feature itself: `jaccard_distance`.) Equal distances are ordered by index, and
    a feature is its own nearest even among duplicates.

    Args:
        query: Embeddings (Q, D), numpy or tensor; a tensor's device computes the products.
        gallery: Embeddings (G, D), on the same device. Q + G must exceed `k1` and be `k2` or more.
        k1: Neighbours in a list beside the feature itself.
        k2: Vectors averaged, its own included; 1 averages nothing.
        lambda_: Share of the plain distance, 0 to 1.
        metric: "euclid" takes embeddings as they are, "cosine" brings them to length 1 first.

    Returns:
        float32 (Q, G); a tensor on the embeddings' device if `query` is one, else a numpy array.

    Raises:
        DataError: Widths differ, there are too few features, one is not finite or has no direction, all are the same,
            or an option is out of range.

    >>> query, gallery = torch.eye(3)[:1], torch.eye(3) + 0.1
    >>> rerank(query, gallery, k1=1, k2=1).argmin(dim=1).tolist()
    [0]
    """
    reranked = Reranked.of(query, gallery, k1=k1, k2=k2, lambda_=lambda_, metric=metric)
    distances = np.empty((len(reranked.query), len(reranked.gallery)), np.float32)
    for rows, block in reranked.blocks():
        distances[rows] = block
    return torch.from_numpy(distances).to(query.device) if isinstance(query, Tensor) else distances


@dataclass(frozen=True, eq=False)
class Reranked:
    """A re-ranking that is ready to say its distances block by block, for galleries whose distances fill the memory.

    Attributes:
        query: float32 (Q, D).
        gallery: float32 (G, D).
        vectors: The queries' k-reciprocal vectors, (Q, N), N being all queries and gallery features, none twice.
        columns: The gallery's, (G, N), by columns.
        farthest: float32 (Q,), the largest squared distance of each query.
        lambda_: Share of the plain distance.
    """

    query: Tensor
    gallery: Tensor
    vectors: sparse.csr_array
    columns: sparse.csc_array
    farthest: np.ndarray
    lambda_: float

    @classmethod
    def of(
        cls,
        query: Any,
        gallery: Any,
        *,
        k1: int = 20,
        k2: int = 6,
        lambda_: float = 0.3,
        metric: Metric = "euclid",
        own: np.ndarray | None = None,
    ) -> "Reranked":
        """Find all neighbours and vectors; arguments and errors are those of `rerank`.

        `own`, int64 (Q,), is the row of the gallery that a query is itself, so that it is not its own neighbour in
        another guise; -1 where it is none of them.
        """
        check_neighbour_counts(k1, k2)
        if not 0 <= lambda_ <= 1:
            raise DataError("lambda_ is a share.", got=lambda_, allowed="0 to 1", fix="0.3, as published")
        both = [checked_features(*one, metric) for one in (("query", query), ("gallery", gallery))]
        if both[0].shape[1] != both[1].shape[1] or not min(map(len, both)):
            shapes = f"{tuple(both[0].shape)} and {tuple(both[1].shape)}"
            raise DataError("Query and gallery embeddings do not fit.", got=shapes, allowed="(Q, D) and (G, D)")
        own = np.full(len(both[0]), -1) if own is None else own
        alone = np.flatnonzero(own < 0)
        features = torch.cat([both[0][torch.from_numpy(alone).to(both[0].device)], both[1]])
        places = own + len(alone)  # of the queries among the features
        places[alone] = np.arange(len(alone))
        del both
        refuse_equal(features)
        neighbours = nearest_neighbours(features, max(k1 + 1, k2))
        size, half = k1 + 1, half_of(k1) + 1
        vectors = reciprocal_vectors(features, neighbours, size=size, half=half, k2=k2, scale=neighbours.farthest)
        columns, farthest = vectors[len(alone) :].tocsc(), neighbours.farthest[places]
        asked = features[torch.from_numpy(places).to(features.device)]
        return cls(asked, features[len(alone) :], vectors[places], columns, farthest, lambda_)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Some queries and their distances, float32 (B, G), and so on to the last query."""
        for rows, squares in square_blocks(self.query, self.gallery):
            distances = squares.cpu().numpy() * (self.lambda_ / self.farthest[rows])[:, None]
            for some, sums in sums_of_minima(self.vectors[rows], self.columns):
                jaccard = distance_of(sums)
                jaccard *= np.float32(1 - self.lambda_)
                distances[some] += jaccard
            yield rows, distances
