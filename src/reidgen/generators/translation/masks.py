"""Masks of a table's crops: which are there, and their pixels."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.data.images import read_rgb, read_size
from reidgen.data.table import ReidTable
from reidgen.data.threads import chunks, in_order
from reidgen.errors import DataError

CHUNK = 64  # masks decoded by a thread at a time


@dataclass(frozen=True)
class Masks:
    """Decoded masks.

    Attributes:
        pictures: uint8 (N, 1, H, W), 255 on the person.
    """

    pictures: Tensor

    def batch(self, indices: np.ndarray) -> Tensor:
        """Those of some rows: uint8 (B, 1, H, W)."""
        return self.pictures[torch.as_tensor(indices).to(self.pictures.device)]

    def to(self, device: torch.device) -> "Masks":
        """The same on a device."""
        return Masks(self.pictures.to(device))


def with_masks(table: ReidTable, whose: str) -> ReidTable:
    """The crops that have a mask; says how many have none.

    Raises:
        DataError: None has.
    """
    column = table.rows["mask"] if "mask" in table.rows.columns else pl.Series([None] * len(table), dtype=pl.String)
    kept = table.where(column.is_not_null())
    if not len(kept):
        raise DataError(
            f"{table.name or 'The table'} has no masks, which {whose} needs.",
            got=f"{len(table):,} crops without a mask",
            allowed="a table with the column mask",
            fix="reidgen annotate --data DIR --out DIR",
        )
    if len(kept) < len(table):
        sys.stderr.write(f"{len(table) - len(kept):,} of {len(table):,} crops have no mask and are left out.\n")
    return kept


def mask_paths(table: ReidTable) -> list[Path]:
    """Where the mask of each crop is."""
    return [Path(root) / mask for root, mask in table.rows.select("root", "mask").iter_rows()]


def read_masks(table: ReidTable, *, size: tuple[int, int]) -> Masks:
    """Decode the masks of a table all of whose crops have one.

    Raises:
        DataError: A mask cannot be read, has another size than its crop, or shows nobody.
    """
    files = list(zip(table.paths, mask_paths(table), strict=True))
    parts = list(in_order(lambda part: _read(part, size), chunks(files, CHUNK)))
    return Masks(torch.from_numpy(np.concatenate(parts)[:, None]))


def _read(files: Sequence[tuple[Path, Path]], size: tuple[int, int]) -> np.ndarray:
    out = np.empty((len(files), *size), np.uint8)
    for into, (crop, mask) in zip(out, files, strict=True):
        sizes = read_size(crop), read_size(mask)
        if sizes[0] != sizes[1]:
            raise _wrong(mask, "has another size than its crop", f"{sizes[1]}, and {sizes[0]} of {crop.name}")
        into[:] = np.asarray(read_rgb(mask, size=size))[..., 0]
        if not into.any():
            raise _wrong(mask, "shows nobody", "a mask that is empty")
    return out


def _wrong(mask: Path, what: str, got: str) -> DataError:
    return DataError(
        f"The mask {mask} {what}.",
        got=got,
        allowed="(height, width) of the crop, above 0 on the person",
        fix="make it anew, or leave mask out of this row: crops without one are left out",
    )
