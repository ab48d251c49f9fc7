"""Who crops claim to be, and how much nearer they are to that person than to anybody else."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from reidgen.data.provenance.parents import ends_of_chains
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, option
from reidgen.filters.features.embedding import rows_in
from reidgen.metrics.exact import exact_smallest, margin_of
from reidgen.metrics.neighbours import squares_to

Cameras = Literal["other", "all"]
NO_CAMERA = -1  # of a generated crop of nobody real: the numbers they have are not cameras


@dataclass(frozen=True, eq=False)
class Claims:
    """Crops with the person each claims to be, and the crops that they are compared with.

    Attributes:
        crops: float32 (N, D) of length 1.
        pids: int64 (N,), the claimed person.
        camids: int64 (N,), camera whose crops of that person are left out; -1 leaves out none.
        itself: int64 (N,), row of the gallery that is this very crop, -1 where there is none.
        gallery, gallery_pids, gallery_camids: The same of the M crops that are compared with.
    """

    crops: Tensor
    pids: Tensor
    camids: Tensor
    itself: Tensor
    gallery: Tensor
    gallery_pids: Tensor
    gallery_camids: Tensor

    def __len__(self) -> int:
        return len(self.crops)

    def margins(self, part: slice) -> np.ndarray:
        """Similarity to the nearest own crop less that to the nearest other, float64 (B,); -inf without one."""
        place = torch.arange(len(self.gallery))[None]
        itself = place == self.itself[part, None]
        own = self.gallery_pids[None] == self.pids[part, None]
        near = self.gallery_camids[None] == self.camids[part, None]
        best, other = self._nearest(part, ~own | near | itself), self._nearest(part, own | itself)
        alone = np.isinf(best) | np.isinf(other)
        return np.where(alone, -np.inf, (other - np.where(alone, 0, best)) / 2)

    def _nearest(self, part: slice, left_out: Tensor) -> np.ndarray:
        """Squared distance to the nearest crop that is not left out, 2 less twice the cosine; infinite without one."""
        some = ~left_out.all(dim=1)
        crops, nearest = self.crops[part][some], np.full(len(some), np.inf)
        squares = squares_to(self.gallery)(crops).masked_fill_(left_out[some], torch.inf)
        nearest[some.numpy()] = exact_smallest(crops, self.gallery, squares, 1, margin_of(self.gallery))[1][:, 0]
        return nearest


def has_real_people(
    table: ReidTable, reference: ReidTable | None, people: Literal["auto", "real", "new"]
) -> np.ndarray:
    """Which crops claim to be people of the reference, bool (N,).

    Crops of the reference itself do. With "auto" so do those whose parents lead to a crop of the reference.

    Raises:
        ConfigError: "real" without a reference.
        DataError: Parents lead out of the table to a crop that the reference lacks.
    """
    if people == "real" and reference is None:
        raise ConfigError(
            "The identity filter compares crops with real people, and there are none.",
            got="people real, reference None",
            allowed="a table of real crops",
            fix=option(reference="DIR"),
        )
    if people == "real":
        return np.ones(len(table), bool)
    inside = np.zeros(len(table), bool) if reference is None else rows_in(table, reference) >= 0
    if people == "new":
        return inside
    known = set() if reference is None else set(reference.rows["file_name"])
    ends = ends_of_chains(table)
    lost = [row for row, end in enumerate(ends) if end is not None and end not in known and not inside[row]]
    if lost:
        raise DataError(
            "The identity filter does not find the real crops that crops were made from.",
            got=f"{len(lost):,} of {len(table):,} crops, such as {table.rows['file_name'][lost[0]]} "
            f"(parent: {ends[lost[0]]})",
            allowed="parents in the reference, or none",
            fix=f"{option('reference')} with the crops that were re-generated, or {option(identity_people='new')}",
        )
    return inside | np.array([end is not None for end in ends])


def claims_among_themselves(crops: ReidTable, embedded: Tensor, *, cameras: Cameras) -> Claims:
    """Each crop against all others of its table."""
    _check_people(crops, "people among the crops")
    real = crops.rows["origin"].to_numpy() != "generated"
    camids = np.where(real, crops.camids, NO_CAMERA)
    rows = torch.arange(len(crops))
    pids, left_out = torch.tensor(crops.pids), torch.tensor(_left_out(camids, camids, cameras))
    return Claims(embedded, pids, left_out, rows, embedded, pids, torch.tensor(camids))


def claims_on_reference(
    crops: ReidTable, embedded: Tensor, reference: ReidTable, known: Tensor, *, cameras: Cameras
) -> Claims:
    """Each crop against the crops of the reference, the same file left out.

    Raises:
        DataError: The reference lacks a claimed person, or has no two people.
    """
    _check_people(reference, "people in the reference")
    lacking = np.flatnonzero(~np.isin(crops.pids, reference.pids))
    if lacking.size:
        raise DataError(
            "The reference lacks a person whom crops claim to be.",
            got=f"pid {crops.pids[lacking[0]]} of {crops.rows['file_name'][int(lacking[0])]}, and "
            f"{len(set(crops.pids[lacking].tolist())) - 1:,} more people",
            allowed="crops of every claimed person in the reference",
            fix=f"{option('reference')} with the whole train split, or {option(identity_people='new')}",
        )
    rows = rows_in(crops, reference)
    camids = _left_out(_cameras_of(crops, reference, rows), reference.camids, cameras)
    asked = (torch.tensor(crops.pids), torch.tensor(camids), torch.tensor(rows))
    return Claims(embedded, *asked, known, torch.tensor(reference.pids), torch.tensor(reference.camids))


def _cameras_of(crops: ReidTable, reference: ReidTable, rows: np.ndarray) -> np.ndarray:
    """The camera of a crop that a camera took; of a generated one that of the real crop it was made from."""
    camera = dict(reference.rows.select("file_name", "camid").iter_rows())
    ends = np.array([camera.get(end, NO_CAMERA) if end is not None else NO_CAMERA for end in ends_of_chains(crops)])
    taken = (rows >= 0) | (crops.rows["origin"].to_numpy() != "generated")
    return np.where(taken, crops.camids, ends)


def _left_out(camids: np.ndarray, gallery: np.ndarray, cameras: Cameras) -> np.ndarray:
    """The cameras to leave out: none where all crops are of one."""
    several = len(set(gallery.tolist())) > 1
    return camids if cameras == "other" and several else np.full(len(camids), NO_CAMERA - 1)


def _check_people(crops: ReidTable, what: str) -> None:
    count = len(set(crops.pids.tolist()))
    if count < 2:
        raise DataError(
            "The identity filter has nobody else to compare with.",
            got=f"{count} {what} (pid > 0)",
            allowed="two people or more",
            fix=f"more people in one table, or {option('reference')} with the whole train split",
        )
