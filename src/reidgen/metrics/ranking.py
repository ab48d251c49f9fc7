"""CMC, mAP and mINP of a query against a gallery, as Market-1501's protocol has them.

A worked example, three queries a, b, c; P is a positive, N a negative, nearest first after removal:

    a  P N P      ranks 1 3    AP = (1/1 + 2/3) / 2 = 5/6        trapezoid = (1 + (1/2 + 2/3)/2) / 2 = 19/24
    b  N P        ranks 2      AP = 1/2                          trapezoid = (0 + 1/2) / 2 = 1/4
    c  N N N      no match: counted in `num_unmatched`, in no mean

    mAP = (5/6 + 1/2) / 2 = 2/3,   mAP_trapezoid = (19/24 + 1/4) / 2 = 25/48,   cmc = (1/2, 1, 1, ...),
    mINP = (2/3 + 1/2) / 2 = 7/12

All means run over the queries with a match. Market-1501's Matlab code divides by all queries: multiply by
`num_matched / num_queries` for that (on Market-1501 itself every query has a match).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reidgen.errors import DataError, option
from reidgen.metrics.counting import Persons, Protocol, device_ranks, host_ranks
from reidgen.metrics.distance import Metric, distance_to
from reidgen.metrics.neighbours import block_rows

CMC_LENGTH = 50
CHECKED_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well the galleries are ranked.

    Attributes:
        cmc: float64 (50,): share of matched queries with a positive among the first k; index 0 is rank-1.
        mAP: Mean over the matched queries of AP = mean of j / rank_j over a query's positives j = 1..n.
        mAP_trapezoid: The same with Market-1501's original code: mean of (old_j + j / rank_j) / 2, where
            old_j = (j - 1) / (rank_j - 1), and 1 for rank_j = 1. Never above mAP.
        mINP: Mean of n / rank of the last positive (Ye et al. 2021, section 3.4).
        ap: float64 (Q,): AP of each query, NaN without a match.
        ap_trapezoid: float64 (Q,): the other AP, NaN without a match.
        inp: float64 (Q,): n / rank of the last positive, NaN without a match.
        first_rank: int64 (Q,): rank of the nearest positive, from 1; 0 without a match.
        matched: bool (Q,): whether the gallery holds a positive after the removal.
    """

    cmc: np.ndarray
    mAP: float
    mAP_trapezoid: float
    mINP: float
    ap: np.ndarray
    ap_trapezoid: np.ndarray
    inp: np.ndarray
    first_rank: np.ndarray
    matched: np.ndarray

    @property
    def num_queries(self) -> int:
        """Queries, with a match or without."""
        return len(self.matched)

    @property
    def num_matched(self) -> int:
        """Queries that the means run over."""
        return int(self.matched.sum())

    @property
    def num_unmatched(self) -> int:
        """Queries without a positive in the gallery after removal; they are in no mean."""
        return self.num_queries - self.num_matched


def rank(
    distances: Any,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any,
    gallery_camids: Any,
    *,
    protocol: Protocol = "market",
) -> Ranking:
    """Rank a gallery for each query by given distances.

    For each query the gallery crops of the same pid and camera and all crops of pid -1 (junk) are removed; pid 0
    (distractors) stays as negatives. Of equal distances the smaller gallery index comes first, as in a stable argsort.
    Time grows with queries x gallery x positives of a query; beside the distances it holds a few rows of the matrix.

    Args:
        distances: (Q, G), any real numbers, smaller is nearer; a numpy array, or a tensor on any device.
        query_pids: Who is on each query crop, integers (Q,).
        gallery_pids: Who is on each gallery crop, integers (G,).
        query_camids: Which camera saw each query crop, integers (Q,).
        gallery_camids: Which camera saw each gallery crop, integers (G,).
        protocol: "market" removes as told above, "all" removes nothing.

    Raises:
        DataError: Shapes do not fit, a distance is NaN, or no query has a match.

    >>> found = rank([[0.1, 0.4, 0.3]], [1], [2, 1, 1], [1], [2, 2, 3])
    >>> float(found.cmc[0]), round(found.mAP, 4)
    (0.0, 0.5833)
    """
    persons = Persons.of(query_pids, gallery_pids, query_camids, gallery_camids, protocol)
    if not isinstance(distances, torch.Tensor):
        distances = np.asarray(distances)
    expected = (len(persons.query_pids), len(persons.gallery_pids))
    if tuple(distances.shape) != expected:
        raise DataError(
            "The distances do not fit the pids.", got=tuple(distances.shape), allowed=f"{expected}: queries x gallery"
        )
    return _summary(_ranks(distances, persons, 0))


def rank_features(
    query: Any,
    gallery: Any,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any,
    gallery_camids: Any,
    *,
    metric: Metric = "cosine",
    protocol: Protocol = "market",
    block: int | None = None,
) -> Ranking:
    """`rank` from embeddings, a block of queries at a time: the distance matrix is never whole.

    Args:
        query: Embeddings (Q, D), array or tensor; a tensor's device does the work. Half precision becomes float32.
        gallery: Embeddings (G, D), on the same device.
        query_pids: As in `rank`, like the next four.
        gallery_pids: (G,).
        query_camids: (Q,).
        gallery_camids: (G,).
        protocol: "market" or "all".
        metric: "cosine" or "euclid".
        block: Queries at a time. None: as many as make 32 MiB of distances (256 MiB on CUDA), and 256 at least. Sums of
            floats may differ in the last bit between block sizes, as between any two matrix products.

    Raises:
        DataError: Shapes do not fit, an embedding is not finite, or no query has a match.
    """
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    persons = Persons.of(query_pids, gallery_pids, query_camids, gallery_camids, protocol)
    for side, features, pids in (("query", query, persons.query_pids), ("gallery", gallery, persons.gallery_pids)):
        check_embeddings(side, features, len(pids))
    return rank_blocks(distance_blocks(query, gallery, metric=metric, block=block), persons)


def rank_blocks(blocks: Iterable[Any], persons: Persons) -> Ranking:
    """Rank by distances that come block by block, such as those of a re-ranking.

    Args:
        blocks: Distances (B, G) of the next B queries to the whole gallery, as in `rank`.
        persons: Who is who; see `Persons.of`.

    Raises:
        DataError: A distance is NaN, or no query has a match.
    """
    ranks: list[np.ndarray] = []
    for distances in blocks:
        ranks += _ranks(distances, persons, len(ranks))
    assert len(ranks) == len(persons.query_pids), "one row of distances a query"
    return _summary(ranks)


def distance_blocks(
    query: torch.Tensor, gallery: torch.Tensor, *, metric: Metric = "cosine", block: int | None = None
) -> Iterator[torch.Tensor]:
    """Distances (B, G) of some queries to the gallery, and so on to the last query; see `rank_features`.

    A block lies where the one before it lay: new memory each time can add up to the whole matrix (glibc).
    """
    if block is None:
        block = block_rows(gallery)
    query, gallery, held_block = query.detach(), gallery.detach(), None
    distances = distance_to(gallery, metric)
    for first in range(0, len(query), block):
        rows = query[first : first + block]
        held_block = distances(rows, out=None if held_block is None else held_block[: len(rows)])
        yield held_block


def nearest(distances: Any, persons: Persons, queries: Iterable[int], *, count: int = 10) -> list[np.ndarray]:
    """Gallery indices of the nearest crops after removal, for some queries.

    Args:
        distances: (len(queries), G), one row for each of `queries`.
        persons: Who is who; see `Persons.of`.
        queries: Which queries the rows are.
        count: Length of each list; shorter where the gallery is.
    """
    lists = []
    for row, query in zip(np.asarray(distances), queries, strict=True):
        seen = np.ones(len(persons.columns), dtype=bool)
        seen[persons.matches(query)[1]] = False
        columns = persons.columns[seen]
        lists.append(columns[np.argsort(row[columns], kind="stable")[:count]])
    return lists


def _ranks(distances: Any, persons: Persons, first: int) -> list[np.ndarray]:
    if not isinstance(distances, torch.Tensor):
        return host_ranks(distances, persons, first)
    if distances.dtype in (torch.bfloat16, torch.float16):
        distances = distances.float()
    if distances.device.type != "cpu":
        return device_ranks(distances, persons, first)
    return host_ranks(distances.detach().numpy(), persons, first)


def check_embeddings(side: str, features: torch.Tensor, crops: int) -> None:
    """Raise `DataError` unless the embeddings are one a crop, and finite."""
    if features.ndim != 2 or len(features) != crops or not features.shape[1]:
        raise DataError(
            f"The {side} embeddings do not fit the pids.", got=tuple(features.shape), allowed=f"({crops}, D)"
        )
    for first in range(0, crops, CHECKED_ROWS):
        part = features[first : first + CHECKED_ROWS]
        ends = torch.stack([part.amin(dim=1), part.amax(dim=1)])  # a tenth of the time of a look at each number
        broken = (~torch.isfinite(ends).all(dim=0)).nonzero()
        if len(broken):
            raise DataError(
                f"A {side} embedding is not finite.",
                got=f"row {first + int(broken[0])}",
                allowed="finite numbers",
                fix="look for a training that diverged: its loss is in metrics.jsonl",
            )


def _summary(ranks: list[np.ndarray]) -> Ranking:
    counts = np.array([len(one) for one in ranks], dtype=np.int64)
    matched = counts > 0
    if not matched.any():
        raise DataError(
            "No query has a match in the gallery.",
            got=f"{len(ranks)} queries, none with a gallery crop of the same person from another camera",
            allowed="at least one",
            fix=f"reidgen prepare shows why; {option(protocol='all')} counts matches in the same camera too",
        )
    r = np.concatenate(ranks)
    starts = np.concatenate([[0], np.cumsum(counts[matched])[:-1]])
    j = np.arange(1, len(r) + 1) - np.repeat(starts, counts[matched])
    old = np.where(r == 1, 1.0, (j - 1) / np.maximum(r - 1, 1))
    per_query = {
        "ap": np.add.reduceat(j / r, starts) / counts[matched],
        "ap_trapezoid": np.add.reduceat((old + j / r) / 2, starts) / counts[matched],
        "inp": counts[matched] / np.maximum.reduceat(r, starts),
    }
    means = {name: float(values.mean()) for name, values in per_query.items()}
    spread = {name: _spread(values, matched, np.nan) for name, values in per_query.items()}
    first = r[starts]
    cmc = np.cumsum(np.bincount(first[first <= CMC_LENGTH] - 1, minlength=CMC_LENGTH)) / len(first)
    return Ranking(
        cmc=cmc,
        mAP=means["ap"],
        mAP_trapezoid=means["ap_trapezoid"],
        mINP=means["inp"],
        matched=matched,
        first_rank=_spread(first, matched, 0),
        **spread,
    )


def _spread(values: np.ndarray, matched: np.ndarray, missing: float) -> np.ndarray:
    whole = np.full(len(matched), missing, dtype=values.dtype)
    whole[matched] = values
    return whole
