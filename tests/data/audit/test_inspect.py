import os

import numpy as np
import pytest
from PIL import Image

from reidgen.data.audit.inspect import inspect, look
from reidgen.data.pixels.images import ORIENTATION, TURNED_TIFF, read_rgb
from reidgen.data.readers.gather import gather_crops
from tests.factories import crop_pixels, make_table, write_crop


def saved(image, path, **options):
    image.save(path, **options)
    return path


def test_good_crops_have_size_and_hashes_of_pixels_and_bytes(tmp_path):
    table = make_table(range(1, 100), root=tmp_path)
    looks = [one for part in inspect(table) for one in part]
    assert [one.file_name for one in looks] == table.rows["file_name"].to_list()
    assert {one.size for one in looks} == {(32, 16)}
    assert {one.kind for one in looks} == {""}
    assert len({one.pixels for one in looks}) == len({one.content for one in looks}) == 99


def test_equal_pixels_in_other_bytes_are_seen(tmp_path):
    pixels = Image.fromarray(np.full((32, 16, 3), 90, dtype=np.uint8))
    pixels.save(tmp_path / "a.png")
    pixels.save(tmp_path / "b.bmp")
    pixels.resize((32, 16)).save(tmp_path / "c.png")
    a, b, c = (look(name, tmp_path / name) for name in ("a.png", "b.bmp", "c.png"))
    assert a.pixels == b.pixels
    assert a.content != b.content
    assert a.pixels != c.pixels


@pytest.mark.parametrize(
    ("size", "mode", "kind", "reason"),
    [
        ((15, 10), "RGB", "absurd", "tiny: 15x10, smallest is 16x8"),
        ((30, 7), "RGB", "absurd", "tiny: 30x7, smallest is 16x8"),
        ((16, 8), "RGB", "", ""),
        ((16, 49), "RGB", "absurd", "no shape of a person: 16x49, height / width is 0.33 to 8"),
        ((80, 9), "RGB", "absurd", "no shape of a person: 80x9, height / width is 0.33 to 8"),
        ((32, 16), "L", "mode", "greyscale (mode L)"),
        ((32, 16), "RGBA", "mode", "with transparency (mode RGBA)"),
        ((32, 16), "P", "mode", "palette (mode P)"),
        ((32, 16), "LA", "mode", "not RGB (mode LA)"),
    ],
)
def test_absurd_sizes_and_other_modes_are_found(tmp_path, size, mode, kind, reason):
    one = look("x.png", write_crop(tmp_path / "x.png", size=size, mode=mode))
    assert (one.size, one.kind, one.reason) == (size, kind, reason)


def test_huge_images_are_found_without_decoding(tmp_path):
    Image.new("L", (2048, 4097)).save(tmp_path / "x.png")
    one = look("x", tmp_path / "x.png")
    assert (one.kind, one.reason, one.pixels) == ("absurd", "huge: 4097x2048, largest side is 4096", None)


def test_cmyk_jpegs_rotations_and_sixteen_bits_are_found(tmp_path):
    assert look("x", write_crop(tmp_path / "x.jpg", mode="CMYK")).reason == "CMYK (mode CMYK)"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 32)).save(tmp_path / "r.jpg", exif=exif)
    assert look("r", tmp_path / "r.jpg").reason == "EXIF asks for a rotation, which re-ID readers do not do"
    Image.new("I;16", (16, 32)).save(tmp_path / "d.png")
    assert look("d", tmp_path / "d.png").reason == "image mode I;16, which has no 8-bit colours"


def test_files_that_do_not_decode_are_found_and_nothing_is_raised(tmp_path):
    path = write_crop(tmp_path / "x.jpg")
    content = path.read_bytes()
    for data, reason in (
        (content[:-40], "truncated"),
        (b"", "an empty file"),
        (b"GIF89a nonsense", ""),
        (b"text", "not an image"),
    ):
        path.write_bytes(data)
        one = look("x.jpg", path)
        assert (one.kind, one.pixels) == ("unreadable", None)
        assert reason in one.reason
        assert str(tmp_path) not in one.reason
    path.unlink()
    assert look("x.jpg", path).reason == "no such file"
    path.mkdir()
    assert look("x.jpg", path).reason == "a folder, no regular file"


def test_damaged_pngs_are_found(tmp_path):
    path = write_crop(tmp_path / "x.png")
    content = path.read_bytes()
    for cut in range(8, len(content) - 20, 37):
        path.write_bytes(content[:cut])
        assert look("x.png", path).kind == "unreadable"
    for i in range(20, len(content) - 12, 31):
        path.write_bytes(content[:i] + bytes([content[i] ^ 255]) + content[i + 1 :])
        assert look("x.png", path).kind in ("unreadable", "mode", "absurd", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert look("x", tmp_path / "pipe.jpg").reason == "a named pipe, no regular file"
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    assert look("x", tmp_path / "zero.jpg").reason == "a device, no regular file"


def test_transparent_parts_are_told_in_every_mode_and_opaque_ones_are_not(tmp_path):
    image = Image.fromarray(crop_pixels()).convert("RGBA")
    assert look("x", saved(image, tmp_path / "opaque.png")).otherwise == ""
    image.putpixel((3, 3), (9, 9, 9, 0))
    for mode in ("RGBA", "LA", "PA"):
        ending = "tif" if mode == "PA" else "png"
        assert look("x", saved(image.convert(mode), tmp_path / f"{mode}.{ending}")).otherwise.startswith("transparent")
    one = look("x", saved(image.convert("RGB"), tmp_path / "keyed.png", transparency=(9, 9, 9)))
    assert (one.kind, one.otherwise[:17]) == ("mode", "transparent parts")


@pytest.mark.parametrize(("tag", "told"), [(6, TURNED_TIFF), (1, "")])
def test_a_tiff_that_pillow_turns_by_itself_is_told(tmp_path, tag, told, capsys):
    path = tmp_path / "x.tif"
    Image.fromarray(crop_pixels((16, 32))).save(path, tiffinfo={ORIENTATION: tag})
    assert look("x.tif", path).reason == told
    gather_crops(tmp_path, "query")
    assert read_rgb(path).size == ((16, 32) if told else (32, 16)) == read_rgb(path, shown=True).size
    assert capsys.readouterr().err == (
        f"1 of 1 pictures: {told}; read as a viewer shows them (x.tif)\n" if told else ""
    )
