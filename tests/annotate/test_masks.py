import numpy as np
import pytest
from PIL import Image

from reidgen.annotate.masks import MaskFolder, called, contents, place_mask, read_mask
from reidgen.errors import DataError
from tests.factories import make_table

SIZE = (32, 16)


def write_mask(path, size=SIZE, value=255):
    """A mask file whose upper half is a person."""
    pixels = np.zeros(size, np.uint8)
    pixels[: size[0] // 2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_masks_are_found_by_folder_and_name(tmp_path):
    train = write_mask(tmp_path / "bounding_box_train" / "0001_c1s1_000000_00.png")
    query = write_mask(tmp_path / "query" / "0001_c1s1_000000_00.png")
    alone = write_mask(tmp_path / "any" / "0002_c1s1_000000_00.png")
    (tmp_path / "notes.txt").write_text("no picture")
    folder = MaskFolder(tmp_path)
    assert folder.file("bounding_box_train/0001_c1s1_000000_00.jpg") == train
    assert folder.file("query/0001_c1s1_000000_00.jpg") == query
    assert folder.file("bounding_box_test/0001_c1s1_000000_00.jpg") is None  # two have the name
    assert folder.file("bounding_box_test/0002_c1s1_000000_00.jpg") == alone
    assert sorted(folder.all) == sorted([train, query, alone])


def test_a_crop_without_a_mask_is_named(tmp_path):
    table = make_table([1, 2, 3], root=tmp_path / "crops")
    write_mask(tmp_path / "masks" / f"{table.paths[0].stem}.png")
    with pytest.raises(DataError, match=r"no mask for .*0002_c2s1_000001_00.jpg, and 1 more") as error:
        MaskFolder(tmp_path / "masks").check(table)
    assert "0002_c2s1_000001_00.png" in error.value.fix


def test_a_mask_of_another_size_is_an_error(tmp_path):
    table = make_table([1], root=tmp_path / "crops")
    write_mask(tmp_path / "masks" / f"{table.paths[0].stem}.png", size=(16, 16))
    with pytest.raises(DataError, match="another size than its crop"):
        MaskFolder(tmp_path / "masks").check(table)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no folder of masks"):
        MaskFolder(tmp_path / "masks")


def test_contents_follow_names_and_pixels(tmp_path):
    path = write_mask(tmp_path / "one.png")
    before = contents(MaskFolder(tmp_path))
    path.rename(tmp_path / "two.png")
    named = contents(MaskFolder(tmp_path))
    write_mask(tmp_path / "two.png", value=1)
    assert len({before, named, contents(MaskFolder(tmp_path))}) == 3


def test_a_mask_of_255_is_linked_and_one_of_labels_is_written_anew(tmp_path):
    whole, labels = write_mask(tmp_path / "whole.png"), write_mask(tmp_path / "labels.png", value=1)
    for file in (whole, labels):
        place_mask(read_mask(file), file, tmp_path / "out" / file.name, "link")
    assert (tmp_path / "out" / "whole.png").samefile(whole)
    made = np.asarray(Image.open(tmp_path / "out" / "labels.png"))
    assert made.shape == SIZE and (made[:16] == 255).all() and (made[16:] == 0).all()


def test_a_function_gives_booleans_numbers_or_nothing():
    crop = np.zeros((4, 2, 3), np.uint8)
    assert called(lambda _: None, crop, "x") is None
    assert called(lambda seen: np.full(seen.shape[:2], 0.5), crop, "x").all()
    assert not called(lambda seen: np.zeros(seen.shape[:2], bool), crop, "x").any()


@pytest.mark.parametrize("given", [np.zeros((4, 3)), np.zeros((4, 2, 1)), "mask"])
def test_a_function_that_gives_no_mask_is_an_error(given):
    with pytest.raises(DataError, match=r"no mask of x\.jpg"):
        called(lambda _: given, np.zeros((4, 2, 3), np.uint8), "x.jpg")
