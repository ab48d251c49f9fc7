"""Measuring from files and from weights, with a feature network that has no weights."""

import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
import torch

from reidgen.config import FidelityConfig, GenerateConfig, StyleGANConfig
from reidgen.engine import RunFolder
from reidgen.engine.cache import cache_folder
from reidgen.errors import ConfigError, DataError, RunError, WeightsError
from reidgen.fidelity import features as features_module
from reidgen.fidelity.crops import Files, Sampled, through_jpeg
from reidgen.fidelity.extractors import load_extractor
from reidgen.fidelity.measure import measure_fidelity
from reidgen.fidelity.result import Fidelity
from reidgen.fidelity.words import seen_in_words
from reidgen.generators.trained import load_generator
from reidgen.generators.training.train import train_generator
from reidgen.metrics.fidelity.scores import frechet_distance, precision_recall, squared_mmd
from tests.factories import make_table, write_crop
from tests.fidelity.conftest import means

QUICK = {"kid_subsets": 3, "kid_size": 5, "neighbours": 2, "batch": 4, "device": "cpu"}
TINY = {"size": (16, 8), "z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8, "batch": 8}


def written(table):
    table.write_metadata(table.paths[0].parents[1])
    return table


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fake(tmp_path):
    """20 generated crops, of which a filter rejected two."""
    columns = {"origin": ["generated"] * 20, "rejected_by": [None] * 18 + ["ssim"] * 2}
    return written(make_table([1 + i // 2 for i in range(20)], root=tmp_path / "fake", size=(16, 8), **columns))


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A generator with two snapshots, and the crops that it learned from."""
    root = tmp_path_factory.mktemp("training")
    table = make_table([1 + i // 3 for i in range(30)], splits=["train"] * 24 + ["query"] * 6, root=root / "real")
    for name, kimg in (("gan", 0.08), ("short", 0.04)):
        train_generator(table, StyleGANConfig(**TINY, kimg=kimg, device="cpu"), out=root / name)
    shutil.copy(root / "short" / "snapshot-000000.040.safetensors", root / "gan")
    return table, root / "gan"


def pixels(table, size=(16, 8)):
    return Files(table.paths, size, None).read(range(len(table)))


def test_figures_from_files_are_those_of_the_features(real, fake, colours, tmp_path):
    config = FidelityConfig(**QUICK)
    result = measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "out", extractor=colours)
    a, b = means(pixels(real.train)), means(pixels(fake.kept))
    (point,) = result.points
    assert (point["real"], point["fake"], point["manifold_crops"]) == (24, 18, 18)
    assert result.distance == point["colour_fid"] == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert point["colour_kid"]["full"] == pytest.approx(squared_mmd(torch.from_numpy(a), torch.from_numpy(b)), rel=1e-9)
    assert point["kimg"] is None
    assert "not known" in result.seen
    for words in ("24 real crops", "18 generated ones", "split train", "16x8", "mean and spread", "rejected left out"):
        assert words in result.protocol
    assert "fid" not in point  # a distance of other features has another name
    assert "Colour-FID" in str(result)


def test_the_floor_is_between_crops_that_have_none_in_common(real, fake, colours, tmp_path):
    config = FidelityConfig(**QUICK)
    result = measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "out", extractor=colours)
    features = means(pixels(real.train))
    assert (result.floor["real"], result.floor["fake"], result.facts["floor_crops"]) == (12, 12, 12)
    assert result.points[0]["same_number"]["fake"] == 12
    from reidgen.fidelity.figures import halves

    one, other = halves(features, 12, 0)
    together = np.concatenate([one, other])
    assert sorted(map(tuple, together)) == sorted(map(tuple, features))
    assert result.floor["colour_fid"] == pytest.approx(frechet_distance(one, other), rel=1e-9)
    assert result.floor["precision"] == precision_recall(one, other, neighbours=2).precision
    assert not np.array_equal(halves(features, 12, 1)[0], one)


def test_real_crops_measured_against_themselves_have_no_distance(real, colours, tmp_path):
    config = FidelityConfig(**QUICK)
    own = make_table([1] * 24, root=tmp_path / "own", size=(16, 8))
    written(own)
    result = measure_fidelity(real, config, fake=tmp_path / "own", out=tmp_path / "out", extractor=colours)
    assert result.distance == pytest.approx(0, abs=1e-9)
    assert (result.points[0]["precision"], result.points[0]["recall"]) == (1, 1)


def test_every_snapshot_is_a_point_of_the_curve(training, colours, tmp_path):
    real, gan = training
    config = FidelityConfig(**QUICK, fakes=10, snapshots="all")
    result = measure_fidelity(real, config, generator=gan, out=tmp_path / "out", extractor=colours)
    assert [point["name"] for point in result.points] == sorted(path.stem for path in gan.glob("snapshot-*"))
    assert len(result.points) > 1
    assert len({point["weights"] for point in result.points}) == len(result.points)
    assert [point["kimg"] for point in result.points] == sorted(point["kimg"] for point in result.points)
    assert "these very crops" in result.seen
    assert "24 of the real crops" in result.protocol  # 32x16 files, brought to the generator's 16x8
    assert not list((tmp_path / "out").glob("*.f32"))
    last = measure_fidelity(
        real, FidelityConfig(**QUICK, fakes=10), generator=gan, out=tmp_path / "last", extractor=colours
    )
    assert last.distance == pytest.approx(result.distance, rel=1e-6)


def test_sampled_crops_are_those_that_generate_people_would_write(training):
    _, folder = training
    gan = load_generator(folder)
    crops = Sampled(gan, 9, gan.size, 95, 1.0, 0)
    whole = crops.read(range(9))
    np.testing.assert_array_equal(whole[5:7], crops.read(range(5, 7)))  # whatever they are computed with
    bare = Sampled(gan, 9, gan.size, None, 1.0, 0).read(range(9))
    np.testing.assert_array_equal(whole[3], through_jpeg(bare[3], 95))
    assert not np.array_equal(whole, bare)
    other = Sampled(gan, 9, gan.size, None, 1.0, 1).read(range(9))
    assert not np.array_equal(bare, other)
    assert Sampled(gan, 2, (20, 10), 95, 1.0, 0).read(range(2)).shape == (2, 20, 10, 3)


def test_files_are_read_as_they_are_or_go_through_jpeg_when_they_were_resized(tmp_path):
    jpeg, png = write_crop(tmp_path / "a.jpg", size=(16, 8)), write_crop(tmp_path / "a.png", size=(16, 8))
    bare = Files([jpeg, png], (16, 8), None).read(range(2))
    coded = Files([jpeg, png], (16, 8), 50).read(range(2))
    np.testing.assert_array_equal(coded[0], bare[0])
    np.testing.assert_array_equal(coded[1], through_jpeg(bare[1], 50))
    small, small_coded = (Files([jpeg], (8, 4), quality).read(range(1))[0] for quality in (None, 50))
    np.testing.assert_array_equal(small_coded, through_jpeg(small, 50))


@pytest.mark.parametrize("stops_after", [1, 3, 5])
def test_a_stopped_measurement_goes_on_to_the_same_bytes(real, fake, colours, tmp_path, monkeypatch, stops_after):
    monkeypatch.setattr(features_module, "CHUNK", 8)
    config = FidelityConfig(**QUICK)
    whole = measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "whole", extractor=colours)
    all_batches = len(colours.seen)
    for path in cache_folder().iterdir():
        path.unlink()
    seen = []

    def stopping(crops):
        seen.append(len(crops))
        if len(seen) > 2 * stops_after:
            raise KeyboardInterrupt
        return means(crops)

    stopped = type(colours)(stopping, colours.width, colours.hash, colours.words, colours.prefix)
    with pytest.raises(KeyboardInterrupt):
        measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "again", extractor=stopped)
    colours.seen.clear()
    again = measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "again", extractor=colours)
    assert (tmp_path / "again" / "fidelity.json").read_bytes() == (tmp_path / "whole" / "fidelity.json").read_bytes()
    assert again == whole
    assert len(colours.seen) == all_batches - 2 * stops_after


def test_features_of_real_crops_are_computed_once(real, fake, colours, tmp_path):
    config = FidelityConfig(**QUICK)
    measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "one", extractor=colours)
    before = sum(colours.seen)
    other = FidelityConfig(**{**QUICK, "kid_subsets": 4})
    measure_fidelity(real, other, fake=tmp_path / "fake", out=tmp_path / "two", extractor=colours)
    assert (before, sum(colours.seen) - before) == (24 + 18, 18)
    measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "one", extractor=colours)
    assert sum(colours.seen) == before + 18  # a finished run is read


def test_a_training_that_the_files_know_of_is_told(real, colours, tmp_path):
    table = make_table([1, 1, 2, 2], root=tmp_path / "people", size=(16, 8), origin=["generated"] * 4)
    run = RunFolder.begin(tmp_path / "people", stage="generate people", config=GenerateConfig(people=2), inputs={})
    written(table)
    facts = {"split": "all", "images": 30, "table": "ff" * 32, "origins": ["real"], "kimg": 2.0, "ancestors": []}
    run.finish({"generator_training": facts})
    config = FidelityConfig(**{**QUICK, "neighbours": 1})
    result = measure_fidelity(real, config, fake=tmp_path / "people", out=tmp_path / "out", extractor=colours)
    assert "other crops than it is compared with: 30 real crops of split all" in result.seen


@pytest.mark.parametrize(
    ("trainings", "words"),
    [
        ([], "is not known"),
        ([{"table": "aa", "split": "train"}], "these very crops"),
        ([{"parent": None}, {"table": "aa", "split": "train"}], "these very crops"),
        ([{"parent": None}, {"table": "bb", "split": "train"}], "crops that nobody knows"),
        (
            [{"table": "bb", "images": 9, "origins": ["real"], "split": "all"}],
            "9 real crops of split all",
        ),
    ],
)
def test_what_the_generator_has_seen_is_told(trainings, words):
    assert re.search(words, seen_in_words(trainings, "aa", "train"))


def test_crops_of_one_camera_are_compared_with_that_camera(real, fake, colours, tmp_path):
    config, options = (
        FidelityConfig(**{**QUICK, "neighbours": 1}, camera=1),
        {"out": tmp_path / "out", "extractor": colours},
    )
    folder = fake.paths[0].parents[1]
    found = measure_fidelity(real, config, fake=folder, **options)
    there, made = real.train.where(pl.col("camid") == 1), fake.kept.where(pl.col("camid") == 1)
    assert (found.facts["real_crops"], found.facts["fake_crops"]) == (len(there), len(made))
    assert len(there) < len(real.train) and len(made) < len(fake.kept)
    assert found.distance == pytest.approx(frechet_distance(means(pixels(there)), means(pixels(made))), rel=1e-6)
    assert ", camera 1, table" in found.protocol
    ninth = FidelityConfig(**QUICK, camera=9)
    refused(DataError, "too few crops of camera 9", real, ninth, fake=folder, **options)
    refused(ConfigError, "no camera", real, config, generator=tmp_path, **options)


def test_what_translators_have_seen_is_told():
    facts = {"translator": True, "table": "b" * 64, "images": 12, "origins": ["rendered"], "split": "train"}
    assert "target camera, so maybe from these very crops: 12 rendered" in seen_in_words([facts], "a" * 64, "train")


def test_a_distance_of_a_re_id_network_is_never_called_fid(real, fake, tmp_path):
    from reidgen.config import AugmentConfig, ReidConfig
    from reidgen.models import resnet
    from reidgen.reid.train import train_reid

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        options = {"backbone": "resnet18", "weights": "random", "size": (32, 16), "bottleneck": 8, "batch": 4}
        train_reid(real, ReidConfig(**options, steps=1, device="cpu", augment=AugmentConfig()), out=tmp_path / "reid")
        config = FidelityConfig(**QUICK, features=f"reid:{tmp_path / 'reid'}")
        extractor = load_extractor(config)
        result = measure_fidelity(real, config, fake=tmp_path / "fake", out=tmp_path / "out")
    assert result.measure == "Re-ID-FID"
    assert {"re_id_fid", "re_id_kid"} <= result.points[0].keys()
    assert "fid" not in result.points[0]
    assert result.facts["features"] == extractor.hash
    assert str(result).startswith("files: Re-ID-FID ")


def refused(error, words, *arguments, **options):
    with pytest.raises(error, match=words):
        measure_fidelity(*arguments, **options)


def test_bad_input_is_told(real, fake, colours, tmp_path):
    config, out = FidelityConfig(**QUICK), tmp_path / "out"
    options = {"out": out, "extractor": colours}
    refused(ConfigError, "which generated crops", real, config, **options)
    refused(ConfigError, "which generated crops", real, config, fake=tmp_path / "fake", generator=out, **options)
    refused(
        ConfigError, "more than there are", real, FidelityConfig(**QUICK, fakes=19), fake=tmp_path / "fake", **options
    )
    refused(DataError, "no table", real, config, fake=tmp_path / "nothing", **options)
    refused(WeightsError, "no snapshots", real, FidelityConfig(**QUICK, snapshots="all"), generator=tmp_path, **options)
    few = real.where(pl.col("pid") == 1)
    refused(DataError, "too few crops", few, config, fake=tmp_path / "fake", **options)
    write_crop(fake.paths[0], size=(20, 10))
    refused(DataError, "differ in size", real, config, fake=tmp_path / "fake", **options)
    assert not (out / "run.json").exists()


def test_a_damaged_crop_is_named_and_the_folder_can_be_used_again(real, fake, colours, tmp_path):
    whole = fake.paths[4].read_bytes()
    fake.paths[4].write_bytes(whole[: len(whole) - 200])
    config, options = FidelityConfig(**QUICK), {"out": tmp_path / "out", "extractor": colours}
    refused(DataError, fake.paths[4].name, real, config, fake=tmp_path / "fake", **options)


def test_features_that_are_no_numbers_are_told(real, fake, colours, tmp_path):
    broken = type(colours)(lambda crops: means(crops) * np.nan, 6, "1" * 64, "nothing", "Broken-")
    refused(DataError, "not a number", real, FidelityConfig(**QUICK), fake=tmp_path / "fake", out=tmp_path / "out",
            extractor=broken)  # fmt: skip


def test_another_protocol_in_the_same_folder_is_refused(real, fake, colours, tmp_path):
    options = {"fake": tmp_path / "fake", "out": tmp_path / "out", "extractor": colours}
    measure_fidelity(real, FidelityConfig(**QUICK), **options)
    refused(RunError, "seed", real, FidelityConfig(**QUICK, seed=1), **options)


def test_a_damaged_or_missing_result_is_told(real, fake, colours, tmp_path):
    measure_fidelity(real, FidelityConfig(**QUICK), fake=tmp_path / "fake", out=tmp_path / "out", extractor=colours)
    path = tmp_path / "out" / "fidelity.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "more": 1}))
    with pytest.raises(RunError, match="damaged"):
        Fidelity.read(tmp_path / "out")
    path.unlink()
    with pytest.raises(RunError, match="no fidelity result"):
        Fidelity.read(tmp_path / "out")


@pytest.mark.parametrize(
    "options",
    [
        {"fakes": 1},
        {"kid_size": 1},
        {"neighbours": 0},
        {"quality": 101},
        {"psi": float("nan")},
        {"seed": -1},
        {"size": (2, 2)},
        {"features": "reid:"},
        {"features": "clip"},
        {"features": "reid:somewhere", "resize": "clean-fid"},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError):
        FidelityConfig(**options)
