"""Each published set of sets.toml, as a made folder of a few crops in its layout."""

import typing

import pytest

from reidgen.config import PrepareConfig
from reidgen.config.data import Dataset
from reidgen.data.readers import sets
from reidgen.data.readers.load import READERS, load_dataset
from reidgen.errors import DataError

# files, and of each that is read: person, camera, split where all of them is asked of the seed 0
MADE = {
    "viper": (
        ["VIPeR/cam_a/000_45.bmp", "VIPeR/cam_b/000_90.bmp", "VIPeR/cam_a/001_0.bmp", "VIPeR/cam_b/001_180.bmp"],
        {(2, 1), (2, 2), (1, 1), (1, 2)},  # nobody is a distractor
    ),
    "grid": (
        [
            *(f"underground_reid/probe/{pid}_1_25004_107_32_106_221.jpeg" for pid in ("0001", "0002")),
            *(f"underground_reid/gallery/{pid}_5_25004_107_32_106_221.jpeg" for pid in ("0001", "0002", "0000")),
        ],
        {(1, 1), (1, 5), (2, 1), (2, 5), (0, 5)},
    ),
    "prid": (
        [
            *(f"single_shot/cam_a/person_{pid}.png" for pid in ("0001", "0200", "0201", "0385")),
            *(f"single_shot/cam_b/person_{pid}.png" for pid in ("0001", "0200", "0201", "0749")),
            "multi_shot/cam_a/person_0001/0001.png",
        ],
        {(1, 1), (200, 1), (1, 2), (200, 2), (201, 2), (749, 2)},  # 201 of camera A is somebody else
    ),
    "ilids": (
        [f"i-LIDS_Pedestrian/Persons/{name}.jpg" for name in ("0001001", "0001002", "0119001", "0119002")],
        {(1, 1), (119, 1), (119, 2)},  # 1 is in train
    ),
    "cuhk01": (
        [f"CUHK01/campus/{pid}00{i}.png" for pid in ("0001", "0971") for i in range(1, 5)],
        {(1, 1), (1, 2), (971, 1), (971, 2)},
    ),
    "occluded-reid": (
        [
            *(f"occluded_body_images/{pid}/{pid}_0{i}.tif" for pid in ("001", "200") for i in (1, 2)),
            *(f"whole_body_images/{pid}/{pid}_0{i}.tif" for pid in ("001", "200") for i in (1, 2)),
        ],
        {(1, 1), (1, 2), (200, 1), (200, 2)},
    ),
    "pku-reid": (
        [f"PKUv1a_128x48/{pid}_{camera}_{i}.png" for pid in ("001", "114") for camera in (1, 2) for i in range(1, 9)],
        {(1, 1), (1, 2), (114, 1), (114, 2)},
    ),
    "mars": (
        [
            *(f"bbox_train/0001/0001C{camera}T0001F00{i}.jpg" for camera in (1, 2) for i in (1, 2)),
            *(f"bbox_test/0002/0002C{camera}T0003F00{i}.jpg" for camera in (1, 2) for i in (1, 2)),
            "bbox_test/0000/0000C6T0101F001.jpg",
            "bbox_test/00-1/00-1C3T0001F001.jpg",
        ],
        {(1, 1), (1, 2), (2, 1), (2, 2), (0, 6), (-1, 3)},
    ),
}


def made(folder, name):
    for file in MADE[name][0]:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return load_dataset(name, folder, expect_counts="any")


def test_each_set_can_be_asked_for_and_is_made_here():
    assert set(sets.known()) == set(MADE) == set(typing.get_args(Dataset)) & set(MADE)
    assert set(READERS) == set(typing.get_args(Dataset))
    assert all(one["source"] and one["published"] for one in sets.known().values())


@pytest.mark.parametrize("name", MADE)
def test_people_cameras_and_split_of_a_made_folder(tmp_path, name):
    table = made(tmp_path, name)
    assert table.name == sets.known()[name]["title"]
    assert set(zip(table.pids.tolist(), table.camids.tolist(), strict=True)) == MADE[name][1]
    train, query, gallery = (set(part.pids.tolist()) for part in (table.train, table.query, table.gallery))
    assert query and query <= gallery, "each query can be found"
    assert not train & (query | gallery)
    assert bool(train) == (name != "occluded-reid")


def test_prid_shows_those_of_camera_b_alone_as_gallery(tmp_path):
    table = made(tmp_path, "prid")
    assert {201, 749} <= set(table.gallery.pids.tolist()) and len(set(table.query.pids.tolist())) == 1
    assert set(table.query.camids.tolist()) == {1} and set(table.gallery.camids.tolist()) == {2}


def test_tracks_of_mars_are_kept(tmp_path):
    rows = made(tmp_path, "mars").rows
    assert rows.filter(rows["file_name"] == "bbox_test/0002/0002C2T0003F002.jpg").select("seq", "frame").row(0) == (
        3,
        2,
    )
    assert (rows["split"] == "query").sum() == 2


@pytest.mark.parametrize("name", MADE)
def test_published_counts_are_checked(tmp_path, name):
    made(tmp_path, name)
    with pytest.raises(DataError, match=f"{sets.known()[name]['title']} is not complete"):
        load_dataset(name, tmp_path)


def test_a_split_that_is_drawn_is_told(tmp_path, capsys):
    made(tmp_path, "viper")
    assert "split made here: 1 of 2 people in train, 1 queries, by share:0.5 and seed 0" in capsys.readouterr().err


def test_a_complete_set_passes_its_check(tmp_path):
    for pid in range(632):
        for camera, angle in (("a", 45), ("b", 135)):
            (tmp_path / f"cam_{camera}").mkdir(exist_ok=True)
            (tmp_path / f"cam_{camera}" / f"{pid:03d}_{angle}.bmp").touch()
    table = load_dataset("viper", tmp_path)
    assert (len(table.train), len(table.query), len(table.gallery)) == (632, 316, 316)
    assert set(table.query.pids) == set(table.gallery.pids)
    other = load_dataset("viper", tmp_path, train_share=0.25, seed=1)
    assert (len(other.train), len(other.query)) == (316, 474)


def test_another_folder_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="is not a VIPeR folder"):
        sets.read(tmp_path, PrepareConfig(dataset="viper"))
