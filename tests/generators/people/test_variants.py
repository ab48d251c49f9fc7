import functools
import io
import json

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from reidgen.config import EncoderConfig, InversionConfig, VariantsConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.provenance import Style
from reidgen.data.table import ReidTable
from reidgen.engine.checkpoint import load_state
from reidgen.errors import ConfigError, DataError, WeightsError
from reidgen.generators.crops import encode
from reidgen.generators.inversion.comparison import compare_inversions
from reidgen.generators.inversion.encoder_training import train_encoder
from reidgen.generators.inversion.inversion import reconstruct
from reidgen.generators.inversion.inverted import load_inverted
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.people.people import regenerate_styles
from reidgen.generators.people.variant_plan import choose_crops, keeps_identity
from reidgen.generators.people.variants import generate_variants
from reidgen.generators.trained import load_generator
from reidgen.models import resnet
from tests.factories import make_table

PIDS = [1, 1, 1, 1, 2, 2, 3, 7, 7, 9, 0, -1]
SPLITS = ["train"] * 9 + ["query"] + ["train"] * 2
OPTIONS = {"crops": 3, "variants": 5, "mix": ("coarse", "between", "fine"), "device": "cpu", "batch": 5}
OPTIONS |= {"keeps": ("coarse", "between")}
PLAIN = {"perceptual_weight": 0, "reid_weight": 0, "search_steps": 5, "tune_steps": 4, "tune_lr": 3e-3}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return make_table(PIDS, splits=SPLITS, root=tmp_path_factory.mktemp("real"), size=(16, 8))


@pytest.fixture(scope="module")
def encoder(crops, gan, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        options = {
            "backbone": "resnet18",
            "weights": "random",
            "width": 8,
            "passes": 2,
            "steps": 3,
            "batch": 4,
            "lr": 3e-3,
        }
        config = EncoderConfig(**options, perceptual_weight=0, reid_weight=0, device="cpu")
        return train_encoder(crops, gan, config, likeness=Likeness(), out=tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def made(gan, real, encoder, tmp_path_factory):
    return generate_variants(gan, real, encoder=encoder, out=tmp_path_factory.mktemp("variants"), **OPTIONS)


def folder_of(table):
    return table.paths[0].parents[1]


def content(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("run.json", ".lock")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_rows_are_of_the_real_people_and_their_crops(made, real, gan):
    rows = made.rows
    names = dict(real.rows.select("file_name", "pid").iter_rows())
    assert [names[parent] for parent in rows["parent"]] == made.pids.tolist()
    cameras = dict(real.rows.select("file_name", "camid").iter_rows())
    assert [cameras[parent] for parent in rows["parent"]] == made.camids.tolist()
    # three crops of person 1, two of 2 and 7, one of 3, who has nothing between; nobody of the query
    assert rows.group_by("pid").len().sort("pid").rows() == [(1, 15), (2, 10), (3, 4), (7, 10)]
    assert set(rows["parent_origin"]) == {"real"}
    assert set(rows["origin"]) == {"generated"} and set(rows["split"]) == {"train"}
    assert set(rows["generator"]) == {gan.hash}
    assert not set(rows["file_name"]) & set(real.rows["file_name"])
    assert rows["file_name"].n_unique() == len(made)


def test_each_mix_says_whether_the_label_may_be_kept(made):
    counts = {mix: set(part["identity"]) for (mix,), part in made.rows.group_by("mix")}
    assert counts == {"reconstruction": {"keep"}, "coarse": {"keep"}, "between": {"keep"}, "fine": {"new"}}
    record = json.loads((folder_of(made) / "run.json").read_text())["summary"]
    assert record["by_mix"] == {"between": 7, "coarse": 16, "fine": 8, "reconstruction": 8}
    assert (record["people_with_a_single_crop"], record["keeping_identity"]) == (1, 31)
    config = VariantsConfig(keeps=("coarse", "3,4"))
    assert [keeps_identity(mix, config) for mix in ("reconstruction", "coarse", "3,4", "coarse+3,4")] == [True] * 4
    assert [keeps_identity(mix, config) for mix in ("between", "fine", "coarse+fine")] == [False] * 3


def test_by_default_half_a_step_and_the_groups_that_were_seen_to_keep_people():
    config = VariantsConfig()
    kept = [keeps_identity(mix, config) for mix in ("coarse", "fine", "between", "sources-coarse", "sources-fine")]
    assert all(kept) and config.weight == 0.5
    assert not any(keeps_identity(mix, config) for mix in ("middle", "sources-medium", "coarse+middle", "all", "3,4"))


def test_a_row_says_all_that_is_needed_to_make_its_crop_again(made, gan):
    pixels = regenerate_styles(gan, made)
    for row in (0, 1, 2, 3, 17, 38):
        assert encode(pixels[row], quality=95) == made.paths[row].read_bytes()
        assert np.array_equal(regenerate_styles(gan, made.where(np.arange(len(made)) == row))[0], pixels[row])


def test_the_first_crop_is_the_reconstruction_and_between_is_between(made, real, gan, encoder):
    chosen = choose_crops(real, VariantsConfig(**OPTIONS))
    ws = encoder.invert(np.array(CropStore.open(chosen, size=gan.size).images))
    rows, names = made.rows, chosen.rows["file_name"].to_list()
    recon = regenerate_styles(gan, made.where(pl.col("mix") == "reconstruction"))
    assert np.array_equal(recon, reconstruct(gan.network, ws, gan.device))
    for text, parent, pid in rows.filter(pl.col("mix") == "between").select("operation", "parent", "pid").iter_rows():
        operation = Style.parse(text)
        assert names[operation.w] == parent and operation.donor != operation.w
        assert chosen.pids[operation.donor] == pid
        assert 0.25 <= operation.weight <= 0.75
    row = rows.with_row_index().filter(pl.col("mix") == "between")["index"][0]
    operation = Style.parse(rows["operation"][row])
    expected = torch.lerp(ws[operation.w], ws[operation.donor], operation.weight)[None]
    pixels = regenerate_styles(gan, made.where(np.arange(len(made)) == row)).astype(int)
    assert np.abs(pixels - gan.synthesize(expected, [operation.noise])).max() <= 1


def test_the_pixels_do_not_depend_on_batch_or_people(made, real, gan, encoder, tmp_path):
    alone = generate_variants(gan, real, encoder=encoder, out=tmp_path, **OPTIONS | {"batch": 64, "people": 2})
    assert [path.read_bytes() for path in alone.paths] == [path.read_bytes() for path in made.paths[: len(alone)]]
    assert set(alone.pids) == {1, 2}


def test_donors_who_are_real_people(made, real, gan, encoder, tmp_path):
    table = generate_variants(
        gan, real, encoder=encoder, out=tmp_path, **OPTIONS | {"mix": "fine", "donors": "people", "keeps": ("fine",)}
    )
    chosen = choose_crops(real, VariantsConfig(**OPTIONS))
    mixed = [Style.parse(text) for text in table.rows.filter(pl.col("mix") == "fine")["operation"]]
    assert mixed and all(o.donors == o.latents and chosen.pids[o.donor] != chosen.pids[o.w] for o in mixed)
    assert set(table.rows["identity"]) == {"keep"}
    pixels = regenerate_styles(gan, table)
    assert encode(pixels[4], quality=95) == table.paths[4].read_bytes()


@pytest.mark.parametrize("stop", [1, 6, 30])
def test_a_stopped_run_is_finished_to_the_same_bytes(stop, made, real, gan, encoder, tmp_path, monkeypatch):
    from reidgen import files

    written = []

    def stopping(whole, path, data):
        if len(written) >= stop:
            raise KeyboardInterrupt
        written.append(path)
        whole(path, data)

    with monkeypatch.context() as patch:
        for name in ("crops", "pictures.sheets"):
            patch.setattr(f"reidgen.generators.{name}.write_bytes", functools.partial(stopping, files.write_bytes))
        patch.setattr("reidgen.engine.checkpoint.write_chunks", functools.partial(stopping, files.write_chunks))
        with pytest.raises(KeyboardInterrupt):
            generate_variants(gan, real, encoder=encoder, out=tmp_path, **OPTIONS)
    generate_variants(gan, real, encoder=encoder, out=tmp_path, **OPTIONS)
    assert content(tmp_path) == content(folder_of(made))


def test_pivotal_gives_each_person_a_generator(real, gan, tmp_path):
    options = OPTIONS | PLAIN | {"invert": "pivotal", "people": 2, "crops": 2}
    table = generate_variants(gan, real, likeness=Likeness(), out=tmp_path / "a", **options)
    again = generate_variants(gan, real, likeness=Likeness(), out=tmp_path / "b", **options)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    hashes = dict(table.rows.select("pid", "generator").unique().iter_rows())
    for pid in (1, 2):
        tuned = load_generator(tmp_path / "a" / "tuned" / f"{pid:04d}.safetensors", device="cpu")
        assert tuned.hash == hashes[pid] != gan.hash
        assert tuned.training["pivotal_tuning"]["tuned_from"] == gan.hash
        own = again.where(pl.col("pid") == pid)
        assert encode(regenerate_styles(tuned, own)[1], quality=95) == own.paths[1].read_bytes()
    with pytest.raises(WeightsError, match="was not made with"):
        regenerate_styles(gan, table)


def test_pivotal_for_all_gives_one_generator(real, gan, tmp_path):
    options = OPTIONS | PLAIN | {"invert": "pivotal", "people": 2, "crops": 2, "tune_for": "all", "batch": 3}
    table = generate_variants(gan, real, likeness=Likeness(), out=tmp_path, **options)
    assert [path.name for path in (tmp_path / "tuned").iterdir()] == ["all.safetensors"]
    tuned = load_generator(tmp_path / "tuned" / "all.safetensors", device="cpu")
    assert set(table.rows["generator"]) == {tuned.hash} and set(table.pids) == {1, 2}
    assert tuned.training["pivotal_tuning"]["people"] == [1, 2]
    assert encode(regenerate_styles(tuned, table)[7], quality=95) == table.paths[7].read_bytes()


@pytest.fixture(scope="module")
def inversion(real, gan, tmp_path_factory):
    """The first crop of five people, inverted by a search and with tuned generators."""
    ways = ("optimise", "optimise+pivotal")
    config = InversionConfig(**PLAIN, methods=ways, people="train", crops=5, batch=3, device="cpu")
    out = tmp_path_factory.mktemp("inversion")
    compare_inversions(real, gan, config, likeness=Likeness(), out=out)
    return out


def test_variants_of_what_was_inverted_before(inversion, real, gan, tmp_path):
    options = OPTIONS | {"invert": "given", "inverted": inversion}
    table = generate_variants(gan, real, out=tmp_path / "tuned", **options)
    state = load_state(inversion / "way-optimise-pivotal.safetensors")
    names = json.loads((inversion / "inversion.json").read_text())["crops"]
    assert set(table.rows["parent"]) == set(names)
    for pid in set(table.pids):
        own = table.where(pl.col("pid") == pid)
        file = inversion / "tuned" / "optimise-pivotal" / f"{pid:04d}.safetensors"
        tuned = load_generator(file, device="cpu")
        assert set(own.rows["generator"]) == {tuned.hash}
        assert (tmp_path / "tuned" / "tuned" / file.name).read_bytes() == file.read_bytes()
        # the reconstruction is the picture that the inversion measured
        first = regenerate_styles(tuned, own.where(pl.col("mix") == "reconstruction"))
        parents = own.rows["parent"].unique(maintain_order=True)
        wanted = state["pixels"].numpy()[[names.index(parent) for parent in parents]]
        assert np.array_equal(first, wanted)
    plain = generate_variants(gan, real, out=tmp_path / "plain", **options | {"way": "optimise"})
    assert set(plain.rows["generator"]) == {gan.hash}
    record = json.loads((tmp_path / "plain" / "run.json").read_text())
    assert record["inputs"]["inverted"]["way"] == "optimise"


def test_an_inversion_that_does_not_fit_is_told(inversion, real, gan, crops, tmp_path):
    given = OPTIONS | {"invert": "given"}
    with pytest.raises(ConfigError, match="invert='given' and inverted belong together"):
        generate_variants(gan, real, out=tmp_path, **given)
    with pytest.raises(ConfigError, match="invert='given' and inverted belong together"):
        generate_variants(gan, real, inverted=inversion, out=tmp_path, **OPTIONS | {"invert": "encoder"})
    with pytest.raises(DataError, match="has none of the crops that were inverted"):
        generate_variants(gan, real.where(pl.col("pid") == 9), inverted=inversion, out=tmp_path, **given)


def test_optimise_needs_no_encoder(real, gan, tmp_path):
    options = OPTIONS | PLAIN | {"invert": "optimise", "people": 1}
    table = generate_variants(gan, real, likeness=Likeness(), out=tmp_path, **options)
    assert encode(regenerate_styles(gan, table)[2], quality=95) == table.paths[2].read_bytes()


def test_a_copied_table_needs_the_folder_of_the_w(made, gan, tmp_path):
    copy = made.write(tmp_path / "copy")
    with pytest.raises(WeightsError, match="from which crops of real people were made"):
        regenerate_styles(gan, copy)
    assert np.array_equal(regenerate_styles(gan, copy, latents=folder_of(made)), regenerate_styles(gan, made))
    (file,) = folder_of(made).glob("latents-*.safetensors")
    broken = tmp_path / file.name
    broken.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="is not what its name says"):
        load_inverted(tmp_path, file.stem.removeprefix("latents-"))


def test_the_sheet_has_a_row_a_person(made, real, gan):
    sheet = np.asarray(Image.open(io.BytesIO((folder_of(made) / "pairs.png").read_bytes())))
    height, width = gan.size
    assert sheet.shape == (4 * height, 6 * width, 3)
    first = made.rows["parent"][0]
    original = np.asarray(Image.open(folder_of(real) / first))
    assert np.array_equal(sheet[:height, :width], original)
    assert not sheet[2 * height : 3 * height, 5 * width :].any()  # person 3 has a variant less


def test_crops_by_turns_over_the_cameras():
    table = make_table([4] * 5 + [2], [1, 1, 1, 2, 3, 1])
    chosen = choose_crops(table, VariantsConfig(crops=4))
    assert chosen.rows.select("pid", "camid", "frame").rows() == [(2, 1, 5), (4, 1, 0), (4, 2, 3), (4, 3, 4), (4, 1, 1)]


def test_bad_input(real, gan, encoder, untrained, tmp_path):
    with pytest.raises(ConfigError, match="There is no encoder"):
        generate_variants(gan, real, out=tmp_path, **OPTIONS)
    with pytest.raises(WeightsError, match="an encoder for another generator"):
        generate_variants(untrained["stylegan2"], real, encoder=encoder, out=tmp_path, **OPTIONS)
    with pytest.raises(ConfigError, match="reid_weight needs a network"):
        options = OPTIONS | {"invert": "optimise", "perceptual_weight": 0}
        generate_variants(gan, real, likeness=Likeness(), out=tmp_path, **options)
    with pytest.raises(DataError, match="has no crops of real people"):
        generate_variants(gan, real.where(pl.col("pid") <= 0), encoder=encoder, out=tmp_path, **OPTIONS)
    with pytest.raises(ConfigError, match="donors='people' needs other people"):
        options = OPTIONS | {"donors": "people", "people": 1}
        generate_variants(gan, real, encoder=encoder, out=tmp_path, **options)
    with pytest.raises(ConfigError, match="each variant would be another person"):
        generate_variants(gan, real, encoder=encoder, out=tmp_path, **OPTIONS | {"mix": "all", "weight": 1})


def test_operations_of_real_people_are_read_back():
    digits = "0123456789abcdef"
    plain = Style("stylegan2", 3, 5, 1.0, 95, latents=digits)
    mixed = Style("stylegan3-t", 3, 5, 0.7, 90, (0, 2), 17, 0.5, digits)
    between = Style("stylegan2", 3, 5, 1.0, 95, (0, 1), 4, 0.25, digits, digits)
    for operation in (plain, mixed, between):
        assert Style.parse(str(operation)) == operation
    assert str(between) == f"stylegan2 psi=1.0 w={digits}:3 layers=0,1 from={digits}:4 weight=0.25 noise=5 jpeg=95"


def test_the_table_is_read_back(made):
    assert ReidTable.read(folder_of(made)).rows.equals(made.rows)
