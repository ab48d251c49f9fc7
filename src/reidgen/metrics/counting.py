"""The rank of each positive, by counting the gallery distances below it: no sorted gallery, no matrix of indices.

The order is that of a stable argsort of the row: smaller distance first, and of equal distances the smaller gallery
index first. So the rank of the positive at index i is 1 + #{k < i: d_k <= d_i} + #{k > i: d_k < d_i}, over the gallery
rows that the protocol leaves in.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from reidgen.errors import DataError

JUNK = -1
Protocol = Literal["market", "all"]
COUNT_AT_MOST = 256  # positives; above it one stable argsort of the row costs less than a pass for each positive
DROP_FROM = 8  # times as many in a row as are to be kept of it: a copy costs several passes over what is left
DEVICE_BYTES = 2**28  # of comparisons held at once on a CUDA device


@dataclass(frozen=True)
class Persons:
    """Who is who in a query and a gallery, and which gallery rows each query shall not see.

    Attributes:
        query_pids, gallery_pids: int64 arrays, one value a crop.
        query_marks, gallery_marks: int64 arrays; gallery crops of the query's person and mark are removed for it. Under
            "market" a mark is the camera, under "all" the picture, where pictures are given.
        columns: Gallery rows that at least one query may see, ascending: all but the junk under "market".
        grouped: `columns` positions ordered by pid, then by index.
        starts: For each query, where its person begins and ends in `grouped`; int64 (2, Q).
    """

    query_pids: np.ndarray
    gallery_pids: np.ndarray
    query_marks: np.ndarray
    gallery_marks: np.ndarray
    columns: np.ndarray
    grouped: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(
        cls,
        query_pids: Any,
        gallery_pids: Any,
        query_camids: Any,
        gallery_camids: Any,
        protocol: Protocol,
        *,
        pictures: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> "Persons":
        """Check the four arrays and index the gallery by person.

        Args:
            query_pids: One whole number a crop, like the next three.
            gallery_pids: Of the gallery.
            query_camids: Cameras.
            gallery_camids: Of the gallery.
            protocol: "market" removes gallery crops of the query's person and camera and all of pid -1; "all" removes
                none but the query's own picture.
            pictures: Under "all", of each query and of each gallery crop a number, equal where both are one picture;
                None where there is no picture on both sides.

        Raises:
            DataError: Lengths differ, values are not integers, or the protocol is unknown.
        """
        q_pids, q_camids = _integers("query_pids", query_pids), _integers("query_camids", query_camids)
        g_pids, g_camids = _integers("gallery_pids", gallery_pids), _integers("gallery_camids", gallery_camids)
        for side, pids, camids in (("query", q_pids, q_camids), ("gallery", g_pids, g_camids)):
            if len(pids) != len(camids):
                raise DataError(
                    f"{side}_pids and {side}_camids differ in length.",
                    got=f"{len(pids)} and {len(camids)}",
                    allowed="one pid and one camid a crop",
                )
        if protocol not in ("market", "all"):
            raise DataError("The protocol is unknown.", got=protocol, allowed="market, all")
        columns = np.flatnonzero(g_pids != JUNK) if protocol == "market" else np.arange(len(g_pids))
        grouped = np.argsort(g_pids[columns], kind="stable")
        pids = g_pids[columns][grouped]
        starts = np.stack([np.searchsorted(pids, q_pids, "left"), np.searchsorted(pids, q_pids, "right")])
        if protocol == "all":
            q_camids, g_camids = pictures or (np.zeros_like(q_pids), np.ones_like(g_pids))
        return cls(q_pids, g_pids, q_camids, g_camids, columns, grouped, starts)

    def matches(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `columns` of one query's positives, and of the rows removed for it."""
        same = self.grouped[self.starts[0, query] : self.starts[1, query]]
        other = self.gallery_marks[self.columns[same]] != self.query_marks[query]
        return same[other], same[~other]


def _integers(name: str, values: Any) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 1 or not (array.dtype.kind in "iu" or array.size == 0):
        raise DataError(
            f"{name} is not a list of integers.",
            got=f"shape {array.shape}, {array.dtype}",
            allowed="one integer a crop",
        )
    return array.astype(np.int64)


def host_ranks(distances: np.ndarray, persons: Persons, first: int) -> list[np.ndarray]:
    """Ascending ranks (from 1) of each query's positives, for queries `first` onward.

    Args:
        distances: Any real type (B, G), one row a query, all gallery columns.
        persons: The pids and camids of all queries and gallery crops.
        first: Which query the first row is.

    Raises:
        DataError: A distance is not a number.
    """
    everyone = len(persons.columns) == distances.shape[1]
    below = np.empty(len(persons.columns), dtype=bool)
    seen = np.empty(len(persons.columns), dtype=distances.dtype)
    ranks = []
    for query, whole in enumerate(distances, start=first):
        # With `out` and without a bounds check (the columns are ours) this is three times as fast as an index.
        row = whole if everyone else np.take(whole, persons.columns, out=seen, mode="clip")
        if row.size and np.isnan(row.min()):
            raise DataError("A distance is not a number.", got=f"query {query}", allowed="distances without NaN")
        ranks.append(_row_ranks(row, *persons.matches(query), below))
    return ranks


def _row_ranks(row: np.ndarray, positives: np.ndarray, removed: np.ndarray, below: np.ndarray) -> np.ndarray:
    if len(positives) > COUNT_AT_MOST:
        return _sorted_ranks(row, positives, removed)
    positives = positives[np.lexsort((positives, row[positives]))]
    values, gone = row[positives][:, None], row[removed]
    nearer = (gone < values) | ((gone == values) & (removed < positives[:, None]))  # removed ones before each positive
    return _places(row, positives, below) - nearer.sum(axis=1) + 1


def _places(row: np.ndarray, positives: np.ndarray, below: np.ndarray) -> np.ndarray:
    """How many of a row come before each of some of its columns, which are ordered nearest first.

    The farthest is counted first. All that comes before a nearer one comes before it too, so where that is a small part
    of the row, the rest of the row is dropped.
    """
    places = np.empty(len(positives), dtype=np.int64)
    for last in range(len(positives) - 1, -1, -1):
        index, value, below = positives[last], row[positives[last]], below[: len(row)]
        np.less_equal(row[:index], value, out=below[:index])
        np.less(row[index:], value, out=below[index:])
        places[last] = np.count_nonzero(below)
        if last and DROP_FROM * places[last] < len(row):
            kept = np.flatnonzero(below)
            row, positives = row[kept], np.searchsorted(kept, positives[:last])
    return places


def _sorted_ranks(row: np.ndarray, positives: np.ndarray, removed: np.ndarray) -> np.ndarray:
    kind = np.zeros(len(row), dtype=np.int8)
    kind[positives], kind[removed] = 1, -1
    kind = kind[np.argsort(row, kind="stable")]
    return np.flatnonzero(kind[kind >= 0]) + 1


def device_ranks(distances: torch.Tensor, persons: Persons, first: int) -> list[np.ndarray]:
    """The same as `host_ranks` for a tensor (B, G), computed on its device for many queries at once."""
    if torch.isnan(distances).any():
        asked = f"queries {first} to {first + len(distances) - 1}"
        raise DataError("A distance is not a number.", got=asked, allowed="distances without NaN")
    device, columns = distances.device, torch.from_numpy(persons.columns)
    block = distances if len(columns) == distances.shape[1] else distances[:, columns.to(device)]
    positives, removed = zip(*(persons.matches(query) for query in range(first, first + len(block))), strict=True)
    counts = [len(one) for one in positives]
    places = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in positives], batch_first=True).to(device)
    seen = torch.ones(block.shape, dtype=torch.bool, device=device)
    rows = np.repeat(np.arange(len(block)), [len(one) for one in removed])
    seen[torch.from_numpy(rows).to(device), torch.from_numpy(np.concatenate(removed)).to(device)] = False
    values, index = block.gather(1, places), torch.arange(block.shape[1], device=device)
    step = max(1, DEVICE_BYTES // max(1, places.shape[1] * block.shape[1]))
    parts = []
    for some in (slice(start, start + step) for start in range(0, len(block), step)):
        row, value, place = block[some, None], values[some, :, None], places[some, :, None]
        below = (row < value) | ((row == value) & (index < place))
        parts.append((below & seen[some, None]).sum(dim=2))
    ranks = torch.cat(parts).cpu().numpy() + 1
    return [np.sort(one[:count]) for one, count in zip(ranks, counts, strict=True)]
