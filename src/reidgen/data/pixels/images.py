"""The one place where picture files are opened: RGB pixels, or an error that names the file and says what is wrong."""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from reidgen.errors import DataError
from reidgen.files import check_regular

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
# The content decides the format, not the ending: others that Pillow knows start programs (EPS) or end the process.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
PIXELS, BYTES = 4_096 * 4_096, 2**27  # of a picture and of its file, at the most; looked at before anything is decoded
# What Pillow's decoders raise on damaged files, beside OSError (of which UnidentifiedImageError is one).
DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
# Modes that convert to 8-bit RGB without a choice of scale; the audit lists crops that are not RGB already.
MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
TURNED = "EXIF asks for a rotation, which re-ID readers do not do"
TURNED_TIFF = "a tag of a TIFF asks for a rotation, which Pillow does and other readers may not"
TRANSPARENT = "transparent parts, of which re-ID readers see the hidden pixels"
ORIENTATION = 0x0112  # EXIF tag
UPRIGHT = {  # its values, and what a viewer does
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file of one of the formats, whose header is read and whose pixels are not.

    Raises:
        OSError: The file is missing, a pipe or a device, too long, or of no such format.
    """
    length = check_regular(path).st_size
    if length > BYTES:
        raise OSError(f"{length:,} bytes; a picture has {BYTES:,} at the most")
    with Image.open(path, formats=FORMATS) as image:
        yield image


def decode(image: Image.Image, *, shown: bool = False) -> Image.Image:
    """The pixels of an opened image as 8-bit RGB, as they are stored, or as a viewer shows them.

    Pillow turns a TIFF by its own tag in both cases.

    Args:
        image: What `opened` gives, of a mode of `MODES`.
        shown: Turn it as its EXIF asks, and lay its transparent parts over white.

    Raises:
        ValueError: It has more than `PIXELS`.
    """
    if image.width * image.height > PIXELS:
        raise ValueError(f"{image.height}x{image.width}; a picture has {PIXELS:,} pixels at the most")
    if not shown:
        return image.convert("RGB")
    turn = UPRIGHT.get(_orientation(image))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        pixels = white.convert("RGB")
    else:
        pixels = image.convert("RGB")
    return pixels if turn is None else pixels.transpose(turn)


def shown_otherwise(image: Image.Image) -> str:
    """Why a viewer shows an opened image otherwise than its pixels are stored, in words; "" if it does not.

    It has not been decoded: decoding a TIFF takes its tag away.
    """
    if _orientation(image) in UPRIGHT:
        return TURNED
    if image.format == "TIFF" and _tag(image) in UPRIGHT:
        return TURNED_TIFF
    if image.has_transparency_data and image.width * image.height <= PIXELS:
        darkest = image.convert("RGBA").getchannel("A").getextrema()[0]
        return TRANSPARENT if darkest < 255 else ""  # type: ignore[operator]
    return ""


def file_otherwise(path: Path) -> str:
    """`shown_otherwise` of a file; "" of one that does not open, which whoever decodes it will tell."""
    try:
        with opened(path) as image:
            return shown_otherwise(image)
    except DECODE_ERRORS:
        return ""


def read_rgb(path: Path, *, size: tuple[int, int] | None = None, shown: bool = False) -> Image.Image:
    """Decode an image file whole as 8-bit RGB.

    Args:
        path: The file.
        size: (height, width) to resize to, bicubic with antialiasing; None keeps the size.
        shown: As a viewer shows it: turned as its EXIF asks, transparent parts over white.

    Raises:
        DataError: The file is missing, truncated, no image, too large, or of a mode (16-bit, float) without 8-bit
            colours.
    """
    try:
        with opened(path) as image:
            _check_mode(path, image.mode)
            pixels = decode(image, shown=shown)
    except DataError:
        raise
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error
    if size is not None and pixels.size != (size[1], size[0]):
        pixels = pixels.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return pixels


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header.

    Raises:
        DataError: The file is missing or no image.
    """
    try:
        with opened(path) as image:
            return image.height, image.width
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """The error for a file that Pillow could not decode."""
    return DataError(
        f"{path} is not a readable image.",
        got=reason(path, error),
        allowed=f"a whole picture: {', '.join(FORMATS)}",
        fix="copy or download the file again, or leave it out: reidgen prepare ... --bad-files drop --out NEW",
    )


def reason(path: Path, error: Exception) -> str:
    """In a few words, without the file's name, why a file could not be decoded."""
    if isinstance(error, FileNotFoundError):
        return "a link that leads nowhere" if path.is_symlink() else "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if path.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image format that is read ({', '.join(FORMATS)})"
    return str(error) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """What the EXIF of an opened image says of its orientation; 1, upright, where it says nothing that can be read."""
    return _tag(image) if "exif" in image.info else 1


def _tag(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except (*DECODE_ERRORS, TypeError, KeyError, OverflowError):
        return 1


def _check_mode(path: Path, mode: str) -> None:
    if mode not in MODES:
        raise DataError(
            f"{path} has no 8-bit colours.",
            got=f"image mode {mode}",
            allowed=", ".join(MODES),
            fix="save it as 8-bit RGB, or leave it out: reidgen prepare ... --bad-files drop --out NEW",
        )
