import numpy as np
import pytest

from reidgen.config import UnsupervisedConfig
from reidgen.errors import ConfigError, DataError
from reidgen.reid.unsupervised.crops import Crops
from tests.factories import make_table

REAL = make_table([1, 1, 2, 2, 3], [1, 2, 1, 2, 4])
NAMES = REAL.rows["file_name"].to_list()


def made(parents, operations, **columns):
    count = len(parents)
    more = {"origin": ["generated"] * count, "parent": parents, "operation": operations, **columns}
    return make_table([9] * count, [7] * count, name="views", **more)


VIEWS = made([NAMES[0], NAMES[2], NAMES[0], NAMES[4]], ["view 90", "view 90", "view 180", "style w=3"])


def config(*uses, **changes):
    return UnsupervisedConfig(generated_use=uses, **changes)


def active(crops, epoch):
    return tuple(rows.tolist() for rows in crops.active(epoch))


def test_without_generated_crops_all_are_clustered():
    crops = Crops.of(REAL, None, config())
    assert active(crops, 0) == ([0, 1, 2, 3, 4], [])
    assert crops.cameras.tolist() == [1, 2, 1, 2, 4]


def test_the_schedule_says_who_is_in_an_epoch_and_how():
    crops = Crops.of(REAL, VIEWS, config("view 90:parent:0-2", "view 180:cluster:1-", "view:cluster:4-"))
    assert active(crops, 0) == ([0, 1, 2, 3, 4], [5, 6])
    assert active(crops, 1) == ([0, 1, 2, 3, 4, 7], [5, 6])
    assert active(crops, 2) == ([0, 1, 2, 3, 4, 7], [])
    assert active(crops, 4) == ([0, 1, 2, 3, 4, 5, 6, 7], [])  # never the crop of another kind
    assert crops.parents.tolist() == [-1] * 5 + [0, 2, 0, 4]
    assert crops.facts().items() >= {"images": 9, "generated_images": 4, "people": 0, "cameras": 3}.items()


@pytest.mark.parametrize("way", ["cluster", "parent"])
def test_all_of_them_from_the_beginning(way):
    crops = Crops.of(REAL, VIEWS, config(f"all:{way}:0-"))
    joins, follows = crops.active(17)
    assert len(np.concatenate([joins, follows])) == 9
    assert len(follows) == (0 if way == "cluster" else 4)


def test_a_chain_of_parents_leads_to_the_real_crop():
    views = made([NAMES[3], "bounding_box_train/0009_c7s1_000000_00.jpg"], ["view 1", "view 2"])
    assert Crops.of(REAL, views, config("all:parent:0-")).parents.tolist()[5:] == [3, 3]


def test_cameras_by_choice():
    use = "all:cluster:0-"
    assert Crops.of(REAL, VIEWS, config(use)).cameras.tolist()[5:] == [1, 1, 1, 4]
    assert Crops.of(REAL, VIEWS, config(use, generated_camera="own")).cameras.tolist()[5:] == [5] * 4
    moved = made(NAMES[:2], ["t", "t"], target_camid=[2, 6])
    assert Crops.of(REAL, moved, config(use, generated_camera="target")).cameras.tolist()[5:] == [2, 6]
    with pytest.raises(DataError, match="no target camera"):
        Crops.of(REAL, VIEWS, config(use, generated_camera="target"))


def test_rejected_and_test_crops_are_left_out_and_labels_are_not_looked_at():
    table = make_table([1, -1, 0, 2], splits=["train", "train", "train", "query"], rejected_by=[None, None, "x", None])
    assert len(Crops.of(table, None, config()).table) == 2  # of nobody known, too


def test_missing_parents_are_an_error_where_they_are_needed():
    strange = made([NAMES[0], "bounding_box_train/else.jpg"], ["view", "view"])
    with pytest.raises(DataError, match="need a parent in the train split"):
        Crops.of(REAL, strange, config("all:parent:0-", generated_camera="own"))
    with pytest.raises(DataError, match=r"count as their parent's camera.*\n  got: .*else\.jpg"):
        Crops.of(REAL, strange, config("all:cluster:0-"))
    crops = Crops.of(REAL, strange, config("all:cluster:0-", generated_camera="own"))
    assert crops.parents.tolist()[5:] == [0, -1]


def test_crops_without_use_and_use_without_crops():
    with pytest.raises(ConfigError, match="Nothing says"):
        Crops.of(REAL, VIEWS, config())
    with pytest.raises(
        ConfigError, match=r"kind of crops that there is not.*\n  got: rotate\n  allowed: .*style, view"
    ):
        Crops.of(REAL, VIEWS, config("rotate:cluster:0-"))
    with pytest.raises(ConfigError, match="kind of crops that there is not"):
        Crops.of(REAL, None, config("all:cluster:0-"))


def test_proxies_need_two_cameras():
    with pytest.raises(DataError, match="crops of two cameras"):
        Crops.of(make_table([1, 2], [3, 3]), None, config(cameras="proxies"))


def test_no_crops_at_all():
    with pytest.raises(DataError, match="no crops in split train"):
        Crops.of(make_table([1], splits="query"), None, config())
