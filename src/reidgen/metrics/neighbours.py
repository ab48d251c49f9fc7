"""The nearest neighbours of every feature among all of them, exactly, in blocks of matrix products.

Beside the features a block of squared distances is held, never a matrix of all. A feature is always its own first
neighbour, whatever duplicates it has and however products round; of equal distances the smaller index comes first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from reidgen.errors import DataError, option
from reidgen.metrics.exact import ROUNDING, candidates, first_of_rows, margin_of, smallest_in_order

Metric = Literal["cosine", "euclid"]
BLOCK_BYTES = 2**25  # of squared distances held at once
DEVICE_BLOCK_BYTES = 2**28
LEAST_ROWS = 256  # held at once, however long: a product of fewer waits for the features to be read
CHECKED_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k features nearest to each of N, itself first.

    Attributes:
        indices: int64 (N, k), nearest first.
        squares: float32 (N, k), squared Euclidean distances to them, ascending; 0 to itself. The order is exact; a
            number itself may be a product's, right to `margin_of`.
        farthest: float32 (N,), the largest squared distance of each feature to any.
    """

    indices: np.ndarray
    squares: np.ndarray
    farthest: np.ndarray


def nearest_neighbours(features: Tensor, count: int) -> Neighbours:
    """The `count` nearest neighbours of each feature by Euclidean distance, itself included and first.

    Time is that of N x N matrix products and one partial sort of each row; on CUDA all of it runs there.

    Args:
        features: float32 (N, D); see `checked_features`.
        count: k, 1 to N.

    Raises:
        DataError: There are fewer than `count` features.
    """
    _check_enough(features, count, "each (itself included)")
    margin, parts = margin_of(features), []
    for rows, found in square_blocks(features, features):
        farthest, own = found.amax(dim=1), torch.arange(len(found), device=found.device)
        found[own, rows.start + own] = torch.inf
        indices, values = smallest_in_order(features[rows], features, found, count - 1, margin)
        indices = np.insert(indices, 0, rows.start + own.cpu().numpy(), axis=1)  # itself first, also among duplicates
        parts.append((indices, np.insert(values, 0, 0, axis=1).astype(np.float32), farthest.cpu().numpy()))
    return Neighbours(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def nearest_of(
    queries: Tensor, features: Tensor, count: int, *, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The `count` features nearest to each query: int64 (Q, count) and their squared distances, float32, ascending.

    Args:
        queries: float32 (Q, D); see `checked_features`.
        features: float32 (N, D), on the same device.
        count: 1 to N, or to N - 1 where a query is one of the features.
        own: int64 (Q,), which feature each query is, and so not its neighbour; -1 where it is none of them.

    Raises:
        DataError: There are fewer than `count` features.
    """
    own = np.full(len(queries), -1) if own is None else own
    _check_enough(features, count, "each query", beside=int((own >= 0).any()))
    margin, parts = margin_of(features, queries), []
    for rows, found in square_blocks(queries, features):
        known = np.flatnonzero(own[rows] >= 0)
        found[torch.from_numpy(known), torch.from_numpy(own[rows][known])] = torch.inf
        parts.append(smallest_in_order(queries[rows], features, found, count, margin))
    indices, values = zip(*parts, strict=True)
    return np.concatenate(indices), np.concatenate(values).astype(np.float32)


def block_rows(features: Tensor) -> int:
    """How many queries' distances to all features are held at once: 32 MiB, 256 MiB on CUDA, and of 256 at least."""
    held = BLOCK_BYTES if features.device.type == "cpu" else DEVICE_BLOCK_BYTES
    return max(LEAST_ROWS, held // (4 * max(1, len(features))))


def _check_enough(features: Tensor, count: int, whose: str, *, beside: int = 0) -> None:
    most = len(features) - beside
    if not 1 <= count <= most:
        raise DataError(
            "There are not enough features for so many neighbours.",
            got=f"{len(features):,} features, {count:,} neighbours of {whose}",
            allowed=f"1 to {most:,} neighbours",
            fix=f"fewer neighbours ({option('rerank_k1')} and {option('rerank_k2')}, "
            f"{option('expansion_neighbours')}), or more crops",
        )


def squared_lengths(features: Tensor) -> Tensor:
    """Squared length of each feature (N, D), float32 (N,), without a second matrix."""
    parts = [
        features[first : first + CHECKED_ROWS].square().sum(dim=1) for first in range(0, len(features), CHECKED_ROWS)
    ]
    return torch.cat(parts) if parts else features.new_empty(0)


def square_blocks(queries: Tensor, features: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Some queries and their squared distances (B, N) to features (N, D), and so on to the last query; all float32.

    A block lies where the one before it lay: new memory each time can add up to the whole matrix (glibc).
    """
    squares, block = squares_to(features), block_rows(features)
    held = queries.new_empty(min(block, len(queries)), len(features))
    for first in range(0, len(queries), block):
        rows = slice(first, min(first + block, len(queries)))
        yield rows, squares(queries[rows], out=held[: rows.stop - first])


def squares_to(features: Tensor) -> Callable[..., Tensor]:
    """A function from queries (B, D) to their squared Euclidean distances (B, N) to features (N, D); all float32.

    Given an `out` of the distances' shape, it writes them there.
    """
    lengths = squared_lengths(features)

    def squares(queries: Tensor, *, out: Tensor | None = None) -> Tensor:
        products = torch.addmm(lengths[None], queries, features.T, alpha=-2, out=out)
        return products.add_(queries.square().sum(dim=1, keepdim=True)).clamp_(min=0)

    return squares


def smallest(distances: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns int64 and values (B, count) of each row's smallest numbers, ascending, of equal ones the smaller column.

    Args:
        distances: float32 (B, N), without NaN.
        count: 1 to N.
    """
    rows, columns = candidates(distances, count, 0.0)
    places = (torch.from_numpy(x).to(distances.device) for x in (rows, columns))
    values = distances[tuple(places)].cpu().numpy()
    kept = first_of_rows(rows, values, columns, count=count, length=len(distances))
    return columns[kept], values[kept]


def pair_squares(features: Tensor, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances float32 (P,) of P pairs of rows of features (N, D), computed pair by pair.

    Args:
        features: float32 (N, D).
        a: int64 (P,), one row of each pair; fastest where equal ones follow each other.
        b: int64 (P,), the other.
    """
    lengths = squared_lengths(features)
    out = np.empty(len(a), np.float32)
    block = max(1, 2**20 // (4 * features.shape[1]))  # what stays in a processor's cache
    if features.device.type != "cpu":
        block *= 256
    for first in range(0, len(a), block):
        one, other = (torch.from_numpy(x[first : first + block]).to(features.device) for x in (a, b))
        products = torch.linalg.vecdot(features[one], features[other])
        out[first : first + block] = (lengths[one] + lengths[other] - 2 * products).clamp_(min=0).cpu().numpy()
    return out


def checked_features(name: str, features: Any, metric: Metric) -> Tensor:
    """Features as float32 (N, D), of length 1 under "cosine", whose squared Euclidean distance is then 2 - 2 cos.

    Args:
        name: What they are, for messages.
        features: (N, D) numbers; a numpy array, or a tensor on any device. Not changed.
        metric: "cosine" or "euclid".

    Raises:
        DataError: They are not a matrix, one is not finite, has no direction under "cosine", or is longer than 9e18
            under "euclid", or the metric is unknown.
    """
    if metric not in ("cosine", "euclid"):
        raise DataError("The metric is unknown.", got=metric, allowed="cosine, euclid")
    known = torch.as_tensor(features)
    if known.ndim != 2 or not known.shape[1] or known.is_complex():
        shape = f"{tuple(known.shape)}, {known.dtype}"
        raise DataError(f"The {name} features are not a matrix.", got=shape, allowed="(N, D) real numbers")
    known = known.detach().float().contiguous()
    blocks = [slice(first, first + CHECKED_ROWS) for first in range(0, len(known), CHECKED_ROWS)]
    largest = torch.cat([known[rows].abs().amax(dim=1) for rows in blocks]) if blocks else known.new_empty(0)
    diverged = "look for a training that diverged: its loss is in metrics.jsonl"
    _refuse(name, torch.isfinite(largest), "is not finite", diverged)
    if metric == "euclid":
        small = torch.isfinite(4 * squared_lengths(known))  # as large as a squared distance to another can be
        _refuse(name, small, "is too long for squared distances in float32", "metric cosine, or features divided by it")
        return known
    _refuse(name, largest > 0, "is zero and so has no direction", "metric euclid, or leave such crops out")
    directed = torch.empty_like(known)
    for rows in blocks:  # over the largest number first: squares of tiny ones would vanish
        torch.nn.functional.normalize(known[rows] / largest[rows, None], out=directed[rows])
    return directed


def _refuse(name: str, fine: Tensor, what: str, fix: str) -> None:
    if not bool(fine.all()):
        row, others = int((~fine).nonzero()[0]), int((~fine).sum()) - 1
        more = f" and {others:,} more" if others else ""
        raise DataError(f"A {name} feature {what}.", got=f"row {row}{more}", allowed="finite numbers", fix=fix)


def refuse_equal(features: Tensor) -> None:
    """Raise `DataError` where all features are the same but for rounding: they cannot be ranked."""
    scale, away = squared_lengths(features).max(), squared_lengths(features - features.mean(dim=0)).max()
    if float(away) <= ROUNDING * float(scale):
        raise DataError(
            "All features are the same.",
            got=f"{len(features):,} features, squared distances from their mean up to {float(away):.1e}",
            allowed="features that differ",
            fix="a network that was trained: one that has collapsed says the same of every crop",
        )
