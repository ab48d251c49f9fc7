import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reidgen.data.table import FOLDERS, ReidTable
from reidgen.data.tree import market_names
from reidgen.errors import DataError
from tests.factories import make_table, write_crop


def torchreid_market(folder) -> list[tuple[str, int, int]]:
    """What torchreid 1.4.0's Market-1501 class takes from an image folder: its pattern, ending and assertions."""
    pattern = re.compile(r"([-\d]+)_c(\d)")
    rows = []
    for path in folder.glob("*.jpg"):
        pid, camid = map(int, pattern.search(str(path)).groups())
        if pid != -1:
            assert 0 <= pid <= 1501
            assert 1 <= camid <= 6
            rows.append((path, pid, camid))
    return sorted(rows)


def renamed(table: ReidTable, names: list[str]) -> ReidTable:
    return ReidTable(table.rows.with_columns(file_name=pl.Series(names)), table.name)


def test_torchreids_market_reader_reads_the_tree(tmp_path):
    splits = ["train"] * 3 + ["query"] * 2 + ["gallery"] * 4
    table = make_table([1, 1, 1501, 5, 6, 5, 6, 0, -1], [1, 2, 6, 1, 2, 3, 4, 5, 6], splits=splits, root=tmp_path / "a")
    table.write(tmp_path / "b")
    for split, sub in FOLDERS.items():
        rows = table.rows.filter((pl.col("split") == split) & (pl.col("pid") >= 0))
        found = [(pid, camid) for _, pid, camid in torchreid_market(tmp_path / "b" / sub)]
        assert sorted(found) == sorted(rows.select("pid", "camid").iter_rows())


def test_with_two_digit_cameras_readers_of_one_digit_stop_and_others_read_all(tmp_path):
    table = make_table([1, 1, 2], [1, 12, 9], root=tmp_path / "a").write(tmp_path / "b")
    assert [path.name[:8] for path in table.paths] == ["0001_c01", "0001_c12", "0002_c09"]
    with pytest.raises(AssertionError, match="1 <= 0"):
        torchreid_market(tmp_path / "b" / "bounding_box_train")
    assert [int(re.search(r"([-\d]+)_c(\d+)", path.name)[2]) for path in table.paths] == [1, 12, 9]
    assert ReidTable.read(tmp_path / "b").camids.tolist() == [1, 12, 9]
    assert "([-\\d]+)_c(\\d+)" in (tmp_path / "b" / "README.md").read_text()


def test_names_in_markets_form_that_agree_are_kept_and_others_made():
    train = "bounding_box_train"
    given = [
        f"{train}/0002_c1s1_000451_03.jpg",  # agrees
        "elsewhere/0002_c1s1_000451_04.jpg",  # agrees, from another folder
        "x/0002_c1s1_000451_03.jpg",  # taken by the first
        f"{train}/0007_c1s1_000001_00.jpg",  # another person
        f"{train}/0002_c2s1_000001_00.jpg",  # another camera
        f"{train}/2_c1s1_000451_05.jpg",  # not four digits
        f"{train}/0002_c1s1_000451_06.jpeg",  # an ending that readers do not ask for
        f"{train}/0002_c1s1_000451_07.PNG",
        f"{train}/-1_c1s1_000451_08.jpg",
    ]
    table = renamed(make_table([2] * 8 + [-1], [1] * 9, frame=[0] * 9), given)
    assert [name.removeprefix(f"{train}/") for name in market_names(table.rows)] == [
        "0002_c1s1_000451_03.jpg",
        "0002_c1s1_000451_04.jpg",
        "0002_c1s1_000000_00.jpg",
        "0002_c1s1_000000_01.jpg",
        "0002_c1s1_000000_02.jpg",
        "0002_c1s1_000000_03.jpg",
        "0002_c1s1_000000_04.jpg",
        "0002_c1s1_000000_05.png",
        "-1_c1s1_000451_08.jpg",
    ]


def test_a_made_name_never_takes_a_kept_one():
    table = renamed(make_table([2, 2], [1, 1], frame=[0, 0]), ["b.jpg", "0002_c1s1_000000_00.jpg"])
    assert [name[-8:] for name in market_names(table.rows)] == ["0_01.jpg", "0_00.jpg"]


market_like = st.sampled_from(
    ["0002_c1s1_000000_00.jpg", "0002_c1s1_000000_01.jpg", "0002_c01s1_000000_00.jpg", "a.jpg", "b.png"]
)


@given(
    rows=st.lists(
        st.tuples(market_like, st.integers(1, 3), st.integers(0, 11), st.sampled_from(list(FOLDERS))), min_size=1
    )
)
def test_names_are_unique_and_say_person_and_camera(rows):
    names, pids, camids, splits = (list(column) for column in zip(*rows, strict=True))
    table = renamed(make_table(pids, camids, splits=splits, frame=[0] * len(rows)), names)
    made = market_names(table.rows)
    assert len(set(made)) == len(rows)
    for name, pid, camid, split in zip(made, pids, camids, splits, strict=True):
        found = re.fullmatch(r"(.*)/(\d{4})_c(\d+)s\d+_\d+_\d+\.(jpg|png)", name)
        assert (found[1], int(found[2]), int(found[3])) == (FOLDERS[split], pid, camid)
    again = renamed(table, made)
    assert market_names(again.rows) == made


def test_files_are_linked_and_never_encoded_again(tmp_path):
    table = make_table([1, 2], root=tmp_path / "a")
    written = table.write(tmp_path / "b")
    assert [path.stat().st_ino for path in written.paths] == [path.stat().st_ino for path in table.paths]


def test_where_links_cannot_be_made_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    table = make_table([1, 2], root=tmp_path / "a")
    written = table.write(tmp_path / "b")
    assert [path.read_bytes() for path in written.paths] == [path.read_bytes() for path in table.paths]
    assert written.paths[0].stat().st_ino != table.paths[0].stat().st_ino


def test_writing_again_and_in_place_changes_nothing(tmp_path):
    table = make_table([1, 2, 3], splits=["train", "query", "gallery"], root=tmp_path / "a")
    table.write(tmp_path / "b")
    before = {path: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()}
    table.write(tmp_path / "b")
    ReidTable.read(tmp_path / "b").write(tmp_path / "b")
    after = {path: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if k.name != "README.md"} == {
        k: v for k, v in before.items() if k.name != "README.md"
    }


def test_a_half_written_tree_is_finished_by_the_same_call(tmp_path):
    table = make_table([1, 2], root=tmp_path / "a")
    whole = table.write(tmp_path / "b")
    whole.paths[1].unlink()
    (tmp_path / "b" / "bounding_box_train" / "metadata.parquet").unlink()
    table.write(tmp_path / "b")
    assert ReidTable.read(tmp_path / "b").hash() == table.hash()


def test_crops_of_another_table_in_the_folder_are_an_error(tmp_path):
    make_table([1, 2], root=tmp_path / "a").write(tmp_path / "b")
    with pytest.raises(DataError, match=r"bounding_box_train/0001_c1s1_000000_00\.jpg, and 1 more"):
        make_table([3], root=tmp_path / "c").write(tmp_path / "b")


def test_a_missing_crop_is_named(tmp_path):
    table = make_table([1], root=tmp_path / "a")
    table.paths[0].unlink()
    with pytest.raises(DataError, match=re.escape(f"{table.paths[0]} is missing")):
        table.write(tmp_path / "b")


def test_with_a_size_crops_are_resized_and_saved_as_jpeg(tmp_path):
    table = renamed(make_table([1, 1], frame=[0, 0]), ["a.png", "0001_c2s1_000000_00.png"])
    table = ReidTable(table.rows.with_columns(root=pl.lit(str(tmp_path)), operation=pl.Series([None, "crop"])))
    for seed, path in enumerate(table.paths):
        write_crop(path, size=(48, 20), seed=seed)
    written = table.write(tmp_path / "b", size=(32, 16))
    assert [path.name for path in written.paths] == ["0001_c1s1_000000_00.jpg", "0001_c2s1_000000_00.jpg"]
    assert written.rows["operation"].to_list() == ["resize 32x16 bicubic", "crop; resize 32x16 bicubic"]
    for path in written.paths:
        with Image.open(path) as image:
            assert (image.format, image.size) == ("JPEG", (16, 32))


def test_the_parent_of_a_renamed_crop_has_its_new_name(tmp_path):
    table = make_table(
        [1, 1, 1], root=tmp_path / "a", parent=[None, "bounding_box_train/0001_c1s1_000000_00.jpg", "other.jpg"]
    )
    moved = ReidTable(table.rows.with_columns(pid=pl.lit(9, pl.Int64)), table.name)
    assert moved.write(tmp_path / "b").rows["parent"].to_list() == [
        None,
        "bounding_box_train/0009_c1s1_000000_00.jpg",
        "other.jpg",
    ]


def test_maps_go_along_and_names_of_equal_crops_do_not_clash(tmp_path):
    splits = ["query", "gallery", "gallery"]
    table = make_table(
        [1, 1, 2], [1, 1, 1], splits=splits, root=tmp_path / "a", frame=[0, 0, 0], mask=["q.png", "g.png", None]
    )
    for seed, name in enumerate(("q.png", "g.png")):
        write_crop(tmp_path / "a" / name, mode="L", seed=seed)
    table = ReidTable(
        table.rows.with_columns(
            file_name=pl.Series([re.sub(r"_\d{6}_", "_000000_", n) for n in table.rows["file_name"]])
        )
    )
    for i, path in enumerate(table.paths):
        write_crop(path, seed=i)
    written = ReidTable.read(table.write(tmp_path / "b").paths[0].parents[1])
    assert written.rows["mask"].to_list() == [
        "maps/mask/0001_c1s1_000000_00.png",
        "maps/mask/0001_c1s1_000000_00_1.png",
        None,
    ]
    assert (tmp_path / "b" / written.rows["mask"][1]).read_bytes() == (tmp_path / "a" / "g.png").read_bytes()
    assert written.write(tmp_path / "b").rows["mask"].to_list() == written.rows["mask"].to_list()
    with pytest.raises(DataError, match="cannot be resized"):
        table.write(tmp_path / "c", size=(8, 4))


def test_the_card_counts_people_without_distractors_and_says_what_readers_may_miss(tmp_path):
    table = make_table([1, 1, 2, 0, -1], splits="gallery", root=tmp_path / "a")
    table.write(tmp_path / "b")
    card = (tmp_path / "b" / "README.md").read_text()
    assert "| gallery | real | 5 | 2 | 2 |" in card
    assert "  - split: gallery\n    path: bounding_box_test/**\n" in card
    assert "split: train" not in card
    assert "_c(" not in card
    with_png = renamed(make_table([1]), ["a.png"])
    with_png = ReidTable(with_png.rows.with_columns(root=pl.lit(str(tmp_path))))
    write_crop(with_png.paths[0])
    with_png.write(tmp_path / "c")
    assert "Some crops are .png files" in (tmp_path / "c" / "README.md").read_text()
