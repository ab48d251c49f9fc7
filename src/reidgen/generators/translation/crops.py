"""What a translator learns from: crops, masks and cameras of a table, and which rows belong to a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reidgen.config.translation import FEWEST_TARGETS, TranslatorConfig
from reidgen.data.pairs import CameraPair, camera_pair
from reidgen.data.samplers import EpochSampler
from reidgen.data.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.errors import DataError
from reidgen.generators.sampling import to_tensor
from reidgen.generators.translation.masks import open_masks


class Pixels(Protocol):
    """Decoded pictures of a table's rows."""

    def batch(self, indices: np.ndarray) -> Tensor:
        """Those of some rows: uint8 (B, C, H, W)."""

    def to(self, device: torch.device) -> "Pixels":
        """The same with batches on a device."""


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

    def images(self, rows: np.ndarray, mirrored: Tensor | None = None) -> Tensor:
        """Crops (B, 3, H, W) float32, -1 to 1; those that are `mirrored`, bool (B,), from right to left."""
        return _mirror(to_tensor(self.pictures.batch(rows)), mirrored)

    def people(self, rows: np.ndarray, mirrored: Tensor | None = None) -> Tensor | None:
        """Masks (B, 1, H, W) float32, 0 to 1; None where there are none."""
        return None if self.masks is None else _mirror(self.masks.batch(rows).float() / 255, mirrored)

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

    def rows_of(self, camera: int) -> np.ndarray:
        """The rows of a camera, int64, in order."""
        return np.flatnonzero(self.table.camids == camera)


def open_crops(table: ReidTable, size: tuple[int, int], *, masks: bool) -> Crops:
    """The crops of a table, decoded once and kept in the cache, with or without their masks.

    Raises:
        DataError: A crop or a mask cannot be read.
    """
    return Crops(table, CropStore.open(table, size=size), open_masks(table, size) if masks else None)


@dataclass(frozen=True, eq=False)
class PairSampler:
    """Pairs of a source and a target crop, every pair once an epoch.

    Attributes:
        pairs: Same person and sequence; or None: each source crop with `targets`.
        sources: Rows of the source (S,), for `targets`.
        targets: Rows of target crops that each source crop is paired with, (S, K).
        batch: Pairs a step.
        seed: Of the order.
    """

    pairs: CameraPair | None
    sources: np.ndarray
    targets: np.ndarray
    batch: int
    seed: int

    @classmethod
    def of(cls, table: ReidTable, config: TranslatorConfig) -> "PairSampler":
        """The pairs that a config asks for.

        Raises:
            DataError: A camera has too few crops, or there are fewer pairs of one person than a batch.
        """
        assert config.source is not None
        assert config.target is not None
        source, target = check_camera(table, config.source), check_camera(table, config.target)
        if config.targets_per_crop == 0:
            pairs = camera_pair(table, config.source, config.target)
            check_pairs(pairs, config)
            return cls(pairs, source, np.zeros((0, 0), np.int64), config.batch, config.seed)
        count = min(config.targets_per_crop, len(target))
        rng = np.random.default_rng((config.seed, len(source), len(target)))
        chosen = np.stack([rng.choice(target, count, replace=False) for _ in source])
        return cls(None, source, chosen, config.batch, config.seed)

    def __len__(self) -> int:
        return self.targets.size if self.pairs is None else len(self.pairs)

    def indices(self, step: int) -> np.ndarray:
        """Rows of source and target of a step, int64 (batch, 2). Any step can be asked for in any order."""
        return self.rows(EpochSampler(len(self), self.batch, self.seed).indices(step))

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Rows of source and target of the pairs with these numbers, from 0 to len - 1: int64 (N, 2)."""
        if self.pairs is not None:
            return self.pairs.rows(numbers)
        which, nth = np.divmod(numbers, self.targets.shape[1])
        return np.stack([self.sources[which], self.targets[which, nth]], axis=1)


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
            fix="another --source or --target, or a table with more crops",
        )
    return rows


def check_pairs(pairs: CameraPair, config: TranslatorConfig) -> None:
    """Raise `DataError` unless there are pairs of one person for a batch."""
    if len(pairs) < config.batch:
        raise DataError(
            f"Cameras {config.source} and {config.target} have too few pairs of one person in one sequence.",
            got=f"{len(pairs)} pairs, batch {config.batch}",
            allowed="at least one batch",
            fix=f"--batch {len(pairs)}" if len(pairs) else "other cameras (reidgen pairs), or --preset background",
        )


def _mirror(pictures: Tensor, mirrored: Tensor | None) -> Tensor:
    if mirrored is None:
        return pictures
    return torch.where(mirrored.to(pictures.device)[:, None, None, None], pictures.flip(3), pictures)
