"""Reading one image file: RGB pixels, or an error that names the file and says what is wrong with it."""

import struct
import zlib
from pathlib import Path

from PIL import Image

from reidgen.errors import DataError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
# What Pillow's decoders raise on damaged files, beside OSError (of which UnidentifiedImageError is one).
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
# Modes that convert to 8-bit RGB without a choice of scale; the audit lists crops that are not RGB already.
MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")


def read_rgb(path: Path, *, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode an image file whole as 8-bit RGB.

    Args:
        path: The file.
        size: (height, width) to resize to, bicubic with antialiasing; None keeps the size.

    Raises:
        DataError: The file is missing, truncated, no image, or of a mode (16-bit, float) without 8-bit colours.
    """
    try:
        with Image.open(path) as image:
            _check_mode(path, image.mode)
            pixels = image.convert("RGB")
    except DataError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error
    if size is not None and pixels.size != (size[1], size[0]):
        pixels = pixels.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return pixels


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that Pillow could not decode."""
    return DataError(
        f"{path} is no readable image.",
        got=reason(path, error),
        allowed="a whole JPEG or PNG",
        fix="copy or download the file again, or leave it out: reidgen prepare ... --bad-files drop --out NEW",
    )


def reason(path: Path, error: Exception) -> str:
    """In a few words, without the file's name, why Pillow could not decode a file."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if path.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image format that Pillow knows"
    return str(error) or type(error).__name__


def _check_mode(path: Path, mode: str) -> None:
    if mode not in MODES:
        raise DataError(
            f"{path} has no 8-bit colours.",
            got=f"image mode {mode}",
            allowed=", ".join(MODES),
            fix="save it as 8-bit RGB, or leave it out: reidgen prepare ... --bad-files drop --out NEW",
        )
