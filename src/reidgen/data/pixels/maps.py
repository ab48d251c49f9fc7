"""What lies beside the crops of a table: their masks, and their key points, at the size of the decoded crops."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.data.disk.threads import chunks, in_order
from reidgen.data.pixels.images import read_size
from reidgen.data.pixels.store import CropStore
from reidgen.data.schema import SHOWN
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, say

POINTS = 17  # COCO's
LEAST_BRIGHT = 128  # of a mask with 255 on the person, resized ones too
CHUNK = 64  # masks looked at by a thread at a time


@dataclass(frozen=True)
class Masks:
    """Decoded masks, 255 on the person.

    Attributes:
        store: The masks as pictures of three equal colours.
    """

    store: CropStore

    def batch(self, indices: np.ndarray) -> Tensor:
        """Those of some rows: uint8 (B, 1, H, W)."""
        return self.store.batch(indices)[:, :1]

    def to(self, device: torch.device) -> "Masks":
        """The same with batches on a device."""
        return Masks(self.store.to(device))


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
        say(f"{len(table) - len(kept):,} of {len(table):,} crops have no mask and are left out.")
    return kept


def mask_paths(table: ReidTable) -> list[Path]:
    """Where the mask of each crop is."""
    return [Path(root) / mask for root, mask in table.rows.select("root", "mask").iter_rows()]


def open_masks(table: ReidTable, size: tuple[int, int]) -> Masks:
    """The masks of a table all of whose crops have one, decoded once and kept in the cache as crops are.

    Raises:
        DataError: A mask cannot be read, has another size than its crop, or shows nobody, or in numbers so small that
            they are labels.
    """
    paths = mask_paths(table)
    check_sizes(table.paths, paths)
    rows = table.rows.drop(SHOWN, strict=False).with_columns(file_name=pl.col("mask"))
    store = CropStore.open(replace(table, rows=rows), size=size)
    for start in range(0, len(paths), CHUNK):
        brightest = store.images[start : start + CHUNK].max(axis=(1, 2, 3))
        dark = np.flatnonzero(brightest < LEAST_BRIGHT)
        if len(dark):
            value = int(brightest[dark[0]])
            what = "is too dark for a mask" if value else "shows nobody"
            raise _wrong(paths[start + dark[0]], what, f"{value} at its brightest" if value else "a mask that is empty")
    return Masks(store)


def check_sizes(crops: Sequence[Path], masks: Sequence[Path]) -> None:
    """Raise `DataError` unless each mask has the size of its crop."""
    deque(in_order(_check_sizes, chunks(list(zip(crops, masks, strict=True)), CHUNK)), maxlen=0)


def _check_sizes(files: Sequence[tuple[Path, Path]]) -> None:
    for crop, mask in files:
        of_crop, of_mask = read_size(crop), read_size(mask)
        if of_crop != of_mask:
            raise _wrong(mask, "has another size than its crop", f"{of_mask}, and {of_crop} of {crop.name}")


def _wrong(mask: Path, what: str, got: str) -> DataError:
    return DataError(
        f"The mask {mask} {what}.",
        got=got,
        allowed="(height, width) of the crop, 255 on the person",
        fix="make it anew, or leave mask out of this row: crops without one are left out",
    )


def read_points(table: ReidTable, size: tuple[int, int]) -> Tensor:
    """The key points of a table all of whose crops have them, in pixels of crops of a size.

    Args:
        table: Crops with the column `keypoints`.
        size: (height, width) that the crops are decoded at.

    Returns:
        float32 (N, 17, 3): x, y and visibility (2 seen, 1 hidden, 0 outside).

    Raises:
        DataError: A crop has no key points, or others than 17 times three numbers, or cannot be read.
    """
    lists = table.rows["keypoints"].to_list() if "keypoints" in table.rows.columns else [None] * len(table)
    for name, values in zip(table.rows["file_name"], lists, strict=True):
        if values is None or len(values) != 3 * POINTS:
            raise DataError(
                f"The crop {name} has no key points.",
                got="none" if values is None else f"{len(values)} numbers",
                allowed=f"{POINTS} times x, y and visibility",
                fix="reidgen annotate --data DIR --what keypoints --out DIR",
            )
    points = torch.tensor(lists, dtype=torch.float32).view(-1, POINTS, 3)
    sizes = torch.tensor([read_size(path) for path in table.paths], dtype=torch.float32)
    scale = torch.tensor(size) / sizes  # of y, of x
    return points * torch.stack([scale[:, 1], scale[:, 0], torch.ones(len(points))], dim=1)[:, None]
