"""Picture files of every kind: damaged ones, ones that lie about their size, ones that are not pictures."""

import io
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from reidgen.data.pixels.images import read_rgb, read_size
from reidgen.data.table import ReidTable
from tests.factories import crop_pixels, write_crop
from tests.hostile.damage import BYTES
from tests.hostile.guard import Case, verb

NAMES = ("0001_c1s1_000000_00.jpg", "0002_c2s1_000000_00.jpg", "0003_c1s1_000000_00.jpg")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 128\n%%EndComments\n{ } loop\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def _whole() -> dict[str, bytes]:
    """Pictures of every format and mode that is read, and some that are not."""
    image, found = Image.fromarray(crop_pixels((48, 24))), {}
    exif = Image.Exif()
    exif[0x0112] = 6
    ways: dict[str, tuple[str, str, dict[str, object]]] = {
        "jpeg": ("RGB", "JPEG", {}),
        "jpeg-progressive": ("RGB", "JPEG", {"progressive": True}),
        "jpeg-exif": ("RGB", "JPEG", {"exif": exif}),
        "jpeg-cmyk": ("CMYK", "JPEG", {}),
        "jpeg-gray": ("L", "JPEG", {}),
        "png": ("RGB", "PNG", {}),
        "png-alpha": ("RGBA", "PNG", {}),
        "png-palette": ("P", "PNG", {"transparency": 3}),
        "png-bits": ("1", "PNG", {}),
        "png-16": ("I;16", "PNG", {}),
        "gif": ("P", "GIF", {"save_all": True, "append_images": [image] * 3}),
        "webp": ("RGB", "WEBP", {}),
        "webp-moves": ("RGBA", "WEBP", {"save_all": True, "append_images": [image] * 3}),
        "bmp": ("RGB", "BMP", {}),
        "ppm": ("RGB", "PPM", {}),
        "tiff": ("RGB", "TIFF", {}),
        "tiff-lzw": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        "tiff-float": ("F", "TIFF", {}),
        "pcx": ("RGB", "PCX", {}),
        "ico": ("RGB", "ICO", {}),
        "tga": ("RGB", "TGA", {}),
        "sgi": ("RGB", "SGI", {}),
        "dds": ("RGB", "DDS", {}),
        "blp": ("P", "BLP", {}),
        "jp2": ("RGB", "JPEG2000", {}),
    }
    for name, (mode, kind, options) in ways.items():
        stream = io.BytesIO()
        Image.fromarray(crop_pixels((48, 24))).convert("L" if mode in ("I;16", "F") else mode).convert(mode).save(
            stream, kind, **options
        )
        found[name] = stream.getvalue()
    return found


def _png_of(width: int, height: int, *, text: bytes = b"") -> bytes:
    """A PNG that says that it is as large as that, and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    more = chunk(b"zTXt", b"a\0\0" + text) if text else b""
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(bytes(100_000), 9)) + chunk(b"IEND", b"")


LIARS: dict[str, bytes] = {
    "png-huge": _png_of(60_000, 60_000),
    "png-wide": _png_of(2**31 - 1, 1),
    "png-no-pixels": _png_of(0, 0),
    "png-bomb": _png_of(24, 48, text=zlib.compress(bytes(2**27), 9)),
    "ppm-huge": b"P6 99999 99999 255\n" + bytes(100),
    "ppm-negative": b"P6 -5 7 255\n" + bytes(100),
    "ppm-plain": b"P3 4 4 255\n" + b"9" * 100_000,
    "bmp-huge": b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
    "gif-huge": b"GIF89a" + b"\xff" * 4 + bytes(3) + b"\x2c" + bytes(9) + b"\x02\x02\x44\x01\0;",
    "tiff-loop": b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0\x18\0\0\0\x08\0\0\0",
    "eps": EPS,
    "svg": SVG,
    "xbm": b"#define a_width 9999999\n#define a_height 9999999\nstatic char a_bits[] = {0x00};",
    "text": b"GIF89a" * 1000,
    "zeros": bytes(5000),
    "wmf": b"\xd7\xcd\xc6\x9a" + bytes(100),
    "pdf": b"%PDF-1.4\n1 0 obj<</Length 99999999>>stream\n",
    "empty": b"",
}


class Cases:
    """A dataset of three crops in a folder, of which one is hostile."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.whole = _whole()
        (folder / "secret.jpg").parent.mkdir(parents=True, exist_ok=True)
        (folder / "secret.jpg").write_bytes(b"TOP SECRET")
        self.ways: tuple[Callable[[Path], None], ...] = (self._read, self._read, self._read, self._prepare)

    def case(self, seed: int) -> Case:
        """The dataset of a seed; the next takes its place."""
        rng = random.Random(seed)
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        for number, name in enumerate(NAMES):
            write_crop(self.data / "bounding_box_train" / name, size=(48, 24), seed=number)
        path = self.data / "bounding_box_train" / NAMES[2]
        path.unlink()
        kind = rng.choice((self._damaged, self._damaged, self._liar, self._special))
        name = kind(path, rng)
        way = rng.choice(self.ways)
        return Case(f"{seed}: {name}{way.__name__}", lambda: way(path), (self.folder / "out",), self.folder)

    def _damaged(self, path: Path, rng: random.Random) -> str:
        kind, change = rng.choice(list(self.whole)), rng.choice(BYTES)
        path.write_bytes(change(self.whole[kind], rng))
        return f"{kind}, {change.__name__}"

    def _liar(self, path: Path, rng: random.Random) -> str:
        kind = rng.choice(list(LIARS))
        path.write_bytes(LIARS[kind])
        return kind

    def _special(self, path: Path, rng: random.Random) -> str:
        makers: dict[str, Callable[[], object]] = {
            "fifo": lambda: os.mkfifo(path),
            "folder": path.mkdir,
            "dangling": lambda: path.symlink_to("annex/nowhere.jpg"),
            "zero": lambda: path.symlink_to("/dev/zero"),
            "loop": lambda: path.symlink_to(path.name),
            "outside": lambda: path.symlink_to("../../secret.jpg"),
            "no-utf8": lambda: Path(os.fsdecode(os.fsencode(path.parent) + b"/0003_c1s1_\xff.jpg")).write_bytes(b"x"),
            "line": lambda: path.with_name("0003_c1s1_000000_00\n\x1b[31m.jpg").write_bytes(b"x"),
        }
        kind = rng.choice(list(makers))
        makers[kind]()
        return kind

    def _read(self, path: Path) -> None:
        """A picture has one size and the same pixels each time."""
        pixels = np.asarray(read_rgb(path))
        assert pixels.dtype == np.uint8 and pixels.shape == (*read_size(path), 3)
        assert (pixels == np.asarray(read_rgb(path))).all()

    def _prepare(self, path: Path) -> None:
        """Either no table, or one of whole crops that says what was left out or is bad."""
        out = self.folder / "out"
        verb("prepare", "--root", self.data, "--expect-counts", "any", "--bad-files", "drop", "--out", out)
        table = ReidTable.read(out)
        for crop in table.paths:
            read_rgb(crop)
            assert b"TOP SECRET" not in crop.read_bytes()
        if len(table) < len(NAMES):
            assert '"findings": []' not in (out / "audit.json").read_text()
