"""Where crops come from: files of a table, or a generator that makes them as they are asked for."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from reidgen.data.disk.threads import in_order
from reidgen.data.pixels.images import read_rgb, read_size
from reidgen.engine.devices.device import derive_seed
from reidgen.generators.crops import encode
from reidgen.generators.trained import TrainedGenerator

JPEG = (".jpg", ".jpeg")


class Crops(Protocol):
    """A sequence of crops that need not be in memory."""

    def __len__(self) -> int:
        """How many."""

    def read(self, rows: range) -> np.ndarray:
        """Some of them, uint8 (B, H, W, 3), all of one size."""


@dataclass(frozen=True)
class Files:
    """Crops in image files.

    Attributes:
        paths: The files.
        size: (height, width) that others are resized to, bicubic with antialiasing.
        quality: JPEG quality that a crop is encoded with, and decoded again, unless its file is a JPEG of this size;
            None leaves the pixels as they are.
    """

    paths: Sequence[Path]
    size: tuple[int, int]
    quality: int | None

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: range) -> np.ndarray:
        """The pixels of some rows, uint8 (B, H, W, 3).

        Raises:
            DataError: A file cannot be decoded.
        """
        return np.stack(list(in_order(self._one, [self.paths[row] for row in rows])))

    def _one(self, path: Path) -> np.ndarray:
        image = read_rgb(path)
        height, width = self.size
        as_it_is = image.size == (width, height)
        if not as_it_is:
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
        return pixels if as_it_is and path.suffix.lower() in JPEG else through_jpeg(pixels, self.quality)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Crops of random people, made when they are read.

    Attributes:
        gan: The generator.
        count: How many.
        size: (height, width) that crops are resized to if the generator's are of another one.
        quality: As of `Files`.
        psi: Truncation.
        seed: Of the whole set; each crop has a seed of its own.
    """

    gan: TrainedGenerator
    count: int
    size: tuple[int, int]
    quality: int | None
    psi: float
    seed: int

    def __len__(self) -> int:
        return self.count

    def read(self, rows: range) -> np.ndarray:
        """The pixels of some rows, uint8 (B, H, W, 3)."""
        made = self.gan.sample([derive_seed("fidelity", self.seed, row) for row in rows], psi=self.psi)
        height, width = self.size
        if self.gan.size != self.size:
            bicubic = Image.Resampling.BICUBIC
            made = np.stack([np.asarray(Image.fromarray(one).resize((width, height), bicubic)) for one in made])
        return np.stack([through_jpeg(one, self.quality) for one in made])


def through_jpeg(pixels: np.ndarray, quality: int | None) -> np.ndarray:
    """The pixels (H, W, 3) after they were written as a JPEG file, as `generate people` writes them, and read again."""
    if quality is None:
        return pixels
    return np.asarray(Image.open(io.BytesIO(encode(pixels, quality=quality)), formats=["JPEG"]))


def sizes_of(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """(height, width) of each file, from its header.

    Raises:
        DataError: A file is missing or no image.
    """
    return list(in_order(read_size, paths))
