import io

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from reidgen.config import GenerateConfig
from reidgen.data.provenance import Style
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, WeightsError
from reidgen.generators.crops import encode
from reidgen.generators.people import people as module
from reidgen.generators.people.people import generate_people, regenerate_styles

OPTIONS = {"people": 3, "variants": 4, "cameras": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def table(gan, tmp_path_factory):
    return generate_people(gan, **OPTIONS, out=tmp_path_factory.mktemp("people"))


def test_table(table, gan):
    rows = table.rows
    assert table.pids.tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert table.camids.tolist() == [1, 2, 1, 2] * 3
    assert rows["origin"].unique().to_list() == ["generated"]
    assert rows["split"].unique().to_list() == ["train"]
    assert rows["generator"].unique().to_list() == [gan.hash]
    assert rows["file_name"][5] == "bounding_box_train/0002_c2s1_000001_00.jpg"
    assert rows["parent"][4] is None
    assert rows["parent"][5] == rows["file_name"][4]
    assert rows["seed"].n_unique() == 12
    assert ReidTable.read(table.paths[0].parent.parent).rows.equals(rows)


def test_a_row_says_all_that_is_needed_to_make_its_crop_again(table, gan):
    for i in (0, 1, 6, 11):
        row = table.where(pl.col("file_name") == table.rows["file_name"][i])
        pixels = regenerate_styles(gan, row)
        assert encode(pixels[0], quality=95) == table.paths[i].read_bytes()
    assert np.array_equal(
        regenerate_styles(gan, table)[6], regenerate_styles(gan, table.where([i == 6 for i in range(12)]))[0]
    )


def test_variants_share_the_styles_outside_the_group(table, gan, monkeypatch):
    seen = []
    monkeypatch.setattr(
        type(gan), "synthesize", lambda self, ws, seeds: seen.append(ws) or np.zeros((len(ws), 16, 8, 3), np.uint8)
    )
    regenerate_styles(gan, table.where(pl.col("pid") == 1))
    ws = seen[0]
    for variant in range(1, 4):
        equal = [torch.equal(ws[0, layer], ws[variant, layer]) for layer in range(6)]
        assert equal == [True, True, True, False, False, True]  # middle is 3 and 4 at height 16


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan3-t", "stylegan3-r", "dcgan"])
def test_people_of_every_network_are_made_again_from_their_rows(kind, untrained, tmp_path):
    gan, options = untrained[kind], {"mix": "all", "weight": 0.5} if kind == "dcgan" else {"mix": "middle"}
    made = generate_people(gan, people=2, variants=3, **options, device="cpu", out=tmp_path)
    assert made.rows["operation"].str.starts_with(f"{kind} psi=1.0 w=").all()
    pixels = regenerate_styles(gan, made.where([i in (1, 4) for i in range(6)]))
    assert [encode(crop, quality=95) for crop in pixels] == [made.paths[i].read_bytes() for i in (1, 4)]
    assert len({path.read_bytes() for path in made.paths}) == 6


def test_mixes_by_turns(gan, tmp_path):
    made = generate_people(gan, people=1, variants=5, mix=("coarse", "fine", "1+3"), device="cpu", out=tmp_path)
    layers = [Style.parse(text).layers for text in made.rows["operation"]]
    assert layers == [(), (0, 1, 2), (5,), (1, 3), (0, 1, 2)]


def test_variants_by_interpolation(gan, tmp_path):
    options = {"people": 1, "variants": 2, "device": "cpu"}
    made = generate_people(gan, **options, mix="all", weight=0.25, out=tmp_path / "part")
    operation = Style.parse(made.rows["operation"][1])
    assert (operation.weight, operation.layers) == (0.25, tuple(range(6)))
    own, donor = gan.map([operation.w]), gan.map([operation.donor])
    expected = gan.synthesize(0.75 * own + 0.25 * donor, [operation.noise])
    assert np.abs(regenerate_styles(gan, made)[1].astype(int) - expected[0]).max() <= 1
    assert encode(regenerate_styles(gan, made)[1], quality=95) == made.paths[1].read_bytes()


def test_variants_that_are_other_people_are_refused(gan, untrained, tmp_path):
    with pytest.raises(ConfigError, match="each variant would be another person"):
        generate_people(gan, **OPTIONS, mix="all", out=tmp_path / "new")
    with pytest.raises(ConfigError, match="one w makes the whole image"):
        generate_people(untrained["dcgan"], **OPTIONS, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    alone = generate_people(untrained["dcgan"], people=2, variants=1, device="cpu", out=tmp_path / "alone")
    assert len(alone) == 2


def test_the_pixels_do_not_depend_on_the_batch(table, gan, tmp_path):
    again = generate_people(gan, GenerateConfig(**OPTIONS, batch=5), out=tmp_path)
    assert [path.read_bytes() for path in again.paths] == [path.read_bytes() for path in table.paths]


def test_seed_mix_and_psi_change_the_pixels(table, gan, tmp_path):
    first = [path.read_bytes() for path in table.paths]
    for name, option in (("seed", {"seed": 1}), ("mix", {"mix": "coarse"}), ("psi", {"psi": 0.5})):
        other = generate_people(gan, **OPTIONS, **option, out=tmp_path / name)
        assert [path.read_bytes() for path in other.paths][1] != first[1]
    assert regenerate_styles(gan, other).shape == (12, 16, 8, 3)


def test_a_stopped_run_is_finished_to_the_same_bytes(table, gan, tmp_path, monkeypatch):
    written = []

    def stop(path, data):
        if len(written) >= 5:
            raise KeyboardInterrupt
        written.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr("reidgen.generators.crops.write_bytes", stop)
        with pytest.raises(KeyboardInterrupt):
            generate_people(gan, **OPTIONS, out=tmp_path)
    leftover = tmp_path / "bounding_box_train" / ".0001_c1s1_000000_00.jpg.abc.reidgen.tmp"
    leftover.write_bytes(b"half")
    stamp = written[0].stat().st_mtime_ns
    resumed = generate_people(gan, **OPTIONS, out=tmp_path)
    assert written[0].stat().st_mtime_ns == stamp
    assert not leftover.exists()
    assert resumed.rows.drop("root").equals(table.rows.drop("root"))
    for name in ("metadata.parquet", *(path.name for path in table.paths)):
        assert (tmp_path / "bounding_box_train" / name).read_bytes() == (table.paths[0].parent / name).read_bytes()


def test_the_same_call_again_makes_nothing(table, gan, monkeypatch):
    monkeypatch.setattr(module, "render", lambda *_, **__: pytest.fail("made again"))
    again = generate_people(gan, **OPTIONS, out=table.paths[0].parent.parent)
    assert again.rows.equals(table.rows)


def test_wrong_layers_are_told_before_anything_is_written(gan, tmp_path):
    with pytest.raises(ConfigError, match="mix names no layers"):
        generate_people(gan, **OPTIONS, mix="11", out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_weights(table, gan):
    import dataclasses

    with pytest.raises(WeightsError, match="was not made with"):
        regenerate_styles(dataclasses.replace(gan, hash="0" * 64), table)


def test_other_operations(table, gan):
    with pytest.raises(DataError, match="another command than generate people"):
        regenerate_styles(gan, ReidTable(table.rows.with_columns(operation=pl.lit("flip")), "x"))


@pytest.mark.parametrize(
    "operation",
    [
        Style("stylegan2", 1, 2, 0.1 + 0.2, 95),
        Style("stylegan3-r", 1, 2, 1.0, 90, (3, 4, 11), 5),
        Style("dcgan", 1, 2, 1.0, 90, (0,), 5, 0.1 + 0.2),
    ],
)
def test_operations_round_trip(operation):
    assert Style.parse(str(operation)) == operation


def test_operations_of_before():
    text = "stylegan2 psi=0.7 w=11 layers=0,1,2 from=13 noise=17 jpeg=95"
    assert Style.parse(text) == Style("stylegan2", 11, 17, 0.7, 95, (0, 1, 2), 13)
    assert str(Style.parse(text)) == text


@pytest.mark.parametrize(
    "text", [None, "", "flip", "stylegan2 psi=x w=1 noise=1 jpeg=95", "stylegan2 psi=1 w=1 jpeg=95"]
)
def test_texts_of_other_operations(text):
    with pytest.raises(DataError, match="another command than generate people"):
        Style.parse(text)


def test_files_are_jpeg_of_full_colour(table):
    with Image.open(io.BytesIO(table.paths[0].read_bytes())) as image:
        assert (image.format, image.size) == ("JPEG", (8, 16))
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
