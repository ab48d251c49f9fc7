"""Animated WebP from single frames, without holding the frames in memory."""

import io
import itertools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from reidgen.errors import ConfigError, option

# https://developers.google.com/speed/webp/docs/riff_container
ANIMATED = 0x02  # flag of the header VP8X
REPLACE = 0x02  # flag of a frame: it does not blend with the one before
FOREVER = 0  # loops
LARGEST = 1 << 24  # pixels along an axis, and milliseconds of a frame
STILL = 16383  # pixels along an axis of a frame


def check_size(size: tuple[int, int]) -> None:
    """Raise `ConfigError` where WebP holds no picture of (height, width)."""
    if max(size) > STILL:
        raise ConfigError(
            "The picture is too large for WebP.",
            got=f"{size[0]}x{size[1]}",
            allowed=f"up to {STILL} pixels high and wide",
            fix=f"fewer {option('rows')} and {option('columns')}, or a smaller {option('scale')}",
        )


def encode_frame(pixels: np.ndarray, *, compression: Literal["lossy", "lossless"], quality: int) -> bytes:
    """A picture (H, W, 3) uint8, of a size that `check_size` allows, as a still WebP file."""
    stream = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if compression == "lossless" else {"quality": quality}
    Image.fromarray(pixels).save(stream, "WEBP", method=4, **options)
    return stream.getvalue()


def animation(frames: Sequence[Path], durations_ms: Sequence[int], *, size: tuple[int, int]) -> Iterator[bytes]:
    """The parts of an animated WebP file that loops for ever.

    Args:
        frames: Still WebP files as `encode_frame` makes them, all of one size; read one at a time.
        durations_ms: How long each is shown.
        size: (height, width) of the frames.
    """
    payloads = [path.stat().st_size - 12 for path in frames]  # a still file without its RIFF header
    total = 4 + (8 + 10) + (8 + 6) + sum(8 + 16 + length for length in payloads)
    height, width = size
    yield b"RIFF" + struct.pack("<I", total) + b"WEBP"
    yield b"VP8X" + struct.pack("<IB3x", 10, ANIMATED) + _uint24(width - 1) + _uint24(height - 1)
    yield b"ANIM" + struct.pack("<IIH", 6, 0, FOREVER)
    for path, duration, length in zip(frames, durations_ms, payloads, strict=True):
        place = _uint24(0) * 2 + _uint24(width - 1) + _uint24(height - 1)
        yield b"ANMF" + struct.pack("<I", 16 + length) + place + _uint24(duration) + bytes([REPLACE])
        payload = path.read_bytes()[12:]
        assert len(payload) == length, "the file that was measured"
        assert payload[:4] in (b"VP8 ", b"VP8L"), "one still picture and nothing else"
        yield payload


def durations(count: int, *, fps: float) -> list[int]:
    """Whole milliseconds of each of `count` frames, at least 1 and with the right sum."""
    ends = [round(1000 * frame / fps) for frame in range(count + 1)]
    return [max(1, end - start) for start, end in itertools.pairwise(ends)]


def _uint24(value: int) -> bytes:
    assert 0 <= value < LARGEST, "a number of three bytes"
    return value.to_bytes(3, "little")
