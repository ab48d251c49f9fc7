import io
import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from reidgen.data.pixels import images
from reidgen.data.pixels.images import read_rgb, read_size
from reidgen.errors import DataError
from tests.factories import crop_pixels

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 32\n%%EndComments\n{ } loop\n%%EOF\n"
OTHERS = {  # formats that Pillow opens by their content, whatever the ending says
    "eps": EPS,
    "blp": b"BLP2" + bytes(200),
    "psd": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x20\0\0\0\x10\0\x08\0\3" + bytes(12),
    "fits": b"SIMPLE  =                    T" + b" " * 3000,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_no_other_format_is_opened_whatever_the_file_is_called(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")  # Ghostscript would be looked for
    (tmp_path / "x.jpg").write_bytes(OTHERS[kind])
    with pytest.raises(DataError, match="not an image format that is read"):
        read_rgb(tmp_path / "x.jpg")


@pytest.mark.parametrize("ending", images.ENDINGS)
def test_every_ending_is_read(tmp_path, ending):
    image = Image.fromarray(crop_pixels())
    (image.convert("L") if ending == ".pgm" else image).save(tmp_path / f"x{ending}")
    assert read_size(tmp_path / f"x{ending}") == (32, 16)
    assert read_rgb(tmp_path / f"x{ending}").mode == "RGB"


def test_a_phones_jpeg_of_several_pictures_gives_the_first(tmp_path):
    first, second = Image.fromarray(crop_pixels()), Image.fromarray(crop_pixels(seed=1))
    first.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[second])
    assert read_rgb(tmp_path / "x.jpg").size == (16, 32)


def test_a_picture_that_is_too_large_is_not_decoded(tmp_path, monkeypatch):
    Image.new("1", (4096, 4097)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image.Image, "convert", None)
    with pytest.raises(DataError, match=r"got: 4097x4096; a picture has 16,777,216 pixels"):
        read_rgb(tmp_path / "x.png")


def test_a_file_that_is_too_long_is_not_opened(tmp_path):
    with (tmp_path / "x.jpg").open("wb") as stream:
        stream.truncate(images.BYTES + 1)  # a hole, which takes no space
    with pytest.raises(DataError, match="got: 134,217,729 bytes"):
        read_size(tmp_path / "x.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    for read in (read_rgb, read_size):
        with pytest.raises(DataError, match="a named pipe, no regular file"):
            read(tmp_path / "x.jpg")


def test_a_link_that_leads_nowhere_is_told_from_a_file_that_is_missing(tmp_path):
    (tmp_path / "x.jpg").symlink_to("annex/none.jpg")
    with pytest.raises(DataError, match="a link that leads nowhere"):
        read_rgb(tmp_path / "x.jpg")


@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_turned_as_pillow_would_and_only_on_wish(tmp_path, orientation):
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    image = Image.fromarray(crop_pixels())
    image.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(read_rgb(tmp_path / "x.png", shown=True), expected)
    assert np.array_equal(read_rgb(tmp_path / "x.png"), image)


def test_exif_that_cannot_be_read_turns_nothing(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(crop_pixels()).save(stream, "JPEG", exif=b"Exif\0\0nonsense")
    (tmp_path / "x.jpg").write_bytes(stream.getvalue())
    assert read_rgb(tmp_path / "x.jpg", shown=True).size == (16, 32)


def test_transparent_parts_lie_over_white_on_wish(tmp_path):
    image = Image.new("RGBA", (16, 32), (10, 20, 30, 255))
    image.putpixel((0, 0), (10, 20, 30, 0))
    image.save(tmp_path / "x.png")
    shown = read_rgb(tmp_path / "x.png", shown=True)
    assert (shown.getpixel((0, 0)), shown.getpixel((1, 0))) == ((255, 255, 255), (10, 20, 30))
    assert read_rgb(tmp_path / "x.png").getpixel((0, 0)) == (10, 20, 30)
