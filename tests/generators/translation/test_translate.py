"""Tables of translated crops: which are made, what their rows say, and that rows make the pixels again."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from reidgen.data.pairs import camera_pair
from reidgen.data.provenance.translation import Translation
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, WeightsError
from reidgen.generators.crops import encode
from reidgen.generators.translation.model_sheet import model_sheet, people_rows
from reidgen.generators.translation.translate import SHEET, regenerate_translated, translate
from reidgen.generators.translation.translator import load_translators
from tests.generators.translation.conftest import untrained, write_people

SIZES = (((48, 80), "large"), ((16, 32), "small"))


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    """A translator that needs crops, masks and poses."""
    return untrained("pix2pix-pose", tmp_path_factory.mktemp("posed"))


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "bounding_box_train").glob("*.jpg")}


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def test_rows(posed, people, tmp_path):
    made = translate(posed, people, outputs=2, out=tmp_path)
    sources = people.where(pl.col("camid") == 1).rows
    assert len(made) == 2 * len(sources)
    assert made.rows["parent"].unique().sort().to_list() == sources["file_name"].sort().to_list()
    both = made.rows.join(sources, left_on="parent", right_on="file_name", suffix="_of_parent")
    assert both.height == len(made)
    assert (both["pid"] == both["pid_of_parent"]).all()
    assert (both["seq"] == both["seq_of_parent"]).all()
    assert made.rows["camid"].unique().to_list() == made.rows["target_camid"].unique().to_list() == [2]
    assert made.rows["generator"].unique().to_list() == [posed.hash]
    assert made.rows["origin"].unique().to_list() == ["generated"]
    assert not set(made.rows["file_name"]) & set(people.rows["file_name"])
    assert (tmp_path / SHEET).is_file()
    poses = {Translation.parse(text).pose for text in made.rows["operation"]}
    assert poses <= set(people.where(pl.col("camid") == 2).rows["file_name"])
    assert len(poses) > 3, "random ones of the target"


@pytest.mark.parametrize("preset", ["pix2pix-pose", "camstyle", "stargan", "paste"])
def test_rows_make_their_pixels_again_whatever_the_batch(preset, people, tmp_path):
    translator = untrained(preset, tmp_path)
    one = translate(translator, people, outputs=1, batch=5, out=tmp_path / "one")
    other = translate(translator, people, outputs=1, batch=64, out=tmp_path / "other")
    assert files(tmp_path / "one") == files(tmp_path / "other")
    chosen = other.where(np.arange(len(other)) % 5 == 3)
    again = regenerate_translated(translator, chosen, people)
    for pixels, path in zip(again, chosen.paths, strict=True):
        encoded = encode(pixels, quality=95)
        assert encoded == path.read_bytes()
    assert len(one) == {"camstyle": 24, "stargan": 24}.get(preset, 12), "both ways where there are two"


def test_a_call_that_was_cut_off_is_finished_by_the_same_call(posed, people, tmp_path, monkeypatch):
    whole = translate(posed, people, out=tmp_path / "whole", batch=4)
    real, calls = type(posed).translate, []

    def fails(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments, **options)

    monkeypatch.setattr(type(posed), "translate", fails)
    with pytest.raises(KeyboardInterrupt):
        translate(posed, people, out=tmp_path / "cut", batch=4)
    begun = files(tmp_path / "cut")
    assert 0 < len(begun) < len(whole)
    monkeypatch.undo()
    finished = translate(posed, people, out=tmp_path / "cut", batch=4)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert finished.rows.drop("root").equals(whole.rows.drop("root"))


def test_all_test_and_new(tmp_path):
    table = write_people(tmp_path / "people")
    alone = table.where(((pl.col("pid") != 6) | (pl.col("camid") != 2)) & ((pl.col("pid") != 5) | (pl.col("seq") != 1)))
    alone = ReidTable.concat([alone, table.where((pl.col("pid") == 5) & (pl.col("camid") == 1) & (pl.col("seq") == 1))])
    translator = untrained("background", tmp_path)
    pair = camera_pair(alone, 1, 2)
    expected = {"all": 12, "test": len(pair.test), "new": len(pair.new)}
    assert 0 < expected["new"] < expected["test"] < 12
    for crops, count in expected.items():
        made = translate(translator, alone, crops=crops, out=tmp_path / crops)
        assert len(made) == count
    assert set(made.pids) == {6}


def test_crops_and_masks_of_another_size_are_resized_and_told(people, tmp_path, capsys):
    """A table of larger crops is translated as the same table of crops that were made smaller before."""
    rows = []
    for row in people.rows.head(6).iter_rows(named=True):
        for name, size, folder in ((n, s, f) for n in (row["file_name"], row["mask"]) for s, f in SIZES):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            with Image.open(people.paths[0].parents[1] / name) as picture:
                picture.resize((48, 80)).resize(size, Image.Resampling.BICUBIC).save(tmp_path / folder / name, "PNG")
        rows.append({name: value for name, value in row.items() if name != "root"})
    translator = untrained("pix2pix-mask", tmp_path)
    made = {}
    for _, folder in SIZES:
        table = ReidTable.from_rows(rows, root=tmp_path / folder)
        made[folder] = translate(translator, table, out=tmp_path / f"made-{folder}")
        told = capsys.readouterr().err
        sized = "6 of 6 crops have another size than 32x16, such as 80x48: they are resized, and their masks"
        assert (sized in told) == (folder == "large")
    assert len(made["large"]) == len(made["small"]) > 0
    for one, other in zip(made["large"].paths, made["small"].paths, strict=True):
        assert decoded(one.read_bytes()).shape == (32, 16, 3)
        assert one.read_bytes() == other.read_bytes()


def test_the_sheet_has_crops_what_was_made_of_them_and_real_ones(tmp_path):
    """Two translators, two outputs each; person 2 has no crop by camera 2."""
    table = write_people(tmp_path / "people", people=3)
    table = table.where((pl.col("pid") != 2) | (pl.col("camid") == 1))
    ones = [untrained(preset, tmp_path / preset) for preset in ("pix2pix", "background")]
    made = translate(ones, table, outputs=2, out=tmp_path / "made")
    presets = {one.hash: one.config.preset for one in ones}
    labels, rows = people_rows(made, table, presets)
    assert labels == ["crop", "background, 2", "background, 2", "pix2pix, 2", "pix2pix, 2", "real, 2"]
    assert [(pid, row[5] is None) for pid, row in rows.items()] == [(1, False), (2, True), (3, False)]
    parents = dict(made.rows.select("file_name", "parent").iter_rows())
    generators = dict(made.rows.select("file_name", "generator").iter_rows())
    for row in rows.values():
        names = [str(path.relative_to(tmp_path / "made")) for path in row[1:5]]
        assert {parents[name] for name in names} == {str(row[0].relative_to(tmp_path / "people"))}
        assert [generators[name] for name in names] == [ones[1].hash] * 2 + [ones[0].hash] * 2
        assert len(set(names)) == 4
    sheet = model_sheet(made, table, presets, (32, 16))
    with Image.open(tmp_path / "made" / SHEET) as written:
        assert np.array_equal(np.asarray(written), sheet)
    assert sheet.shape[0] > 4 * 32, "three people and a camera"


def test_cameras_that_it_does_not_know(posed, people, tmp_path):
    with pytest.raises(ConfigError, match="other cameras") as caught:
        translate(posed, people, source=2, target=1, out=tmp_path)
    assert "1 to 2" in str(caught.value)
    with pytest.raises(DataError, match="no crop to translate"):
        translate(posed, people.where(pl.col("camid") == 2), out=tmp_path)


def test_masks_that_are_missing(posed, people, tmp_path, capsys):
    with pytest.raises(DataError, match="no masks"):
        translate(posed, ReidTable(people.rows.drop("mask")), out=tmp_path)
    some = pl.when(pl.col("pid") == 1).then(None).otherwise(pl.col("mask")).alias("mask")
    made = translate(posed, ReidTable(people.rows.with_columns(some)), out=tmp_path)
    assert set(made.pids) == {2, 3, 4, 5, 6}
    assert "4 of 24 crops have no mask and are left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.zeros((32, 16)), "shows nobody"),
        (np.ones((16, 8)), "another size"),
        (np.full((32, 16), 1 / 255), r"too dark for a mask\.\n  got: 1 at its brightest"),
    ],
)
def test_masks_that_are_wrong(pixels, told, tmp_path):
    table = write_people(tmp_path / "people", people=3)
    mask = tmp_path / "people" / table.rows["mask"][0]
    Image.fromarray((255 * pixels).astype(np.uint8)).save(mask)
    with pytest.raises(DataError, match=told) as caught:
        translate(untrained("pix2pix-mask", tmp_path), table, out=tmp_path / "out")
    assert mask.name in str(caught.value)


def test_regenerate_needs_what_was_there(posed, tmp_path):
    table = write_people(tmp_path / "people", people=2)
    made = translate(posed, table, out=tmp_path / "made")
    with pytest.raises(WeightsError, match="was not made with"):
        regenerate_translated(untrained("pix2pix-pose", tmp_path, seed=1), made, table)
    parent = tmp_path / "people" / made.rows["parent"][0]
    Image.new("RGB", (16, 32), "red").save(parent)
    with pytest.raises(DataError, match="not as it was") as caught:
        regenerate_translated(posed, made, table)
    assert parent.name in str(caught.value)
    with pytest.raises(DataError, match="another command"):
        regenerate_translated(posed, ReidTable(made.rows.with_columns(operation=pl.lit("render"))), table)


def test_several_translators_make_one_table(tmp_path):
    """Each crop in every other camera's style, as CamStyle does with a translator for each two cameras."""
    table = write_people(tmp_path / "people", cameras=(1, 2, 3), people=3)
    pairs = [(1, 2), (1, 3), (2, 3)]
    ones = [untrained("camstyle", tmp_path / f"{a}-{b}", (a, b), source=a, target=b, seed=a) for a, b in pairs]
    opened = load_translators(tmp_path)
    assert [one.hash for one in opened] == [one.hash for one in ones]
    made = translate(opened, table, out=tmp_path / "made")
    labels, rows = people_rows(made, table, {one.hash: "camstyle" for one in ones})
    assert labels == ["crop", "camstyle, 1", "camstyle, 2", "camstyle, 3", "real, 1", "real, 2", "real, 3"]
    assert all([path is None for path in row] == [False, True, *[False] * 5] for row in rows.values())
    per_parent = made.rows.group_by("parent").agg(pl.col("target_camid").sort())
    cameras = dict(table.rows.select("file_name", "camid").iter_rows())
    assert len(per_parent) == len(table)
    assert all(targets == sorted({1, 2, 3} - {cameras[name]}) for name, targets in per_parent.iter_rows())
    of_last = made.where(pl.col("generator") == ones[2].hash)
    assert set(of_last.camids) == {2, 3}
    assert len(regenerate_translated(ones[2], of_last, table)) == len(of_last)
    some = translate(opened, table, source=3, target=1, out=tmp_path / "some")
    assert set(some.rows["generator"]) == {ones[1].hash}
    assert load_translators(tmp_path / "1-2")[0].hash == ones[0].hash
