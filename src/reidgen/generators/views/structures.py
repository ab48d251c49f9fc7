"""What a rotator is told of how a person stands: grey pictures of bodies, grey crops, or maps of key points."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.config.generators.views import Structure
from reidgen.data.augment.changes import GREY
from reidgen.data.pixels.maps import POINTS, read_points
from reidgen.data.pixels.store import CropStore
from reidgen.data.provenance.text import DIGITS
from reidgen.data.schema import MESH, SHOWN
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, command
from reidgen.files import file_sha256, sha256

PLANES: dict[Structure, int] = {"mesh": 1, "grey": 1, "pose": POINTS}
SIGMA = 0.03  # of a point's bell on its map, in shares of the height


@dataclass(frozen=True, eq=False)
class Structures:
    """The structures of a table's crops.

    Attributes:
        kind: Which.
        meshes: Of each angle the pictures of the bodies turned by it.
        crops: Of "grey", the crops.
        points: Of "pose", key points (N, 17, 3) in pixels, and visibility.
        size: (height, width).
    """

    kind: Structure
    meshes: dict[int, CropStore]
    crops: CropStore | None
    points: Tensor | None
    size: tuple[int, int]

    @classmethod
    def open(
        cls, table: ReidTable, kind: Structure, *, size: tuple[int, int], angles: Sequence[int], crops: CropStore
    ) -> "Structures":
        """Decode those of a table all of whose crops have them.

        Raises:
            DataError: A file cannot be read, or a crop has no key points.
        """
        if kind == "grey":
            return cls(kind, {}, crops, None, size)
        if kind == "pose":
            return cls(kind, {}, None, read_points(table, size), size)
        return cls(kind, {angle: _open_mesh(table, angle, size) for angle in angles}, None, None, size)

    def to(self, device: torch.device) -> "Structures":
        """The same with batches on a device."""
        meshes = {angle: store.to(device) for angle, store in self.meshes.items()}
        points = None if self.points is None else self.points.to(device)
        return Structures(self.kind, meshes, None if self.crops is None else self.crops.to(device), points, self.size)

    def batch(self, rows: np.ndarray, angles: np.ndarray) -> Tensor:
        """Structures of rows (B,), float32 (B, planes, H, W), -1 to 1; meshes turned by angles (B,)."""
        if self.points is not None:
            return heat_maps(self.points[torch.from_numpy(rows)], self.size)
        if self.crops is not None:
            return without_colours(self.crops.batch(rows))
        known = {int(angle): self.meshes[int(angle)].batch(rows[angles == angle]) for angle in np.unique(angles)}
        first = next(iter(known.values()))
        out = first.new_empty((len(rows), 1, *self.size))
        for angle, pictures in known.items():
            out[torch.from_numpy(angles == angle).to(out.device)] = pictures[:, :1]
        return out.float() / 127.5 - 1


def with_structures(table: ReidTable, kind: Structure, angles: Sequence[int], *, whose: str) -> ReidTable:
    """The crops that have what a rotator needs; says how many lack it.

    Args:
        table: Crops.
        kind: Of structure.
        angles: Of the meshes that are needed.
        whose: Who needs it, for people.

    Raises:
        DataError: None has it.
    """
    needed = {"mesh": [f"{MESH}{angle}" for angle in angles], "grey": [], "pose": ["keypoints"]}[kind]
    missing = [column for column in needed if column not in table.rows.columns]
    kept = (
        table if missing else table.where(pl.all_horizontal(pl.lit(True), *(pl.col(c).is_not_null() for c in needed)))
    )
    if missing or not len(kept):
        raise DataError(
            f"{table.name or 'The table'} has no {', '.join(missing or needed)}, which {whose} needs.",
            got=f"{len(table):,} crops without",
            allowed=f"a table with the columns {', '.join(needed)}",
            fix=command(
                "reidgen", "annotate", "--data", "DIR", "--what", "body", "mesh", "--angles", *angles, "--out", "DIR"
            )
            if kind == "mesh"
            else command("reidgen", "annotate", "--data", "DIR", "--what", "keypoints", "--out", "DIR"),
        )
    if len(kept) < len(table):
        sys.stderr.write(
            f"{len(table) - len(kept):,} of {len(table):,} crops lack {', '.join(needed)}, and are left out.\n"
        )
    return kept


def shapes_of(table: ReidTable, kind: Structure, angle: int) -> list[str]:
    """First digits of the SHA-256 of each crop's structure: of its file, or of its key points.

    Raises:
        DataError: A file is missing.
    """
    if kind == "grey":
        return [content[:DIGITS] for content in table.contents()]
    if kind == "pose":
        return [sha256([repr(points).encode()])[:DIGITS] for points in table.rows["keypoints"].to_list()]
    return [file_sha256(path)[:DIGITS] for path in _mesh_paths(table, angle)]


def heat_maps(points: Tensor, size: tuple[int, int]) -> Tensor:
    """A bell of height 1 about each key point, on -1: (N, 17, 3) in pixels to float32 (N, 17, H, W).

    A point that is outside the crop (visibility 0) has an empty map.
    """
    height, width = size
    spread = 2 * (SIGMA * height) ** 2
    x = torch.arange(width, device=points.device) + 0.5
    y = torch.arange(height, device=points.device) + 0.5
    across = (-((x - points[..., :1]) ** 2) / spread).exp()
    down = (-((y - points[..., 1:2]) ** 2) / spread).exp()
    there = (points[..., 2] > 0).to(across.dtype)[..., None, None]
    return 2 * there * down[..., :, None] * across[..., None, :] - 1


def without_colours(crops: Tensor) -> Tensor:
    """Crops uint8 (N, 3, H, W) as their luma, float32 (N, 1, H, W), -1 to 1."""
    weights = torch.tensor(GREY, device=crops.device).view(1, 3, 1, 1)
    return (crops.float() * weights).sum(dim=1, keepdim=True) / 127.5 - 1


def _mesh_paths(table: ReidTable, angle: int) -> list[Path]:
    return [Path(root) / name for root, name in table.rows.select("root", f"{MESH}{angle}").iter_rows()]


def _open_mesh(table: ReidTable, angle: int, size: tuple[int, int]) -> CropStore:
    rows = table.rows.drop(SHOWN, strict=False).with_columns(file_name=pl.col(f"{MESH}{angle}"))
    return CropStore.open(replace(table, rows=rows), size=size)
