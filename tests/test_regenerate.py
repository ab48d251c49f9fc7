"""One function makes the crops of every kind again, from the table's rows."""

import importlib.util

import numpy as np
import polars as pl
import pytest

import reidgen as rg
from reidgen.data.provenance import KINDS, Rendering, Style, Translation, View, read_operation
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, WeightsError
from reidgen.generators.crops import encode
from reidgen.generators.people.people import generate_people
from reidgen.generators.translation.translate import translate
from tests.generators.translation.conftest import untrained, write_people

TEXTS = (
    "stylegan2 psi=0.7 w=12 noise=5 jpeg=95",
    "stylegan3-r psi=1.0 w=0123456789abcdef:3 layers=4,5 from=7 weight=0.5 noise=0 jpeg=90",
    "dcgan psi=1.0 w=3 noise=3 jpeg=95",
    "translation 1>2 crop=0123456789abcdef mask=0123456789abcdef noise=4 jpeg=95",
    "view angle=90 structure=mesh crop=0123456789abcdef shape=0123456789abcdef jpeg=95",
    "view angle=180 structure=pose of=a%20b/c.jpg crop=0123456789abcdef shape=0123456789abcdef jpeg=95",
    "render v1 seed=3 person=2 camera=1 index=0 size=32x16 pose=walk",
)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back_as_they_were(text):
    operation = read_operation(text)
    assert str(operation) == text
    assert type(operation) is KINDS[text.split()[0]]


def test_every_kind_has_a_text():
    assert (
        {type(read_operation(text)) for text in TEXTS} == {Style, Translation, View, Rendering} == set(KINDS.values())
    )


@pytest.mark.parametrize("text", [None, "", "render:walk", "render v1 seed=1", "resize 64x32 bicubic", "stylegan2 w=1"])
def test_a_text_that_says_too_little_is_told(text):
    with pytest.raises(DataError, match=r"got: operation "):
        read_operation(text)


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gan")
    table = write_people(folder / "people", cameras=(1, 2))
    tiny = {"size": (32, 16), "z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8}
    config = rg.StyleGANConfig(**tiny, batch=4, kimg=0.008, snapshot_kimg=0.008, device="cpu")
    return rg.train_generator(table, config, out=folder / "gan")


@pytest.fixture(scope="module")
def mixed(gan, tmp_path_factory):
    """Generated and translated crops in one table, with what made them."""
    folder = tmp_path_factory.mktemp("mixed")
    people = write_people(folder / "people", cameras=(1, 2))
    translator = untrained("pix2pix-mask", folder)
    made = generate_people(gan, people=2, variants=2, out=folder / "made")
    moved = translate(translator, people, out=folder / "moved")
    return ReidTable.concat([made, moved.take(range(4))]), translator, people


def test_rows_of_several_kinds_have_their_pixels_again(mixed, gan):
    table, translator, people = mixed
    again = rg.regenerate(table, weights=[gan, translator], sources=people)
    assert again.shape == (8, 32, 16, 3)
    for pixels, path in zip(again, table.paths, strict=True):
        assert encode(pixels, quality=95) == path.read_bytes()
    assert np.array_equal(rg.regenerate(table, 6, weights=translator, sources=people), again[6])
    assert np.array_equal(rg.regenerate(table, [3, 0], weights=gan), again[[3, 0]])


def test_what_is_lacking_is_named(mixed, gan):
    table, translator, people = mixed
    with pytest.raises(WeightsError, match=r"weights that are not given\.\n  got: generator \w+; given: none"):
        rg.regenerate(table)
    with pytest.raises(DataError, match="got: no sources"):
        rg.regenerate(table, weights=[gan, translator])
    with pytest.raises(DataError, match=r"no such row\.\n  got: row 5000\n  allowed: 0 to 7"):
        rg.regenerate(table, [0, 5000], weights=[gan, translator])
    with pytest.raises(DataError, match="No row is asked for"):
        rg.regenerate(table, [], weights=[gan, translator])
    swapped = ReidTable(table.rows.with_columns(generator=pl.lit(gan.hash)))
    with pytest.raises(DataError, match="other weights made it than its operation"):
        rg.regenerate(swapped, weights=[gan, translator], sources=people)


@pytest.mark.parametrize("name", ["table", "weights", "sources"])
def test_names_of_folders_are_told(name, mixed, gan, tmp_path):
    table, translator, people = mixed
    known = {"table": table, "weights": [gan, translator], "sources": people}
    for folder in ("runs/made", tmp_path, [gan, "runs/made"], None):
        if name == "sources" and folder is None:
            continue
        with pytest.raises(DataError, match=f"takes opened {name}, and no folders") as caught:
            rg.regenerate(**{**known, name: folder})
        assert f"try: {name}=rg.load_" in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="the extra 'render' is not installed")
def test_rendered_crops_are_rendered_again(tmp_path):
    config = rg.RenderConfig(people=2, cameras=2, images_per_camera=1, size=(32, 16), seed=3, workers=1, maps="none")
    table = rg.render_people(config, out=tmp_path)
    moved = ReidTable(table.rows.with_columns(pid=pl.col("pid") + 100, camid=pl.lit(7)))  # as extend may number them
    again = rg.regenerate(moved)
    from reidgen.render.crops import jpeg
    from reidgen.render.shots import location

    for row, pixels, path in zip(moved.rows.iter_rows(named=True), again, moved.paths, strict=True):
        one = read_operation(row["operation"])
        assert jpeg(pixels, location(one.seed, one.camera)[0].quality) == path.read_bytes()
    other = ReidTable(table.rows.with_columns(operation=pl.col("operation").str.replace("v1", "v0")))
    with pytest.raises(DataError, match=r"another version of the renderer\.\n  got: version 0\n  allowed: version 1"):
        rg.regenerate(other)
