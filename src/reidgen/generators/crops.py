"""Generated crops: their files, encoded and written while the next are made, and whose weights made them."""

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from reidgen.data.table import DISTRACTOR, ReidTable
from reidgen.data.tree import market_names
from reidgen.engine.progress import progress
from reidgen.errors import WeightsError
from reidgen.files import write_bytes

THREADS = 8


def encode(pixels: np.ndarray, *, quality: int) -> bytes:
    """The JPEG file of one crop (H, W, 3), without chroma subsampling: small crops have few enough pixels of colour."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def real_people(table: ReidTable, split: str) -> ReidTable:
    """The crops whose people can be shown anew: neither generated nor rejected ones, nor distractors and junk."""
    crops = (table.train if split == "train" else table).kept
    return crops.where((pl.col("origin") != "generated") & (pl.col("pid") > DISTRACTOR))


def with_new_names(rows: pl.DataFrame, table: ReidTable) -> pl.DataFrame:
    """Rows of generated crops with file names that no crop of the table has: a parent's name is the parent's alone."""
    rows = rows.with_columns(file_name=pl.lit("new.jpg"), split=pl.lit("train"), origin=pl.lit("generated"))
    known = table.rows.select("file_name", "split", "pid", "camid", "seq", "frame")
    names = market_names(pl.concat([known, rows.select(known.columns)]))[len(known) :]
    return rows.with_columns(file_name=pl.Series(names))


def write_made(
    rows: pl.DataFrame,
    make: Callable[[list[int]], Iterable[tuple[Sequence[int], np.ndarray]]],
    folder: Path,
    *,
    stage: str,
    name: str,
    quality: int,
) -> ReidTable:
    """Write the crops of rows whose files are not there, and the table. A file that is there is whole.

    Args:
        rows: All crops, with their file names.
        make: Makes the crops of some rows by parts: the rows' numbers, and pixels uint8 (N, H, W, 3).
        folder: Where the table is written.
        stage: What the bar says.
        name: Of the table.
        quality: JPEG quality.
    """
    paths = [folder / file for file in rows["file_name"]]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    with progress(f"{stage} (crops)", len(paths), start=len(paths) - len(missing)) as bar, CropWriter() as writer:
        for numbers, pixels in make(missing):
            bar.advance(writer.write([paths[number] for number in numbers], pixels, quality=quality))
        bar.advance(writer.wait())
    made = ReidTable.from_rows(rows, root=folder, name=name)
    made.write_metadata(folder)
    return made


def check_maker(table: ReidTable, hash: str, path: Path) -> None:
    """Raise `WeightsError` unless all crops were made with the weights of a hash, in the file at a path."""
    others = table.rows.filter(pl.col("generator").is_null() | (pl.col("generator") != hash))
    if others.height:
        raise WeightsError(
            f"{others['file_name'][0]} was not made with {path}.",
            got=f"generator {others['generator'][0]}",
            allowed=f"generator {hash}",
            fix="the weights that the row names",
        )


class CropWriter:
    """Encodes and writes one batch of crops while the next is computed.

    A safe file has to wait until the disk has it, which takes longer than making the crop; files that wait together
    take hardly longer than one.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS)
        self._under_way: list[Future[None]] = []

    def write(self, paths: Sequence[Path], crops: np.ndarray, *, quality: int) -> int:
        """Begin with a batch; how many crops of the batch before are now written."""
        done = self.wait()
        self._under_way = [
            self._threads.submit(_write_crop, path, pixels, quality) for path, pixels in zip(paths, crops, strict=True)
        ]
        return done

    def wait(self) -> int:
        """Wait for the batch that is under way; how many crops it had. An error in writing one is raised here."""
        under_way, self._under_way = self._under_way, []
        for crop in under_way:
            crop.result()
        return len(under_way)

    def __enter__(self) -> "CropWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)


def _write_crop(path: Path, pixels: np.ndarray, quality: int) -> None:
    write_bytes(path, encode(pixels, quality=quality))
