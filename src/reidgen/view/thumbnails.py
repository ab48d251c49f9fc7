"""Small pictures of crops, made once and kept in the cache folder: one file for all tables, a row a crop."""

import contextlib
import hashlib
import io
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from reidgen.data.disk.threads import in_order
from reidgen.data.pixels.images import read_rgb
from reidgen.engine.cache import cache_folder, writing_cache
from reidgen.errors import DataError, command
from reidgen.files import check_regular

NAME = "thumbnails-1.sqlite3"
SIDE, QUALITY = 128, 88  # of the longer side, in pixels; of the JPEG
WAIT_SEC = 30  # for another process that is writing
TABLE = "CREATE TABLE IF NOT EXISTS thumbnails (crop BLOB PRIMARY KEY, jpeg BLOB NOT NULL) WITHOUT ROWID"


def thumbnails(crops: Sequence[tuple[Path, bool]]) -> list[bytes]:
    """The crops as small JPEG files, in order; empty for one that cannot be read.

    A file is known by its path, size and time, so that one that was changed is made anew.

    Args:
        crops: Files, and whether each is read as a viewer shows it.

    Raises:
        DataError: The cache cannot be written, or its file is damaged.
    """
    keys = [_key(path, shown) for path, shown in crops]
    with _opened() as base:
        kept = dict(_read(base, [key for key in keys if key]))
        new = {key: crop for key, crop in zip(keys, crops, strict=True) if key and key not in kept}
        made = dict(zip(new, in_order(_made, list(new.values())), strict=True))
        if found := [item for item in made.items() if item[1]]:
            base.executemany("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", found)
            base.commit()
    return [(kept.get(key) or made.get(key) or b"") if key else b"" for key in keys]


@contextlib.contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    path = cache_folder() / NAME
    with writing_cache(path.parent, "Thumbnails"):
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=WAIT_SEC)) as base:
                base.execute(TABLE)
                yield base
        except sqlite3.OperationalError as error:  # no room, or no right to write
            raise OSError(None, str(error)) from error
        except sqlite3.DatabaseError as error:
            allowed = "the thumbnails as they were written"
            raise DataError(f"{path} is damaged.", got=str(error), allowed=allowed, fix=command("rm", path)) from error


def _read(base: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for key in keys:
        yield from base.execute("SELECT crop, jpeg FROM thumbnails WHERE crop = ?", (key,))


def _key(path: Path, shown: bool) -> bytes | None:
    try:
        status = check_regular(path)
    except OSError:
        return None
    return hashlib.blake2b(f"{path}|{status.st_size}|{status.st_mtime_ns}|{shown}".encode(), digest_size=16).digest()


def _made(crop: tuple[Path, bool]) -> bytes:
    try:
        image = read_rgb(crop[0], shown=crop[1])
    except DataError:  # the page says that it cannot be read; the crop's own page says why
        return b""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return coded(image, "JPEG", quality=QUALITY)


def coded(image: Image.Image, kind: str, **options: int) -> bytes:
    """A picture as a file of a kind that Pillow knows, without anything but its pixels."""
    stream = io.BytesIO()
    Image.frombytes("RGB", image.size, image.tobytes()).save(stream, kind, **options)
    return stream.getvalue()
