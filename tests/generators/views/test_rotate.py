import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import reidgen as rg
from reidgen.data.pixels.images import read_rgb
from reidgen.data.provenance import View
from reidgen.errors import ConfigError, DataError, RunError, WeightsError
from reidgen.generators.views.rotate import SHEET, regenerate_turned
from reidgen.report.folders import Run
from tests.generators.views.conftest import ANGLES, SIZE, untrained, write_views


@pytest.fixture(scope="module")
def rotator(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("rotator"))


@pytest.fixture(scope="module")
def turned(rotator, people, tmp_path_factory):
    return rg.rotate(rotator, people, angles=ANGLES, out=tmp_path_factory.mktemp("turned"))


def test_every_crop_is_turned_by_every_angle(turned, people, rotator):
    assert len(turned) == 2 * len(people)
    operations = [View.parse(text) for text in turned.rows["operation"]]
    assert sorted((row, one.angle) for row, one in zip(turned.rows["parent"], operations, strict=True)) == sorted(
        (name, angle) for name in people.rows["file_name"] for angle in ANGLES
    )
    parents = turned.rows.join(people.rows, left_on="parent", right_on="file_name", suffix="_of")
    for column in ("pid", "camid", "seq"):
        assert (parents[column] == parents[f"{column}_of"]).all()
    angles = np.array([View.parse(text).angle for text in parents["operation"]])
    off = (parents["asked_yaw"].to_numpy() - parents["yaw"].to_numpy() - angles) % 360
    assert np.minimum(off, 360 - off).max() < 1e-9 and parents["asked_yaw"].is_between(-180, 180).all()
    assert set(turned.rows["origin"]) == {"generated"} and set(turned.rows["generator"]) == {rotator.hash}
    assert not set(turned.rows["file_name"]) & set(people.rows["file_name"])
    assert Run.read(turned.paths[0].parents[1]).kind == "generate rotate"  # a report lists it
    sheet = read_rgb(turned.paths[0].parents[1] / SHEET)
    assert sheet.size == (SIZE[1] * 3, SIZE[0] * 6)  # six people: the crop, and two angles


def test_people_who_are_not_turned_stand_as_their_own_bodies_do(rotator, people, tmp_path):
    made = rg.rotate(rotator, people, angles=(0,), out=tmp_path)
    assert made.rows["operation"].str.starts_with("view angle=0 structure=mesh ").all()
    crop = people.where(pl.col("file_name") == made.rows["parent"][3])
    body = np.array(read_rgb(crop.paths[0].parents[1] / crop.rows["mesh_0"][0], size=SIZE))[:, :, 0]
    stands = torch.from_numpy(body).float()[None, None] / 127.5 - 1
    pixels = rotator.rotate(np.array(read_rgb(crop.paths[0], size=SIZE))[None], stands)
    assert np.array_equal(regenerate_turned(rotator, made.take([3]), people), pixels)


def test_rows_make_their_pixels_again_in_any_batch(turned, people, rotator):
    rows = [5, 0, 40, 17]
    alone = [regenerate_turned(rotator, turned.take([row]), people)[0] for row in rows]
    together = regenerate_turned(rotator, turned.take(rows), people)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    for row, pixels in zip(rows, together, strict=True):
        file = np.asarray(read_rgb(turned.paths[row])).astype(float)
        assert np.abs(file - pixels).mean() < 6  # JPEG of quality 95 of noise-like pictures
    assert np.array_equal(rg.regenerate(turned, 5, weights=rotator, sources=people), alone[0])


def test_what_has_changed_is_not_made_again(rotator, tmp_path):
    people = write_views(tmp_path / "people")
    turned = rg.rotate(rotator, people, angles=(90,), out=tmp_path / "out")
    parent = turned.rows["parent"][0]
    row = people.rows.row(by_predicate=pl.col("file_name") == parent, named=True)
    for name in (row["mesh_90"], row["file_name"]):
        path = tmp_path / "people" / name
        before = path.read_bytes()
        Image.fromarray(np.full((*SIZE, 3), 77, np.uint8)).save(path)
        with pytest.raises(DataError, match=f"{parent} is not as it was"):
            regenerate_turned(rotator, turned.take([0]), people)
        path.write_bytes(before)
    other = untrained(tmp_path / "other", seed=1)
    with pytest.raises(WeightsError, match="was not made with"):
        regenerate_turned(other, turned, people)
    with pytest.raises(DataError, match="no mesh_90"):
        regenerate_turned(rotator, turned, rg.ReidTable(people.rows.drop("mesh_90")))


def test_a_killed_run_makes_the_missing_files_only(rotator, people, tmp_path, monkeypatch):
    from reidgen.generators.views import rotate as stage

    def cut(*args, **kwargs):
        raise KeyboardInterrupt

    whole = rg.rotate(rotator, people, out=tmp_path / "whole", angles=ANGLES, batch=8)
    monkeypatch.setattr(stage, "_write_sheet", cut)
    with pytest.raises(KeyboardInterrupt):
        rg.rotate(rotator, people, out=tmp_path / "cut", angles=ANGLES, batch=8)
    monkeypatch.undo()
    lost = [tmp_path / "cut" / name for name in whole.rows["file_name"][3:7]]
    for path in lost:
        path.unlink()
    stays = tmp_path / "cut" / whole.rows["file_name"][9]
    before = stays.stat().st_mtime_ns
    again = rg.rotate(rotator, people, out=tmp_path / "cut", angles=ANGLES, batch=8)
    assert again.rows.drop("root").equals(whole.rows.drop("root"))
    assert stays.stat().st_mtime_ns == before
    for one, other in zip(again.paths, whole.paths, strict=True):
        assert one.read_bytes() == other.read_bytes()
    with pytest.raises(RunError, match="another run"):
        rg.rotate(rotator, people, out=tmp_path / "cut", angles=(90,))


@pytest.mark.parametrize("structure", ["grey", "pose"])
def test_other_structures_come_from_crops_with_the_nearest_heading(structure, people, tmp_path):
    rotator = untrained(tmp_path / "rotator", structure=structure)
    turned = rg.rotate(rotator, people, angles=(90, 200), nearest=2, out=tmp_path / "out")
    yaws = dict(people.rows.select("file_name", "yaw").iter_rows())
    for parent, text in turned.rows.select("parent", "operation").iter_rows():
        one = View.parse(text)
        apart = sorted((abs((yaw - yaws[parent] - one.angle + 180) % 360 - 180), name) for name, yaw in yaws.items())
        assert one.donor in [name for _, name in apart[:2]]
    again = rg.regenerate(turned, [3], weights=rotator, sources=people)
    assert np.array_equal(again[0], regenerate_turned(rotator, turned.take([3, 4]), people)[0])
    for rows in (people.rows.drop("yaw"), people.rows.with_columns(yaw=pl.lit(None, pl.Float64))):
        with pytest.raises(DataError, match="does not say where people look"):
            rg.rotate(rotator, rg.ReidTable(rows), out=tmp_path / "none")


def test_generated_crops_distractors_and_test_people_stay_as_they_are(rotator, people, tmp_path):
    changed = people.rows.with_row_index("n").with_columns(
        origin=pl.when(pl.col("n") == 0).then(pl.lit("generated")).otherwise("origin"),
        pid=pl.when(pl.col("n") == 1).then(0).otherwise("pid"),
        split=pl.when(pl.col("n") == 2).then(pl.lit("query")).otherwise("split"),
    )
    turned = rg.rotate(rotator, rg.ReidTable(changed.drop("n")), angles=(90,), out=tmp_path / "out")
    assert len(turned) == len(people) - 3
    assert not set(turned.rows["parent"]) & set(people.rows["file_name"][:3])
    with pytest.raises(DataError, match="nobody to turn"):
        rg.rotate(rotator, people.where(pl.lit(False)), out=tmp_path / "none")


def test_angles_without_a_mesh_are_told(rotator, people, tmp_path):
    with pytest.raises(DataError, match="no mesh_45") as error:
        rg.rotate(rotator, people, angles=(45,), out=tmp_path / "out")
    assert "--angles 45" in error.value.fix
    with pytest.raises(ConfigError, match="angles"):
        rg.rotate(rotator, people, angles=(360,), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_crops_and_structures_of_other_shapes(rotator):
    crops = np.zeros((2, *SIZE, 3), np.uint8)
    for wrong, structures in (
        (crops, torch.zeros(2, 17, *SIZE)),
        (crops, torch.zeros(1, 1, *SIZE)),
        (crops[:, :16], torch.zeros(2, 1, *SIZE)),
    ):
        with pytest.raises(DataError, match="other crops or structures"):
            rotator.rotate(wrong, structures)


def test_clothes_of_others_part_by_part(rotator, people):
    rng = np.random.default_rng(0)
    crops, others = rng.integers(0, 256, (2, 2, *SIZE, 3), dtype=np.uint8)
    structures = torch.zeros(2, 1, *SIZE)
    plain = rotator.rotate(crops, structures)
    assert np.array_equal(rotator.rotate(crops, structures, clothes=crops), plain)
    assert np.array_equal(rotator.rotate(crops, structures, clothes=others), rotator.rotate(others, structures))
    assert np.array_equal(rotator.rotate(crops, structures, clothes=others, parts=()), plain)
    assert not np.array_equal(rotator.rotate(crops, structures, clothes=others, parts=(1,)), plain)
