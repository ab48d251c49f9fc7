"""Features of many crops in one file that grows chunk by chunk: bounded memory, and a stop costs one chunk."""

import os
from pathlib import Path
from typing import IO

import numpy as np

from reidgen.engine.cache import writing_cache
from reidgen.engine.progress import progress
from reidgen.engine.runs.lock import alone
from reidgen.errors import DataError, command
from reidgen.fidelity.crops import Crops
from reidgen.fidelity.extractors import Extractor

CHUNK = 256  # crops between two writes


def extract(crops: Crops, extractor: Extractor, path: Path, *, batch: int, label: str) -> np.ndarray:
    """Features of all crops, float32 (N, D), memory-mapped from `path`, which is filled first where it is not there.

    A process that was killed left whole chunks behind; the next one goes on after them, to the same bytes, as batches
    do not reach over chunks. Two processes with one path wait for each other.

    Raises:
        DataError: A crop cannot be decoded, a feature is not a number, or the file is of another size.
    """
    part = path.with_suffix(".part")
    if not path.exists():
        with writing_cache(path.parent, "Features"), alone(path.with_suffix(".lock")):
            if not path.exists():  # the process before us has not finished it
                with part.open("ab") as stream:
                    _fill(stream, crops, extractor, batch, label)
                part.replace(path)
    size = len(crops) * extractor.width * 4
    if path.stat().st_size != size:
        raise DataError(
            f"{path} is damaged.", got=f"{path.stat().st_size:,} bytes", allowed=size, fix=command("rm", path)
        )
    return np.memmap(path, np.float32, "c", shape=(len(crops), extractor.width))


def _fill(stream: IO[bytes], crops: Crops, extractor: Extractor, batch: int, label: str) -> None:
    chunk_bytes = CHUNK * extractor.width * 4
    done = min(os.fstat(stream.fileno()).st_size // chunk_bytes * CHUNK, len(crops))
    stream.truncate(done * extractor.width * 4)
    with progress(f"{label} (crops)", len(crops), start=done) as bar:
        for first in range(done, len(crops), CHUNK):
            rows = range(first, min(first + CHUNK, len(crops)))
            features = _chunk(crops.read(rows), extractor, batch)
            if not np.isfinite(features).all():
                raise DataError(f"A feature of {label} is not a number.", got=f"crops {rows[0]} to {rows[-1]}")
            stream.write(features.tobytes())
            stream.flush()
            os.fsync(stream.fileno())
            bar.advance(len(rows))


def _chunk(pixels: np.ndarray, extractor: Extractor, batch: int) -> np.ndarray:
    parts = [extractor.compute(pixels[at : at + batch]) for at in range(0, len(pixels), batch)]
    return np.ascontiguousarray(np.concatenate(parts), dtype="<f4")
