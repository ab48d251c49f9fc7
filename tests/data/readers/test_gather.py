import numpy as np
import pytest
from PIL import Image

from reidgen.data.pixels.images import ORIENTATION, read_rgb
from reidgen.data.pixels.store import CropStore
from reidgen.data.readers.gather import gather_crops
from reidgen.errors import DataError
from tests.factories import crop_pixels, make_table, write_crop


def test_a_table_gives_the_split_that_is_asked_for(tmp_path):
    make_table([1, 2, 3], splits=["query", "gallery", "gallery"], root=tmp_path).write(tmp_path)
    assert gather_crops(tmp_path, "query").table.pids.tolist() == [1]
    found = gather_crops(tmp_path, "gallery")
    assert found.table.pids.tolist() == [2, 3] and found.known.all()


def test_a_table_without_that_split_gives_all(tmp_path):
    make_table([1, 2], splits="train", root=tmp_path).write(tmp_path)
    assert len(gather_crops(tmp_path, "query").table) == 2


def test_any_folder_gives_all_images_below_it_and_knows_whom_their_names_tell(tmp_path):
    for name in ("b.png", "deep/er/0007_c2s1_000001_00.jpg", "deep/-1_c3s1_000001_00.jpg", ".hidden.jpg"):
        write_crop(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no crop")
    found = gather_crops(tmp_path, "gallery")
    assert found.table.rows["file_name"].to_list() == [
        "b.png",
        "deep/-1_c3s1_000001_00.jpg",
        "deep/er/0007_c2s1_000001_00.jpg",
    ]
    assert found.known.tolist() == [False, True, True]
    assert found.table.pids.tolist() == [0, -1, 7] and found.table.camids.tolist() == [0, 3, 2]


def test_one_image_is_one_crop(tmp_path):
    path = write_crop(tmp_path / "someone.PNG")
    found = gather_crops(path, "query")
    assert found.table.paths == [path] and found.known.tolist() == [False]


def test_nothing_at_the_path_is_told(tmp_path):
    with pytest.raises(DataError, match=r"There are no crops at .*\n  got: no such file or folder"):
        gather_crops(tmp_path / "none", "query")
    (tmp_path / "notes.txt").write_text("no crop")
    with pytest.raises(DataError, match="a file that is not an image"):
        gather_crops(tmp_path / "notes.txt", "query")
    with pytest.raises(DataError, match=r"holds no images(.|\n)*try: gallery"):
        gather_crops(tmp_path, "gallery")


def test_pictures_that_a_viewer_shows_otherwise_are_told_and_read_so_on_wish(tmp_path, capsys):
    write_crop(tmp_path / "plain.png")
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    Image.fromarray(crop_pixels((16, 32))).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    stored = gather_crops(tmp_path, "query").table
    told = "1 of 2 pictures: EXIF asks for a rotation, which re-ID readers do not do; read as "
    assert capsys.readouterr().err == f"{told}they are stored; pictures='as-shown' otherwise (phone.jpg)\n"
    shown = gather_crops(tmp_path, "query", pictures="as-shown").table
    assert capsys.readouterr().err == f"{told}a viewer shows them (phone.jpg)\n"
    assert shown.hash() != stored.hash()  # and so no decoded crops or embeddings of the other are taken
    pixels = CropStore.open(shown, size=(32, 16)).images[0]
    assert np.array_equal(pixels, read_rgb(tmp_path / "phone.jpg", shown=True))
    assert gather_crops(tmp_path / "plain.png", "query", pictures="as-shown").table.hash() in {
        gather_crops(tmp_path / "plain.png", "query").table.hash()
    }
