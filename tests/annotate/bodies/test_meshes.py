import sys

import numpy as np
import polars as pl
import pytest
from PIL import Image

import reidgen as rg
from reidgen.annotate.bodies import meshes
from reidgen.annotate.bodies.body import Body
from reidgen.annotate.bodies.skeleton import mean_body
from reidgen.annotate.columns import in_words
from reidgen.data.readers.load import SAMPLE
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, DataError, MissingExtraError
from reidgen.render.bodies.body import body_model, pose_bones, skin
from tests.annotate.test_masks import write_mask
from tests.factories import make_table

SIZE = (64, 32)


@pytest.fixture(scope="module")
def studio(who):
    """A studio with the mean body."""
    from reidgen.render.grey import GreyStudio

    return GreyStudio(body_model(), mean_body())


def some(count):
    """Rendered crops from all over the test splits."""
    table = rg.load_dataset("reidgen", root=SAMPLE)
    return table.where(np.arange(len(table)) % (len(table) // count) == 7)


def body(who, **changed):
    angles = np.degrees(who.mean.reshape(-1, 3))
    return Body(
        **{"pitch": 10.0, "yaw": 30.0, "scale": (30.0, 33.0), "place": (16.0, 30.0), "angles": angles, **changed}
    )


def test_silhouette_reaches_as_far_as_the_vertices(who, studio):
    one = body(who)
    rotations = dict(zip(who.names, np.radians(one.angles), strict=True))
    studio.bend(rotations)
    bones = pose_bones(body_model(), mean_body().heads, rotations)
    points = (skin(mean_body().vertices, body_model().weights, bones) - who.heads[0]) @ one.axes()[:2].T
    points = points * one.scale + one.place
    ys, xs = np.nonzero(studio.show(one.axes(), one.scale, one.place, SIZE))
    # a pixel is lit where one of its four rays hits: half a pixel of rays, and one of the grid
    assert (xs.min(), ys.min()) == pytest.approx(points.min(0), abs=1.5)
    assert (xs.max() + 1, ys.max() + 1) == pytest.approx(points.max(0), abs=1.5)


def test_turned_bodies_are_those_of_another_yaw(who, studio):
    studio.bend({})
    turned = meshes.shown(studio, body(who), 90, SIZE, SIZE)
    assert np.array_equal(turned, meshes.shown(studio, body(who, yaw=120.0), 0, SIZE, SIZE))
    assert not np.array_equal(turned, meshes.shown(studio, body(who), 0, SIZE, SIZE))
    straight = [meshes.shown(studio, body(who, pitch=0.0, yaw=0.0), angle, SIZE, SIZE) for angle in (0, 180)]
    silhouettes = [picture > 0 for picture in straight]
    assert (silhouettes[0] ^ silhouettes[1][:, ::-1]).mean() < 0.02  # from behind the outline is mirrored


def test_pictures_of_another_size_show_the_same(who, studio):
    studio.bend({})
    small = meshes.shown(studio, body(who), 0, SIZE, SIZE).astype(float)
    large = meshes.shown(studio, body(who), 0, SIZE, (128, 64)).astype(float)
    means = large.reshape(64, 2, 32, 2).mean((1, 3))
    assert np.abs(means - small).mean() < 5  # other rays in the same pixels


def test_bodies_and_their_pictures_become_columns(who, tmp_path):
    table = some(6)
    made = rg.annotate(table, out=tmp_path / "out", what=("body", "mesh"), angles=(0, 180), device="cpu")
    assert made.rows["body"].null_count() == 0
    assert made.rows["body_error"].max() < 0.05
    assert made.rows["body_overlap"].mean() > 0.6
    for column in ("mesh_0", "mesh_180"):
        pictures = [np.asarray(Image.open(tmp_path / "out" / name)) for name in made.rows[column]]
        assert {one.shape for one in pictures} == {(128, 64)} and all(one.max() > 128 for one in pictures)
    told = read_run(tmp_path / "out")["summary"]
    assert told["body"] == {"known": 0, "made": 6, "without": 0} and told["mesh"] == {"mesh_0": 6, "mesh_180": 6}
    assert told["body_against_the_renderer"]["keypoints"]["mean"] < 6
    assert told["body_against_the_renderer"]["yaw"]["median"] < 40
    words = in_words(told)
    assert "body: 6 made" in words and "mesh_180: 6 pictures" in words and "IoU" in words
    # the bodies of a table are shown from further sides, and what was there stays with the crops
    more = rg.annotate(made, out=tmp_path / "more", what=("mesh",), angles=(45,), device="cpu")
    for name in [*more.rows["mesh_45"], *more.rows["mesh_180"]]:
        assert (tmp_path / "more" / name).is_file()
    assert more.rows["body"].to_list() == made.rows["body"].to_list()


def test_a_killed_run_ends_with_the_same_bytes(who, tmp_path, monkeypatch):
    monkeypatch.setattr(meshes, "BLOCK", 2)
    table, drawn = some(5), []
    draw = meshes._draw

    def cut(*args):
        drawn.append(args)
        if len(drawn) == 4:
            raise KeyboardInterrupt
        return draw(*args)

    options = {"what": ("body", "mesh"), "angles": (90,), "device": "cpu"}
    whole = rg.annotate(table, out=tmp_path / "whole", **options)
    monkeypatch.setattr(meshes, "_draw", cut)
    with pytest.raises(KeyboardInterrupt):
        rg.annotate(table, out=tmp_path / "cut", **options)
    again = rg.annotate(table, out=tmp_path / "cut", **options)
    assert len(drawn) == 4 + 3  # the first block was kept
    assert again.rows.drop("root").equals(whole.rows.drop("root"))
    for name in whole.rows["mesh_90"]:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_half_bodies_and_crops_of_nobody_have_no_body(who, tmp_path):
    table = some(3)
    made = rg.annotate(table, out=tmp_path / "out", what=("body", "mesh"), angles=(0,), body_points=18, device="cpu")
    assert made.rows.select("body", "body_error", "body_overlap", "mesh_0").null_count().row(0) == (3, 3, 3, 3)
    assert read_run(tmp_path / "out")["summary"]["body"] == {"known": 0, "made": 0, "without": 3}
    assert "3 without" in in_words(read_run(tmp_path / "out")["summary"])


def other_tool(folder, table, angles, size=(128, 64)):
    for angle in angles:
        for path in table.paths:
            write_mask(folder / str(angle) / f"{path.stem}.png", size=size)
    return folder


def test_pictures_of_another_tool_are_taken_as_they_are(tmp_path):
    table = make_table([1, 2, 3], root=tmp_path / "crops")
    folder = other_tool(tmp_path / "meshes", table, (0, 90))
    (folder / "90" / f"{table.paths[2].stem}.png").unlink()
    options = {"what": ("mesh",), "angles": (0, 90), "meshes": str(folder)}
    made = rg.annotate(table, out=tmp_path / "out", **options)
    assert made.rows["mesh_0"].null_count() == 0 and made.rows["mesh_90"].is_null().to_list() == [False, False, True]
    first = tmp_path / "out" / made.rows["mesh_90"][0]
    assert first.read_bytes() == (folder / "90" / f"{table.paths[0].stem}.png").read_bytes()
    assert read_run(tmp_path / "out")["summary"]["mesh"] == {"mesh_0": 3, "mesh_90": 2}


def test_wrong_folders_of_pictures_are_told(tmp_path):
    table = make_table([1, 2], root=tmp_path / "crops")
    folder = other_tool(tmp_path / "meshes", table, (0,))
    options = {"what": ("mesh",), "out": tmp_path / "out", "meshes": str(folder)}
    with pytest.raises(DataError, match="turned by 90 degrees"):
        rg.annotate(table, angles=(0, 90), **options)
    with pytest.raises(DataError, match="another size than the others") as error:
        rg.annotate(table, angles=(0,), mesh_size=SIZE, **options)
    assert "128x64" in str(error.value)
    for path in (folder / "0").iterdir():
        path.rename(path.with_name(f"other{path.name}"))
    with pytest.raises(DataError, match="no picture with the name of a crop"):
        rg.annotate(table, angles=(0,), **options)


def test_bodies_are_there_or_asked_for(who, tmp_path):
    table = make_table([1, 2], root=tmp_path / "crops", body=[None, None])
    for one in (table, rg.ReidTable(table.rows.drop("body"))):
        with pytest.raises(DataError, match="no bodies to show"):
            rg.annotate(one, out=tmp_path / "out", what=("mesh",))
    damaged = rg.ReidTable(table.rows.with_columns(body=pl.Series([[1.0], None])))
    with pytest.raises(DataError, match=r"body of .*0001.* is none"):
        rg.annotate(damaged, out=tmp_path / "out", what=("mesh",))


@pytest.mark.parametrize("what", ["body", "mesh"])
def test_a_missing_extra_is_told_before_anything_is_written(tmp_path, monkeypatch, what):
    monkeypatch.setitem(sys.modules, "anny", None)
    table = make_table([1], root=tmp_path / "crops")
    with pytest.raises(MissingExtraError, match=r"reidgen\[render\]"):
        rg.annotate(table, out=tmp_path / "out", what=(what,))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("angles", [(), (90, 90), (360,), (-90,)])
def test_angles_are_whole_turns_each_once(angles):
    with pytest.raises(ConfigError, match="angles"):
        rg.AnnotateConfig(angles=angles)
