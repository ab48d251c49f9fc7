import re

import pytest

from reidgen.config import PrepareConfig
from reidgen.data.readers import msmt17
from reidgen.errors import DataError

ANY = PrepareConfig(expect_counts="any")
LISTS = {
    "list_train.txt": ["0000/0000_000_01_0303morning_0008_0.jpg 0", "0001/0001_002_15_0113noon_0017_2_ex.jpg 1"],
    "list_val.txt": ["0001/0001_003_08_0114afternoon_0020_1.jpg 1"],
    "list_query.txt": ["0000/0000_000_01_0302morning_0019_2.jpg 0"],
    "list_gallery.txt": ["0000/0000_001_12_0302morning_0016_2.jpg 0", "0001/0001_000_03_0113morning_0238_6.jpg 1"],
}


def msmt(root, train="train", test="test", lists=LISTS):
    root.mkdir(parents=True, exist_ok=True)
    for file, lines in lists.items():
        (root / file).write_text("\n".join(lines) + "\n")
        for line in lines:
            path = root / (train if file in ("list_train.txt", "list_val.txt") else test) / line.split()[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


@pytest.mark.parametrize(
    ("name", "train", "test", "inner"),
    [
        ("MSMT17 v1", "train", "test", "MSMT17_V1"),
        ("MSMT17 v2", "mask_train_v2", "mask_test_v2", "."),
        ("MSMT17 v2", "mask_train_V2", "mask_test_V2", "MSMT17_V2"),
    ],
)
def test_both_versions_give_people_of_their_own_and_cameras_of_two_digits(tmp_path, name, train, test, inner):
    msmt(tmp_path / inner, train, test)
    table = msmt17.read(tmp_path, ANY)
    assert table.name == name
    assert table.rows.select("pid", "camid", "split", "seq", "frame", "source_pid", "subset").rows() == [
        (1, 1, "train", 3031, 8, "train/0000", "train"),
        (2, 15, "train", 1132, 17, "train/0001", "train"),
        (2, 8, "train", 1143, 20, "train/0001", "val"),
        (1042, 1, "query", 3021, 19, "test/0000", "query"),
        (1042, 12, "gallery", 3021, 16, "test/0000", "gallery"),
        (1043, 3, "gallery", 1131, 238, "test/0001", "gallery"),
    ]
    assert table.rows["file_name"][1] == f"{train}/0001/0001_002_15_0113noon_0017_2_ex.jpg"
    assert all(path.is_file() for path in table.paths)


def test_underscores_in_the_root_and_times_that_are_missing_do_not_matter(tmp_path):
    lists = LISTS | {"list_val.txt": ["0001/0001_003_08_b.jpg 1"]}
    table = msmt17.read(msmt(tmp_path / "a_b_77_c", lists=lists), ANY)
    assert table.rows.select("camid", "seq", "frame").row(2) == (8, 1, 0)


def test_the_tree_that_is_written_keeps_two_digit_cameras(tmp_path):
    table = msmt17.read(msmt(tmp_path / "a"), ANY).write(tmp_path / "b")
    assert table.paths[1].name == "0002_c15s1132_000017_00.jpg"
    assert table.paths[0].name == "0001_c01s3031_000008_00.jpg"


def test_a_part_of_the_set_is_refused_unless_asked_for(tmp_path):
    with pytest.raises(DataError, match="train 3 crops instead of 32,621"):
        msmt17.read(msmt(tmp_path), PrepareConfig())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0000/0000_000_01_0303morning_0008_0.jpg", "has a name that does not parse"),
        ("0000/0000_c1_0008.jpg 0", "0000_c1_0008.jpg has a name that does not parse"),
        ("0000/0000_000_16_0303morning_0008_0.jpg 0", "camera 16"),
    ],
)
def test_lines_that_are_not_msmt17s_are_named(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        msmt17.read(msmt(tmp_path, lists=LISTS | {"list_query.txt": [line]}), ANY)


def test_missing_lists_folders_and_files_are_named(tmp_path):
    msmt(tmp_path / "a")
    (tmp_path / "a" / "list_val.txt").unlink()
    with pytest.raises(DataError, match=r"list_val\.txt is missing"):
        msmt17.read(tmp_path / "a", ANY)
    msmt(tmp_path / "b", "training", "testing")
    with pytest.raises(DataError, match="got: testing, training"):
        msmt17.read(tmp_path / "b", ANY)
    msmt(tmp_path / "c")
    gone = tmp_path / "c" / "test" / LISTS["list_query.txt"][0].split()[0]
    gone.unlink()
    with pytest.raises(DataError, match=re.escape(f"got: no {gone}")):
        msmt17.read(tmp_path / "c", ANY)


def test_a_list_names_no_file_outside_of_its_folder(tmp_path):
    lines = {**LISTS, "list_val.txt": ["../test/0000_000_01_0302morning_0019_2.jpg 0"]}
    with pytest.raises(DataError, match=r"list_val.txt names a file outside of its folder"):
        msmt17.read(msmt(tmp_path, lists=lines), ANY)


def test_a_list_that_is_no_text_is_named(tmp_path):
    (msmt(tmp_path) / "list_val.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"list_val.txt is not a text file"):
        msmt17.read(tmp_path, ANY)
