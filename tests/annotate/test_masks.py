import numpy as np
import pytest
from PIL import Image

import reidgen as rg
from reidgen.annotate.masks import MaskFolder, called, contents, is_photograph, place_mask, read_mask
from reidgen.data.readers.load import SAMPLE
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
    with pytest.raises(DataError, match=r"no mask for 2 of 3 crops, such as .*0002_c2s1_000001_00.jpg") as error:
        MaskFolder(tmp_path / "masks").check(table)
    assert "0002_c2s1_000001_00.png" in error.value.fix


def test_a_mask_of_another_size_is_an_error(tmp_path):
    table = make_table([1], root=tmp_path / "crops")
    write_mask(tmp_path / "masks" / f"{table.paths[0].stem}.png", size=(16, 16))
    with pytest.raises(DataError, match="another size than its crop"):
        MaskFolder(tmp_path / "masks").check(table)


@pytest.mark.parametrize("value", [255, 128])
def test_edges_that_jpeg_has_spread_are_no_person(tmp_path, value):
    """Beside a person of 0 and a value JPEG leaves small numbers, which are no part of it; an empty mask stays so."""
    rows, columns = np.mgrid[0:64, 0:32]
    person = np.hypot(rows - 31.5, 2 * (columns - 15.5)) < 24
    Image.fromarray((value * person).astype(np.uint8)).save(tmp_path / "mask.jpg", quality=75)
    Image.fromarray(np.zeros((64, 32), np.uint8)).save(tmp_path / "empty.jpg")
    with Image.open(tmp_path / "mask.jpg") as picture:
        assert (np.asarray(picture)[~person] > 0).mean() > 0.05, "it does"
    assert (read_mask(tmp_path / "mask.jpg") == person).all()
    assert not read_mask(tmp_path / "empty.jpg").any()


def test_photographs_are_no_masks(tmp_path):
    """The shipped people as masks of themselves: in colour, and in grey."""
    table = rg.load_dataset("reidgen", root=SAMPLE).query
    table = table.take(range(8))
    with pytest.raises(DataError, match=r"8 of 8 pictures in .* are no masks, but photographs") as error:
        MaskFolder(SAMPLE / "query").check(table)
    assert table.paths[0].name in error.value.got
    for path in table.paths:
        with Image.open(path) as picture:
            picture.convert("L").save(tmp_path / f"{path.stem}.png")
    with pytest.raises(DataError, match="8 of 8 pictures"):
        MaskFolder(tmp_path).check(table)


def test_masks_of_all_kinds_are_no_photographs(tmp_path):
    rows, columns = np.mgrid[0:128, 0:64]
    distance = np.hypot(rows - 64, 2 * (columns - 32))
    soft = np.clip(300 - 5 * distance, 0, 255).astype(np.uint8)
    colours = np.random.default_rng(0).integers(1, 256, (20, 3))
    parts = np.where(distance[..., None] < 60, colours[rows // 8], 0).astype(np.uint8)
    everywhere, nobody = np.full((128, 64), 255, np.uint8), np.zeros((128, 64), np.uint8)
    masks = {"soft.png": soft, "parts.png": parts, "all.png": everywhere, "none.png": nobody, "lossy.jpg": soft}
    for name, pixels in masks.items():
        Image.fromarray(pixels).save(tmp_path / name)
        assert not is_photograph(tmp_path / name), name


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
