"""What a translator learns from: crops, masks and cameras of a table, and which rows belong to a step."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reidgen.config.generators.translation import FEWEST_TARGETS, TranslatorConfig
from reidgen.data.augment.geometry import translate
from reidgen.data.disk.threads import in_order
from reidgen.data.pixels.images import read_size
from reidgen.data.pixels.maps import open_masks
from reidgen.data.pixels.store import CropStore
from reidgen.data.samplers import CameraPairSampler
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, option
from reidgen.generators.sampling import to_tensor


class Pixels(Protocol):
    """Decoded pictures of a table's rows."""

    def batch(self, indices: np.ndarray) -> Tensor:
        """Those of some rows: uint8 (B, C, H, W)."""

    def to(self, device: torch.device) -> "Pixels":
        """The same with batches on a device."""


@dataclass(frozen=True)
class Moves:
    """How crops of a batch are shown, and their masks alike.

    Attributes:
        mirrored: Which are shown from right to left, bool (B,); None: none.
        places: Top and left of what is shown of a crop that is enlarged, int64 (B, 2); None: all of a crop as it is.
        by: How much it is enlarged.
    """

    mirrored: Tensor | None = None
    places: Tensor | None = None
    by: float = 1.0

    def of(self, pictures: Tensor) -> Tensor:
        """The pictures (B, C, H, W), float, moved."""
        if self.places is not None:
            pictures = translate(pictures.permute(0, 2, 3, 1), self.places, self.by).permute(0, 3, 1, 2)
        if self.mirrored is None:
            return pictures
        return torch.where(self.mirrored.to(pictures.device)[:, None, None, None], pictures.flip(3), pictures)


AS_THEY_ARE = Moves()


@dataclass(frozen=True)
class Crops:
    """The crops of a table, decoded.

    Attributes:
        table: The crops, masks included where they are needed.
        pictures: Their pixels.
        masks: Their masks, 255 on the person; None where nothing needs them.
    """

    table: ReidTable
    pictures: Pixels
    masks: Pixels | None

    def images(self, rows: np.ndarray, moves: Moves = AS_THEY_ARE) -> Tensor:
        """Crops (B, 3, H, W) float32, -1 to 1, moved."""
        return moves.of(to_tensor(self.pictures.batch(rows)))

    def people(self, rows: np.ndarray, moves: Moves = AS_THEY_ARE) -> Tensor | None:
        """Masks (B, 1, H, W) float32, 0 to 1, moved; None where there are none."""
        return None if self.masks is None else moves.of(self.masks.batch(rows).float() / 255)

    def to(self, device: torch.device) -> "Crops":
        """The same crops with batches on a device."""
        masks = None if self.masks is None else self.masks.to(device)
        return Crops(self.table, self.pictures.to(device), masks)

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """Crops as they are, uint8 (B, H, W, 3)."""
        return self.pictures.batch(rows).permute(0, 2, 3, 1).cpu().numpy()

    def mask_pixels(self, rows: np.ndarray) -> np.ndarray | None:
        """Masks as they are, uint8 (B, H, W); None where there are none."""
        return None if self.masks is None else self.masks.batch(rows)[:, 0].cpu().numpy()

    @property
    def cameras(self) -> list[int]:
        """The cameras, sorted."""
        return sorted(set(self.table.camids.tolist()))


def open_crops(table: ReidTable, size: tuple[int, int], *, masks: bool) -> Crops:
    """The crops of a table, decoded once and kept in the cache, with or without their masks.

    Raises:
        DataError: A crop or a mask cannot be read.
    """
    return Crops(table, CropStore.open(table, size=size), open_masks(table, size) if masks else None)


def tell_sizes(table: ReidTable, size: tuple[int, int]) -> None:
    """Say how many crops have another size than is learned or translated; they are resized, and their masks alike.

    Raises:
        DataError: A crop is missing, or no picture.
    """
    others = [one for one in in_order(read_size, table.paths) if one != size]
    if others:
        (height, width), _ = Counter(others).most_common(1)[0]
        sys.stderr.write(
            f"{len(others):,} of {len(table):,} crops have another size than {size[0]}x{size[1]}, such as "
            f"{height}x{width}: they are resized, and their masks.\n"
        )


def sampler_of(table: ReidTable, config: TranslatorConfig) -> CameraPairSampler:
    """The pairs that a config asks for.

    Raises:
        DataError: A camera has too few crops, or there are fewer pairs of one person than a batch.
    """
    assert config.source is not None
    assert config.target is not None
    for camera in (config.source, config.target):
        check_camera(table, camera)
    known = {"batch": config.batch, "seed": config.seed}
    if config.targets_per_crop == 0:
        return CameraPairSampler.of_people(table, config.source, config.target, **known)
    each = config.targets_per_crop
    return CameraPairSampler.of_anybody(table, config.source, config.target, each=each, **known)


def check_camera(table: ReidTable, camera: int | None) -> np.ndarray:
    """The rows of a camera that is to be learned from.

    Raises:
        DataError: It has too few crops to learn a camera's style from.
    """
    rows = np.flatnonzero(table.camids == camera)
    if len(rows) < FEWEST_TARGETS:
        there: Sequence[int] = sorted(set(table.camids.tolist()))
        raise DataError(
            f"{table.name or 'The table'} has too few crops of camera {camera}.",
            got=f"{len(rows)} crops; cameras {', '.join(map(str, there)) or 'none'}",
            allowed=f"{FEWEST_TARGETS} crops or more of each camera",
            fix=f"another {option('source')} or {option('target')}, or a table with more crops",
        )
    return rows
