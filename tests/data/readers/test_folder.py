import os
import re
from pathlib import Path

import pytest

from reidgen.config import PrepareConfig
from reidgen.data.readers import folder
from reidgen.errors import ConfigError, DataError


def read(root, pattern, *files, **options):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder.read(root, PrepareConfig(dataset="folder", pattern=pattern, **options))


def test_groups_of_the_pattern_become_columns(tmp_path):
    pattern = r"(?P<split>\w+)/p(?P<pid>\d+)/cam(?P<camid>\d+)_day(?P<seq>\d+)_(?P<frame>\d+)"
    table = read(
        tmp_path, pattern, "train/p7/cam2_day3_0042.jpg", "query/p8/cam1_day1_1.PNG", "test/p8/cam02_day1_2.webp"
    )
    assert table.rows.select(
        "file_name", "pid", "camid", "split", "seq", "frame", "source_pid", "source_camid"
    ).rows() == [
        ("query/p8/cam1_day1_1.PNG", 8, 1, "query", 1, 1, "8", "1"),
        ("test/p8/cam02_day1_2.webp", 8, 2, "gallery", 1, 2, "8", "02"),
        ("train/p7/cam2_day3_0042.jpg", 7, 2, "train", 3, 42, "7", "2"),
    ]


def test_names_of_people_and_cameras_are_numbered_in_natural_order_and_kept(tmp_path):
    table = read(
        tmp_path,
        r"(?P<pid>\w+)/(?P<camid>[a-z]+)",
        "p10/hall.jpg",
        "p2/door.jpg",
        "p2/hall.jpg",
        "anna/door.jpg",
    )
    assert table.rows.select("source_pid", "pid", "source_camid", "camid").rows() == [
        ("anna", 1, "door", 1),
        ("p10", 3, "hall", 2),
        ("p2", 2, "door", 1),
        ("p2", 2, "hall", 2),
    ]
    assert table.rows["split"].unique().to_list() == ["train"]
    assert table.rows.select("seq", "frame").row(0) == (1, 0)


def test_junk_and_distractors_keep_their_numbers(tmp_path):
    pattern = r"(?P<split>query|gallery)/(?P<pid>-?\d+)_(?P<camid>\d)"
    table = read(tmp_path, pattern, "gallery/-1_1.jpg", "gallery/0000_1.jpg", "gallery/12_1.jpg", "query/12_2.jpg")
    assert table.pids.tolist() == [-1, 0, 12, 12]


def test_where_people_are_counted_from_0_nobody_becomes_a_distractor(tmp_path):
    table = read(tmp_path, r"(?P<pid>-?\d+)_(?P<camid>\d)", "0_1.jpg", "1_1.jpg", "-1_1.jpg")
    assert dict(table.rows.select("source_pid", "pid").rows()) == {"-1": -1, "0": 2, "1": 1}


def test_one_odd_name_renumbers_nobody_else(tmp_path):
    pattern = r"(?P<split>test)/(?P<pid>[^_/]+)_(?P<camid>[^.]+)"
    names = ("00-1", "0000", "7", "0012", "anna", "12.0", "9" * 20)
    files = [f"test/{name}_{camera}.jpg" for name, camera in zip(names, "1232x3y", strict=True)]
    table = read(tmp_path, pattern, *files)
    assert dict(table.rows.select("source_pid", "pid").rows()) == {
        "00-1": -1,  # MARS' junk
        "0000": 0,
        "7": 7,
        "0012": 12,
        "12.0": 13,
        "9" * 20: 14,
        "anna": 15,
    }
    assert dict(table.rows.select("source_camid", "camid").rows()) == {"1": 1, "2": 2, "3": 3, "x": 4, "y": 5}


def test_hidden_and_other_files_are_no_crops(tmp_path):
    table = read(tmp_path, r"(?P<pid>\d+)_(?P<camid>\d)", "1_1.jpg", ".thumbs/9_9.jpg", ".2_1.jpg", "notes.txt")
    assert table.pids.tolist() == [1]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (None, "needs pattern"),
        ("(?P<pid>", "must be a regular expression"),
        (r"(?P<camid>\d+)", "has not the groups"),
        (r"(\d+)_c(\d)", "got: no named group"),
        (r"(?P<pid>\d+)(?P<camid>\d)(?P<when>\d)", "got: pid, camid, when"),
    ],
)
def test_patterns_that_cannot_work_are_refused(tmp_path, pattern, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, pattern, "1_1.jpg")


@pytest.mark.parametrize(
    ("pattern", "file", "message"),
    [
        (r"(?P<pid>\d+)_c(?P<camid>\d)", "img.jpg", "img.jpg has a name that does not parse"),
        (r"(?P<pid>\d*)_c(?P<camid>\d)", "_c1.jpg", "has an empty pid"),
        (r"(?P<split>\w+)/(?P<pid>\d+)_c(?P<camid>\d)", "valid/1_c1.jpg", "in a split that is not known"),
        (r"(?P<pid>\d+)_c(?P<camid>\d)_(?P<frame>\w+)", "1_c1_x.jpg", "has a frame that is not a number"),
    ],
)
def test_paths_that_do_not_fit_are_named(tmp_path, pattern, file, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, pattern, file)


def test_a_missing_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=re.escape(f"There is no folder {tmp_path / 'none'}")):
        read(tmp_path / "none", r"(?P<pid>\d+)(?P<camid>\d)")
    with pytest.raises(DataError, match="holds no images"):
        read(tmp_path, r"(?P<pid>\d+)(?P<camid>\d)")
    (tmp_path / "door").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"holds links to folders, which are not followed.\n  got: 1 links: door"):
        read(tmp_path, r"(?P<pid>\d+)(?P<camid>\d)")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refusing(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read everything
    with pytest.raises(DataError, match=r"The folder .*closed cannot be read.\n  got: permission denied"):
        read(tmp_path, r"(?P<pid>\d+)_(?P<camid>\d)", "1_1.jpg")


def test_links_that_lead_nowhere_are_crops_that_cannot_be_read(tmp_path):
    (tmp_path / "2_1.jpg").symlink_to("annex/none.jpg")
    assert read(tmp_path, r"(?P<pid>\d+)_(?P<camid>\d)", "1_1.jpg").pids.tolist() == [1, 2]


def test_without_cameras_none_is_left_out_of_a_gallery(tmp_path):
    pattern = r"(?P<split>train|query|gallery)/(?P<pid>\d+)/"
    table = read(tmp_path, pattern, "train/1/a.jpg", "query/2/a.jpg", "gallery/2/b.jpg")
    assert dict(table.rows.select("split", "camid").rows()) == {"train": 1, "query": 1, "gallery": 2}


FILES = [f"p{who:02d}/{camera}_{i}.jpg" for who in range(1, 11) for camera in (1, 2) for i in range(2)]
SPLIT = r"p(?P<pid>\d+)/(?P<camid>\d)"


def test_a_split_can_be_made_by_people_with_one_query_a_camera(tmp_path):
    table = read(tmp_path, SPLIT, *FILES, train_share=0.6)
    assert (len(set(table.train.pids)), len(table.train), len(table.query), len(table.gallery)) == (6, 24, 8, 8)
    assert not set(table.train.pids) & {*table.query.pids, *table.gallery.pids}
    assert len(set(zip(table.query.pids, table.query.camids, strict=True))) == 8
    assert read(tmp_path, SPLIT, train_share=0.6).rows.equals(table.rows)
    assert not read(tmp_path, SPLIT, train_share=0.6, seed=1).rows.equals(table.rows)


def test_a_made_split_leaves_each_query_something_to_find(tmp_path):
    pattern = r"(?P<pid>-?\d+)/(?P<camid>\d)"
    files = ["1/1_a.jpg", "2/1_a.jpg", "2/2_a.jpg", "3/1_a.jpg", "3/1_b.jpg"]
    table = read(tmp_path, pattern, *files, "-1/1_a.jpg", train_share=0.3)
    for pid in set(table.query.pids):
        assert pid in table.gallery.pids
    assert -1 in table.gallery.pids
    with pytest.raises(DataError, match=r"too few people to split.\n  got: 3 people, 0 of them"):
        read(tmp_path, pattern, train_share=0.1)


def splits(table):
    return dict(table.rows.select("file_name", "split").rows())


def test_people_of_a_range_train(tmp_path):
    table = read(tmp_path, SPLIT, *FILES, split_by="people:1-3,9")
    assert set(table.train.pids.tolist()) == {1, 2, 3, 9}
    assert set(table.query.pids.tolist()) == {4, 5, 6, 7, 8, 10} and len(table.query) == 12
    with pytest.raises(DataError, match=r"too few people to split.\n  got: 10 people, 0 of them to train"):
        read(tmp_path, SPLIT, split_by="people:40-50")


def test_a_share_of_those_who_are_asked_for_trains_where_the_set_has_queries(tmp_path):
    pattern = r"(?P<split>probe|test)/(?P<pid>\d+)_(?P<camid>\d)"
    files = [f"{split}/{pid}_{camera}.jpg" for pid in (1, 2, 3, 4) for split, camera in (("probe", 1), ("test", 2))]
    table = read(tmp_path, pattern, *files, "test/9_2.jpg", split_names=("probe=query",), train_share=0.5)
    train = set(table.train.pids.tolist())
    assert len(train) == 2 and len(table.train) == 4 and 9 not in train
    assert set(table.query.pids.tolist()) == {1, 2, 3, 4} - train
    assert set(table.gallery.pids.tolist()) == {1, 2, 3, 4, 9} - train
    assert set(table.query.camids.tolist()) == {1}


def test_queries_are_drawn_among_the_test_people_of_a_set_without(tmp_path):
    pattern = r"(?P<split>train|test)/(?P<pid>\d+)_(?P<camid>\d)"
    files = [f"test/{pid}_{camera}_{i}.jpg" for pid in (1, 2) for camera in (1, 2) for i in (1, 2)]
    table = read(tmp_path, pattern, "train/7_1.jpg", *files, split_by="queries")
    assert table.train.pids.tolist() == [7]
    asked = sorted(zip(table.query.pids.tolist(), table.query.camids.tolist(), strict=True))
    assert asked == [(1, 1), (1, 2), (2, 1), (2, 2)] and len(table.gallery) == 4


def test_a_list_says_the_split_of_each_crop(tmp_path):
    (tmp_path / "crops").mkdir()
    listed = tmp_path / "split.txt"
    listed.write_text("\ufeff1_1.jpg,train\n2_1.jpg, query\n\n2_2.jpg test\n")
    pattern = r"(?P<pid>\d+)_(?P<camid>\d)"
    files = ("1_1.jpg", "2_1.jpg", "2_2.jpg")
    table = read(tmp_path / "crops", pattern, *files, split_by=f"list:{listed}")
    assert splits(table) == {"1_1.jpg": "train", "2_1.jpg": "query", "2_2.jpg": "gallery"}
    with pytest.raises(DataError, match=r"does not say the split of each crop.\n  got: 3_1.jpg, of 1"):
        read(tmp_path / "crops", pattern, "3_1.jpg", split_by=f"list:{listed}")
    some = read(tmp_path / "crops", pattern, split_by=f"list:{listed}", skip_unmatched=True)
    assert splits(some) == splits(table)
    listed.write_text("1_1.jpg,valid\n")
    with pytest.raises(DataError, match=r"Line 1 of .* does not say a split.\n  got: 1_1.jpg,valid"):
        read(tmp_path / "crops", pattern, split_by=f"list:{listed}")
    with pytest.raises(DataError, match=r"There is no file .*\n.*\n.*\n  try: split_by"):
        read(tmp_path / "crops", pattern, split_by="list:none.txt")


def test_own_names_of_splits_and_cameras(tmp_path):
    pattern = r"(?P<split>\w+)/(?P<pid>\d+)_(?P<camid>\w+)"
    files = ("training/1_hall.jpg", "probe/2_door.jpg", "test/2_yard.jpg", "test/2_hall.jpg")
    own = {"split_names": ("training=train", "probe=query"), "camera_map": ("hall,door=1", "yard=7")}
    table = read(tmp_path, pattern, *files, **own)
    assert table.rows.select("file_name", "camid", "split").rows() == [
        ("probe/2_door.jpg", 1, "query"),
        ("test/2_hall.jpg", 1, "gallery"),
        ("test/2_yard.jpg", 7, "gallery"),
        ("training/1_hall.jpg", 1, "train"),
    ]
    assert table.rows["source_camid"].to_list() == ["door", "hall", "yard", "hall"]
    with pytest.raises(DataError, match=r"camera_map lacks cameras.\n  got: door, hall"):
        read(tmp_path, pattern, split_names=own["split_names"], camera_map=("yard=7",))
    with pytest.raises(
        DataError, match=r"in a split that is not known.\n  got: probe\n(.*\n)  try: split_names='probe=t"
    ):
        read(tmp_path, pattern)


def test_what_does_not_match_is_skipped_on_wish_and_told(tmp_path, capsys):
    from reidgen.data.readers.load import load_dataset

    names = r"(?P<pid>\d+)_(?P<camid>\d)"
    table = read(tmp_path, names, "1_1.jpg", "IMG.jpg", skip_unmatched=True)
    assert table.rows["file_name"].to_list() == ["1_1.jpg"]
    load_dataset("folder", tmp_path, pattern=names, skip_unmatched=True)
    assert "pictures passed over: 1: " in capsys.readouterr().err
    with pytest.raises(DataError, match=r"IMG.jpg has a name that does not parse"):
        read(tmp_path, names)
    (tmp_path / "1_1.jpg").unlink()
    with pytest.raises(DataError, match=r"IMG.jpg has a name that does not parse"):  # nothing would be left
        read(tmp_path, names, skip_unmatched=True)


def labelled(root, text, **options):
    (root / "labels.csv").write_text(text)
    return folder.read(root, PrepareConfig(dataset="folder", labels=str(root / "labels.csv"), **options))


def test_labels_of_a_csv_file(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.png", "d.jpg"):
        (tmp_path / name).touch()
    text = (
        "\ufeffweather,path,pid,split,camid\nsun,a.jpg,anna,train,hall\nrain,./b.jpg,7,query,door\n,c.png,7,test,hall\n"
    )
    table = labelled(tmp_path, text)
    assert table.rows.select("file_name", "pid", "camid", "split", "source_pid", "source_camid").rows() == [
        ("a.jpg", 8, 2, "train", "anna", "hall"),
        ("b.jpg", 7, 1, "query", "7", "door"),
        ("c.png", 7, 2, "gallery", "7", "hall"),
    ]
    plain = labelled(tmp_path, "path,pid\na.jpg,1\nb.jpg,1\nc.png,2\nd.jpg,2\n", split_by="people:1")
    assert splits(plain) == {"a.jpg": "train", "b.jpg": "train", **splits(plain)}
    assert len(plain.query) == 1 and plain.query.camids.tolist() == [1] and plain.gallery.camids.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,person\na.jpg,1\n", r"lacks columns.\n  got: path, person"),
        ("", r"lacks columns.\n  got: an empty file"),
        ("path,pid\n", "names no image"),
        ("path,pid\na.jpg,1\na.jpg,2\n", r"names an image twice.\n  got: a.jpg, again in line 3"),
        ("path,pid\n../a.jpg,1\n", "line 2 of .* is not inside the dataset"),
        ("path,pid\n/etc/a.jpg,1\n", "is not inside the dataset"),
        ("path,pid\nnone.jpg,1\nnor.jpg,1\n", "none.jpg, and 1 more"),
        ("path,pid\na.jpg,\n", "has an empty pid"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path, text, message):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match=message):
        labelled(tmp_path, text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_by": "half"}, "split_by is not known"),
        ({"split_by": "share:2"}, "split_by is not known"),
        ({"split_by": "people:a-b"}, "split_by is not known"),
        ({"split_by": "list:"}, "split_by is not known"),
        ({"split_by": "queries:3"}, "split_by is not known"),
        ({"split_by": "share:0.5", "train_share": 0.5}, "both make a split"),
        ({"labels": "a.csv", "pattern": "(?P<pid>.)"}, "both say who"),
        ({"camera_map": ("1,2",)}, "camera_map cannot be read"),
        ({"camera_map": ("1=0",)}, "gives a camera no number"),
        ({"camera_map": ("1=1", "2,1=2")}, r"camera_map has a name twice.\n  got: 1"),
        ({"split_names": ("training=learn",)}, r"A split has another name.\n  got: training=learn"),
        ({"dataset": "market1501", "split_by": "queries"}, "make a split, and market1501 has one"),
        ({"dataset": "viper", "camera_map": ("1=1",)}, "camera_map goes with dataset='folder' only"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        PrepareConfig(**{"dataset": "folder", **options})
