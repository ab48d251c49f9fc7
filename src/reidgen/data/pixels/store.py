"""Decode once: the crops of a table as one uint8 array on disk or on the device, from which a batch is an index."""

import io
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch

from reidgen.data.disk.threads import chunks, in_order
from reidgen.data.pixels.images import read_rgb
from reidgen.data.table import ReidTable
from reidgen.engine.cache import cache_folder, writing_cache
from reidgen.engine.progress import progress
from reidgen.engine.runs.lock import alone
from reidgen.errors import DataError, command

CHUNK = 64  # crops decoded by a thread at a time, and the grain of the progress
DEVICE_SHARE = 0.5  # of the free GPU memory that the crops may take: the rest is for the network
CRC_BYTES = 4  # after the array: the CRC-32 of its numbers, big-endian; a file of an earlier version ends before
CHECKED_BYTES = 2**22  # read at once to check it
CPU = torch.device("cpu")
Indices = Sequence[int] | np.ndarray | torch.Tensor


@dataclass(frozen=True)
class CropStore:
    """The decoded crops of one table, in the table's order.

    Attributes:
        images: uint8 (N, H, W, 3), RGB; memory-mapped from the cache, so that only what is used is in memory. Writing
            to it changes this process's copy alone.
        device: Where batches are.
        resident: The whole array on the device; None while it stays on the host and batches are copied one by one.
    """

    images: np.ndarray
    device: torch.device = CPU
    resident: torch.Tensor | None = None

    @classmethod
    def open(cls, table: ReidTable, *, size: tuple[int, int], cache: Path | str | None = None) -> "CropStore":
        """Decode the table's crops, or map them from the cache where that was done before.

        Shows a progress bar while it decodes. An array from the cache is read once, to compare its checksum.

        Args:
            table: The crops; their order is kept.
            size: (height, width) that every crop is resized to, bicubic with antialiasing.
            cache: Folder of the decoded arrays; None takes `cache_folder()`.

        Raises:
            DataError: A crop cannot be decoded, the table is empty, the disk is full, or the array is damaged.
        """
        path = _array_path(table, size, cache)
        if not path.exists():
            with progress("decode crops", len(table)) as bar:
                for count in _fill(table, size, path):
                    bar.advance(count)
        return cls(_mapped(path, (len(table), *size, 3)))

    @staticmethod
    def fill(table: ReidTable, *, size: tuple[int, int], cache: Path | str | None = None) -> Iterator[int]:
        """Decode into the cache and yield, time and again, how many crops were decoded since the last time.

        Yields nothing where the array is there already. A process that comes second waits for the first.

        Raises:
            DataError: As `open`.
        """
        yield from _fill(table, size, _array_path(table, size, cache))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the crops."""
        return self.images.shape[1], self.images.shape[2]

    def to(self, device: torch.device | str) -> "CropStore":
        """The same crops with batches on a device; moved there whole if they fit in half of its free memory."""
        device = torch.device(device)
        if device.type == "cpu":
            return CropStore(self.images)
        if device.type == "cuda" and self.images.nbytes > DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            return CropStore(self.images, device)
        return CropStore(self.images, device, torch.from_numpy(self.images).to(device))

    def batch(self, indices: Indices) -> torch.Tensor:
        """The crops with these row numbers, uint8 (B, 3, H, W) in channels_last memory, on the store's device."""
        rows = torch.as_tensor(indices, dtype=torch.int64)
        if self.resident is not None:
            return self.resident.index_select(0, rows.to(self.device)).permute(0, 3, 1, 2)
        crops = torch.from_numpy(self.images).index_select(0, rows.cpu()).permute(0, 3, 1, 2)
        pinned = crops.pin_memory() if self.device.type == "cuda" else crops
        return pinned.to(self.device, non_blocking=True)


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    header = _header(shape)
    whole = len(header) + math.prod(shape)
    with path.open("rb") as stream:
        length, found = os.fstat(stream.fileno()).st_size, stream.read(len(header))
        if found != header or length not in (whole, whole + CRC_BYTES):
            raise _damaged(path, f"{length:,} bytes" if found == header else "another header", shape)
        if length > whole and _crc(stream, math.prod(shape)) != stream.read(CRC_BYTES):
            raise _damaged(path, "other pixels than were written", shape)
    return np.memmap(path, np.uint8, "c", len(header), shape)


def _damaged(path: Path, got: str, shape: tuple[int, ...]) -> DataError:
    allowed = f"{math.prod(shape):,} bytes as they were written: an array of {shape[0]:,} decoded crops"
    return DataError(f"{path} is damaged.", got=got, allowed=allowed, fix=command("rm", path))


def _crc(stream: IO[bytes], left: int) -> bytes:
    """Checksum of the next bytes of a file."""
    crc = 0
    while part := stream.read(min(left, CHECKED_BYTES)):
        crc, left = zlib.crc32(part, crc), left - len(part)
    return crc.to_bytes(CRC_BYTES, "big")


def _header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _array_path(table: ReidTable, size: tuple[int, int], cache: Path | str | None) -> Path:
    if not len(table):
        raise DataError(
            f"The table {table.name} has no crops.",
            got="0 rows",
            allowed="at least one crop",
            fix="reidgen prepare shows which splits are empty",
        )
    return (cache_folder() if cache is None else Path(cache)) / f"{table.hash()[:32]}-{size[0]}x{size[1]}.npy"


def _fill(table: ReidTable, size: tuple[int, int], path: Path) -> Iterator[int]:
    """Write the array under a temporary name, holding its lock, and rename it when it is whole.

    What a killed process left under that name is overwritten.
    """
    temporary = path.with_suffix(".tmp")
    if path.exists():
        return
    whole = math.prod((len(table), *size, 3))
    with writing_cache(path.parent, "The decoded crops", room=whole), alone(path.with_suffix(".lock")):
        if path.exists():  # the process before us has finished while we waited
            return
        try:
            with temporary.open("wb") as stream:
                yield from _decode_all(table, size, stream)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _decode_all(table: ReidTable, size: tuple[int, int], stream: IO[bytes]) -> Iterator[int]:
    files = list(zip(table.paths, table.shown, strict=True))
    stream.write(_header((len(table), *size, 3)))
    crc = 0
    for crops in in_order(lambda part: _decode(part, size), chunks(files, CHUNK)):
        stream.write(crops.data)
        crc = zlib.crc32(crops.data, crc)
        yield len(crops)
    stream.write(crc.to_bytes(CRC_BYTES, "big"))
    stream.flush()
    os.fsync(stream.fileno())


def _decode(files: Sequence[tuple[Path, bool]], size: tuple[int, int]) -> np.ndarray:
    return np.stack([np.asarray(read_rgb(path, size=size, shown=shown)) for path, shown in files])
