"""Looking at every image file of a table: whether it decodes, its size and mode, and what its pixels hash to."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reidgen.data.audit.near import thumbnail
from reidgen.data.disk.threads import chunks, in_order
from reidgen.data.pixels.images import DECODE_ERRORS, MODES, decode, opened, reason, shown_otherwise
from reidgen.data.table import ReidTable

CHUNK = 64
TINY = (16, 8)  # (height, width) below which a crop shows no person
HUGE = 4_096  # pixels of a side
ASPECT = (1 / 3, 8)  # height / width of anything that can be one person
MODE_NAMES = {"L": "greyscale", "1": "black and white", "P": "palette", "CMYK": "CMYK", "RGBA": "with transparency"}


@dataclass(frozen=True)
class Look:
    """What one image file is.

    Attributes:
        file_name: As in the table.
        size: (height, width); None where the file has no header that can be read.
        pixels: Hash of the decoded RGB pixels and their size, or None where they cannot be decoded.
        content: Hash of the file's bytes, or None where it cannot be opened as an image.
        kind: "" for a good crop, otherwise "unreadable", "absurd" or "mode".
        reason: What is wrong, in words.
        otherwise: Why a viewer shows its pixels otherwise than they are stored, in words; "" if it does not.
        thumbnail: uint8 (16, 9, 3), or None where it cannot be decoded.
    """

    file_name: str
    size: tuple[int, int] | None = None
    pixels: bytes | None = None
    content: bytes | None = None
    kind: str = ""
    reason: str = ""
    otherwise: str = ""
    thumbnail: np.ndarray | None = field(default=None, compare=False, repr=False)


def inspect(table: ReidTable) -> Iterator[list[Look]]:
    """Look at every file, in the table's order, in lists of a few dozen (for a progress bar).

    Nothing is raised for a bad file; that is the finding.
    """
    files = list(zip(table.rows["file_name"], table.paths, strict=True))
    yield from in_order(lambda part: [look(*file) for file in part], chunks(files, CHUNK))


def look(file_name: str, path: Path) -> Look:
    """Decode one file whole and judge it."""
    size, content = None, None
    try:
        with opened(path) as image:
            content = _hash(path.read_bytes())
            size, mode = (image.height, image.width), image.mode
            absurd = _absurd(size)
            if max(size) > HUGE:  # not worth the memory
                return Look(file_name, size, None, content, "absurd", absurd)
            if mode not in MODES:
                return Look(file_name, size, None, content, "mode", f"image mode {mode}, which has no 8-bit colours")
            otherwise = shown_otherwise(image)
            decoded = decode(image)
            pixels, small = _hash(repr(size).encode() + decoded.tobytes()), thumbnail(decoded)
    except DECODE_ERRORS as error:
        return Look(file_name, size, None, content, "unreadable", reason(path, error))
    seen = Look(file_name, size, pixels, content, otherwise=otherwise, thumbnail=small)
    if absurd:
        return replace(seen, kind="absurd", reason=absurd)
    if otherwise:
        return replace(seen, kind="mode", reason=otherwise)
    if mode != "RGB":
        return replace(seen, kind="mode", reason=f"{MODE_NAMES.get(mode, 'not RGB')} (mode {mode})")
    return seen


def _absurd(size: tuple[int, int]) -> str:
    height, width = size
    if height < TINY[0] or width < TINY[1]:
        return f"tiny: {height}x{width}, smallest is {TINY[0]}x{TINY[1]}"
    if max(size) > HUGE:
        return f"huge: {height}x{width}, largest side is {HUGE}"
    if not ASPECT[0] <= height / width <= ASPECT[1]:
        return f"no shape of a person: {height}x{width}, height / width is {ASPECT[0]:.2f} to {ASPECT[1]}"
    return ""


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
