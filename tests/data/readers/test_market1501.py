import re

import pytest

from reidgen.config import PrepareConfig
from reidgen.data.readers import market1501
from reidgen.errors import DataError
from tests.factories import make_table

ANY = PrepareConfig(expect_counts="any")


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def market(root, *, train=(), query=(), test=()):
    for sub, names in (("bounding_box_train", train), ("query", query), ("bounding_box_test", test)):
        touch(root / sub, *names)
    return root


def test_names_say_person_camera_sequence_and_frame(tmp_path):
    root = market(
        tmp_path,
        train=["0002_c1s1_000451_03.jpg", "Thumbs.db", ".hidden.jpg"],
        query=["0003_c6s4_015641_00.jpg"],
        test=["0000_c2s3_000002_01.jpg", "-1_c3s1_000003_02.jpg", "0003_c4s1_000004_00.jpg"],
    )
    rows = market1501.read(root, ANY).rows.select("file_name", "pid", "camid", "split", "seq", "frame").rows()
    assert rows == [
        ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 1, "train", 1, 451),
        ("query/0003_c6s4_015641_00.jpg", 3, 6, "query", 4, 15641),
        ("bounding_box_test/-1_c3s1_000003_02.jpg", -1, 3, "gallery", 1, 3),
        ("bounding_box_test/0000_c2s3_000002_01.jpg", 0, 2, "gallery", 3, 2),
        ("bounding_box_test/0003_c4s1_000004_00.jpg", 3, 4, "gallery", 1, 4),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0002_c1s1_000451_03.jpg.jpg", (2, 1, 1, 451)),
        ("0001_c1_1.png", (1, 1, 1, 1)),
        ("15000_c12s2_7.JPG", (15000, 12, 2, 7)),
        ("0007_c3.jpeg", (7, 3, 1, 0)),
    ],
)
def test_looser_names_of_market_like_trees_are_read(tmp_path, name, expected):
    (row,) = market1501.read(market(tmp_path, train=[name]), ANY).rows.select("pid", "camid", "seq", "frame").rows()
    assert row == expected


@pytest.mark.parametrize(
    "name", ["IMG_0001.jpg", "0002c1s1_000451_03.jpg", "0002_c1x_3.jpg", "-2_c1s1_000000_00.jpg", "anna_c1.png"]
)
def test_a_name_that_does_not_parse_is_named(tmp_path, name):
    market(tmp_path, train=["0002_c1s1_000451_03.jpg", name])
    with pytest.raises(
        DataError, match=re.escape(f"{tmp_path / 'bounding_box_train' / name} has a name that does not parse")
    ):
        market1501.read(tmp_path, ANY)


@pytest.mark.parametrize("inner", ["Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15"])
def test_the_folder_is_found_in_its_parent(tmp_path, inner):
    market(tmp_path / inner, train=["0002_c1s1_000451_03.jpg"])
    assert market1501.read(tmp_path, ANY).pids.tolist() == [2]


def test_a_folder_that_is_something_else_is_named_with_what_it_holds(tmp_path):
    touch(tmp_path, "readme.txt")
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"got: photos, readme\.txt"):
        market1501.read(tmp_path, ANY)
    with pytest.raises(DataError, match="got: no such folder"):
        market1501.read(tmp_path / "none", ANY)


def test_a_part_of_the_set_is_refused_unless_asked_for(tmp_path):
    market(tmp_path, train=["0002_c1s1_000451_03.jpg"])
    with pytest.raises(DataError, match="train 1 crops instead of 12,936; train 1 people instead of 751"):
        market1501.read(tmp_path, PrepareConfig())


def test_a_folder_that_reidgen_wrote_is_read_from_its_table(tmp_path):
    make_table([3], [12], root=tmp_path / "a", origin=["rendered"]).write(tmp_path / "b")
    table = market1501.read(tmp_path / "b", PrepareConfig())
    assert (table.camids.tolist(), table.rows["origin"].to_list()) == ([12], ["rendered"])


@pytest.mark.slow
def test_the_published_counts_are_accepted_and_one_file_less_is_not(tmp_path):
    train = [f"{1 + i % 751:04d}_c{1 + i % 6}s1_{i:06d}_00.jpg" for i in range(12_936)]
    query = [f"{1001 + i % 750:04d}_c{1 + i % 6}s1_{i:06d}_00.jpg" for i in range(3_368)]
    people = [f"{1001 + i % 750:04d}_c{1 + i % 6}s2_{i:06d}_00.jpg" for i in range(13_115)]
    distractors = [f"0000_c1s1_{i:06d}_00.jpg" for i in range(2_798)]
    junk = [f"-1_c1s1_{i:06d}_00.jpg" for i in range(3_819)]
    market(tmp_path, train=train, query=query, test=people + distractors + junk)
    table = market1501.read(tmp_path, PrepareConfig())
    assert (len(table.train), len(table.query), len(table.gallery)) == (12_936, 3_368, 19_732)
    (tmp_path / "bounding_box_test" / junk[0]).unlink()
    with pytest.raises(DataError, match="gallery 3,818 junk instead of 3,819"):
        market1501.read(tmp_path, PrepareConfig())


def test_a_number_that_no_table_holds_is_named(tmp_path):
    with pytest.raises(DataError, match=r"99999999999999999999_c1.jpg has a name that does not parse"):
        market1501.read(market(tmp_path, train=["99999999999999999999_c1.jpg"]), ANY)
