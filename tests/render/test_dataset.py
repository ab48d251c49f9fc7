import hashlib
import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import reidgen as rg
from reidgen.data.table import ReidTable
from reidgen.errors import MissingExtraError, RunError
from reidgen.render import dataset as people
from reidgen.render.dataset import plan_crops

MISSING = [name for name in ("anny", "warp") if importlib.util.find_spec(name) is None]
needs_anny = pytest.mark.skipif(bool(MISSING), reason=f"the extra 'render' is not installed: no module {MISSING}")
SMALL = rg.RenderConfig(people=4, cameras=2, images_per_camera=2, seed=3, workers=1)


def test_half_of_the_people_train_and_each_camera_gives_one_query():
    plan = plan_crops(rg.RenderConfig(people=10, cameras=3, images_per_camera=4))
    assert len(plan) == 120 and plan["file_name"].n_unique() == 120
    assert set(plan.filter(pl.col("split") == "train")["pid"]) == {1, 2, 3, 4, 5}
    queries = plan.filter(pl.col("split") == "query")
    assert queries.select("pid", "camid").n_unique() == len(queries) == 15
    assert set(queries["pid"]) == set(plan.filter(pl.col("split") == "gallery")["pid"]) == {6, 7, 8, 9, 10}


def test_the_number_of_train_people_can_be_chosen():
    plan = plan_crops(rg.RenderConfig(people=5, cameras=1, images_per_camera=2, train_people=5))
    assert set(plan["split"]) == {"train"}


def test_a_plan_repeats_and_longer_plans_keep_its_crops():
    a, b = plan_crops(SMALL), plan_crops(replace(SMALL, people=6, train_people=2))
    assert a.equals(plan_crops(SMALL))
    assert set(a["file_name"]) <= set(b["file_name"])
    assert not a["frame"].equals(plan_crops(replace(SMALL, seed=4))["frame"])


def digest(folder):
    names = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("run.json", ".lock"))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in names}


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_without_the_extra_the_folder_stays_free(monkeypatch, tmp_path):
    def missing():
        raise MissingExtraError("anny", extra="render", purpose="render")

    monkeypatch.setattr(people, "load_anny", missing)
    for seed in (1, 2):  # the second is another run, and is not told that the folder holds one
        with pytest.raises(MissingExtraError):
            rg.render_people(replace(SMALL, seed=seed), out=tmp_path)


def test_a_worker_that_fails_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(people, "WORKER", "reidgen.no_such_module")
    with pytest.raises(RunError, match=r"(?s)worker \d failed.*exit status 1"):
        list(people._in_processes([{"pid": 1}, {"pid": 2}], replace(SMALL, workers=2), tmp_path))


def test_the_shipped_people_are_small_and_complete():
    folder = Path(people.__file__).parents[1] / "assets" / "people"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
    table = ReidTable.read(folder)
    assert len(set(table.pids)) == 60 and set(table.camids) == {1, 2, 3, 4}
    assert len(table.train) == 360 and len(table.query) == 120 and len(table.gallery) == 240
    assert not set(table.train.pids) & set(table.query.pids) and set(table.query.pids) == set(table.gallery.pids)
    assert all((folder / mask).is_file() for mask in table.rows["mask"]) and all(path.is_file() for path in table.paths)
    assert set(table.rows["origin"]) == {"rendered"} and table.rows["keypoints"].list.len().unique().to_list() == [51]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    return rg.render_people(SMALL, out=folder), folder


@pytest.mark.slow
@needs_anny
def test_same_seed_same_bytes_with_one_process_and_with_two(rendered, tmp_path):
    _, folder = rendered
    rg.render_people(replace(SMALL, workers=2), out=tmp_path / "two")
    assert digest(tmp_path / "two") == digest(folder)


@pytest.mark.slow
@needs_anny
def test_a_run_that_lost_files_ends_with_the_same_bytes(rendered, tmp_path):
    _, folder = rendered
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    crops = sorted((again / "bounding_box_train").glob("*.jpg"))
    for path in (
        crops[1],
        crops[4],
        *(again / "maps/parts").glob("0003*.png"),
        again / "query/metadata.parquet",
        again / "run.json",
    ):
        path.unlink()
    kept = crops[2].stat().st_mtime_ns
    rg.render_people(SMALL, out=again)
    assert digest(again) == digest(folder)
    assert crops[2].stat().st_mtime_ns == kept  # what was there was not rendered anew


@pytest.mark.slow
@needs_anny
def test_a_finished_run_returns_its_table_and_another_config_is_refused(rendered):
    table, folder = rendered
    assert rg.render_people(SMALL, out=folder).hash() == table.hash()
    with pytest.raises(RunError):
        rg.render_people(replace(SMALL, seed=9), out=folder)


@pytest.mark.slow
@needs_anny
def test_masks_parts_and_key_points_agree(rendered):
    table, folder = rendered
    assert len(ReidTable.read(folder)) == len(table) == 16
    near = total = 0
    for row in table.rows.iter_rows(named=True):
        crop, mask, parts, normals = (pixels(folder / row[k]) for k in ("file_name", "mask", "parts", "normals"))
        assert crop.shape == (128, 64, 3) and mask.shape == (128, 64)
        assert 0.03 < (mask > 0).mean() < 0.8
        assert ((parts > 0) == (mask > 0)).mean() > 0.97
        lengths = np.linalg.norm(normals[mask > 0] / 127.5 - 1, axis=1)
        assert 0.97 < np.median(lengths) < 1.03
        points = np.array(row["keypoints"]).reshape(17, 3)
        for x, y, _seen in points[points[:, 2] == 2]:
            window = mask[max(int(y) - 3, 0) : int(y) + 4, max(int(x) - 3, 0) : int(x) + 4]
            near, total = near + bool(window.any()), total + 1
    assert total > 100 and near / total > 0.97


@pytest.mark.slow
@needs_anny
def test_left_and_right_follow_the_yaw(rendered):
    """Who faces the camera has the left shoulder on the right of the picture; who turns the back has it on the left."""
    table, _ = rendered
    checked = 0
    for row in table.rows.iter_rows(named=True):
        points = np.array(row["keypoints"]).reshape(17, 3)
        facing = np.cos(np.radians(row["yaw"]))
        if abs(facing) > 0.7:
            assert np.sign(points[5, 0] - points[6, 0]) == np.sign(facing)
            checked += 1
    assert checked >= 3


@pytest.mark.slow
@needs_anny
def test_a_pattern_sticks_to_the_cloth():
    """A shirt red above a seam and blue below stays so in every pose, the seam at the same share of the trunk."""
    from reidgen.render.bodies.wardrobe import SLOTS
    from reidgen.render.clothes.materials import Material
    from reidgen.render.shots import compose
    from reidgen.render.studio import Studio

    studio = Studio(3)
    cloth = Material(kind=6, a=(0.8, 0.02, 0.02), b=(0.02, 0.02, 0.8), duty=-0.26, grain=0.0)
    seams = []
    for index in range(8):
        shot = compose(3, 1, 1, index, (256, 128))
        rows = shot.figure.materials.copy()
        rows[SLOTS.index("upper")] = cloth.row()
        plain = replace(
            shot.camera, noise=0.0, saturation=1.0, gains=(1.0, 1.0, 1.0), contrast=0.0, sharpen=0.0, blur=0.1
        )
        shot = replace(shot, figure=replace(shot.figure, materials=rows), camera=plain, passers=[])
        picture = studio.take(shot)
        points = studio.keypoints(shot)
        upper = picture.parts == SLOTS.index("upper") + 1
        red = upper & (picture.pixels[..., 0] > picture.pixels[..., 2].astype(int) + 20)
        blue = upper & (picture.pixels[..., 2] > picture.pixels[..., 0].astype(int) + 20)
        middle = slice(int(points[[5, 6, 11, 12], 0].min()), int(points[[5, 6, 11, 12], 0].max()) + 1)
        rows_red, rows_blue = np.nonzero(red[:, middle])[0], np.nonzero(blue[:, middle])[0]
        if len(rows_red) > 60 and len(rows_blue) > 60:
            shoulder, hip = points[[5, 6], 1].mean(), points[[11, 12], 1].mean()
            seam = 0.5 * (np.quantile(rows_red, 0.97) + np.quantile(rows_blue, 0.03))
            seams.append((seam - shoulder) / (hip - shoulder))
    assert len(seams) >= 4
    assert np.ptp(seams) < 0.2 and 0.1 < np.mean(seams) < 0.9
