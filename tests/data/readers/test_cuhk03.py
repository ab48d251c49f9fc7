import json

import pytest

from reidgen.config import PrepareConfig
from reidgen.data.readers import cuhk03
from reidgen.errors import DataError
from tests.factories import write_crop

ANY = PrepareConfig(dataset="cuhk03", expect_counts="any")
LABELED = PrepareConfig(dataset="cuhk03", expect_counts="any", variant="labeled")


def np_folders(root, variant="detected"):
    for name in ("bounding_box_train/0001_c1_1.png", "query/0003_c2_6.png", "bounding_box_test/0003_c1_2.png"):
        write_crop(root / variant / name, size=(4, 2))
    return root


def extracted(root, variant="detected", **changes):
    splits = {
        "train": [["/home/anna/data/cuhk03/images_detected/1_002_1_01.png", 0, 0]],
        "query": [["images_detected/5_049_2_06.png", 1467, 1]],
        "gallery": [["images_detected/2_001_1_02.png", 844, 0], ["images_detected/3_001_2_10.png", 1284, 1]],
        "num_train_pids": 1,
    } | changes
    root.mkdir(parents=True, exist_ok=True)
    (root / f"splits_new_{variant}.json").write_text(json.dumps([splits]))
    return root


@pytest.mark.parametrize("inner", [".", "cuhk03-np", "CUHK03-NP"])
def test_the_np_folders_are_read_with_the_boxes_asked_for(tmp_path, inner):
    np_folders(np_folders(tmp_path / inner), "labeled")
    for config in (ANY, LABELED):
        table = cuhk03.read(tmp_path, config)
        assert table.rows.select("pid", "camid", "split").rows() == [
            (1, 1, "train"),
            (3, 2, "query"),
            (3, 1, "gallery"),
        ]
        assert f"/{config.variant}/" in str(table.paths[0])
        assert all(path.is_file() for path in table.paths)


def test_the_folder_of_the_boxes_themselves_can_be_given_but_not_of_the_others(tmp_path):
    np_folders(tmp_path)
    assert len(cuhk03.read(tmp_path / "detected", ANY)) == 3
    with pytest.raises(DataError, match="try: variant='detected'"):
        cuhk03.read(tmp_path / "detected", LABELED)
    with pytest.raises(DataError, match="got: detected"):
        cuhk03.read(tmp_path, LABELED)


def test_torchreids_layout_gives_the_sets_own_numbers_of_people(tmp_path):
    table = cuhk03.read(extracted(tmp_path / "cuhk03"), ANY)
    assert table.rows.select("file_name", "pid", "camid", "split", "seq", "frame").rows() == [
        ("images_detected/1_002_1_01.png", 2, 1, "train", 1, 1),
        ("images_detected/5_049_2_06.png", 1467, 2, "query", 5, 6),
        ("images_detected/2_001_1_02.png", 844, 1, "gallery", 2, 2),
        ("images_detected/3_001_2_10.png", 1284, 2, "gallery", 3, 10),
    ]


def test_a_part_of_the_set_is_refused_unless_asked_for(tmp_path):
    with pytest.raises(DataError, match="train 1 crops instead of 7,365"):
        cuhk03.read(np_folders(tmp_path), PrepareConfig(dataset="cuhk03"))
    with pytest.raises(DataError, match="gallery 1 crops instead of 5,328"):
        cuhk03.read(np_folders(tmp_path, "labeled"), PrepareConfig(dataset="cuhk03", variant="labeled"))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([["images_detected/0001_c1_1.png", 0, 0]], "has a name that does not parse"),
        ([["images_detected/1_001_1_01.png", 0, 1]], "disagree on the camera"),
        ([["images_detected/1_001_1_01.png"]], "is not torchreid's split file"),
        (None, "is not torchreid's split file"),
    ],
)
def test_split_files_that_are_not_torchreids_are_named(tmp_path, train, message):
    with pytest.raises(DataError, match=message):
        cuhk03.read(extracted(tmp_path, train=train), ANY)


def test_the_classic_splits_and_broken_json_are_refused(tmp_path):
    for text in ("[{}, {}]", "{", "[]", "[" * 100_000):
        (tmp_path / "splits_new_detected.json").write_text(text)
        with pytest.raises(DataError, match="is not torchreid's split file of the new protocol"):
            cuhk03.read(tmp_path, ANY)


def test_the_authors_mat_file_is_told_to_be_extracted(tmp_path):
    (tmp_path / "cuhk-03.mat").touch()
    with pytest.raises(DataError, match=r"try: .*cuhk-03.mat alone is not read and has to be extracted first"):
        cuhk03.read(tmp_path, ANY)
