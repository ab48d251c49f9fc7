import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidgen.config import EncoderConfig, InversionConfig, SearchConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.checkpoint import load_state
from reidgen.errors import ConfigError, DataError, RunError, TrainingError, WeightsError
from reidgen.generators.inversion import inversion as module
from reidgen.generators.inversion.comparison import compare_inversions, in_turn, spent_key
from reidgen.generators.inversion.encoder_training import train_encoder
from reidgen.generators.inversion.inversion import (
    noise_size,
    reconstruct,
    search,
    search_with_noise,
    spread_of_w,
    step_size,
    tune,
    write_tuned,
)
from reidgen.generators.inversion.inverted import read_inversion
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.inversion.tuning import Pivots, tune_to_files
from reidgen.generators.trained import load_generator
from reidgen.losses.images.noise_maps import noise_correlation
from reidgen.models import resnet
from tests.factories import make_table

SHORT = {"search_steps": 30, "tune_steps": 20, "tune_lr": 3e-3}
PLAIN = {"perceptual_weight": 0, "reid_weight": 0}
ALL = ("average", "encoder:1", "encoder", "optimise", "encoder+optimise", "optimise+pivotal")


@pytest.fixture(scope="module")
def pixels(crops, gan):
    return np.array(CropStore.open(crops, size=gan.size).images[:3])


@pytest.fixture(scope="module")
def encoder(crops, gan, likeness, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        options = {"backbone": "resnet18", "weights": "random", "width": 8, "passes": 2, "steps": 2, "batch": 4}
        out = tmp_path_factory.mktemp("encoder")
        return train_encoder(
            crops, gan, EncoderConfig(**options, test_crops=2, device="cpu"), likeness=likeness, out=out
        )


def error(gan, ws, pixels, network=None):
    made = reconstruct(gan.network if network is None else network, ws, gan.device)
    return Likeness().measure(made, pixels, gan.device)["l2"]


def test_schedules_by_hand():
    config = SearchConfig(search_steps=1000, search_lr=0.1)
    assert [step_size(step, config) for step in (0, 25, 50, 500, 750)] == pytest.approx([0, 0.05, 0.1, 0.1, 0.1])
    assert [step_size(step, config) for step in (875, 1000)] == pytest.approx([0.05, 0], abs=1e-9)
    assert [noise_size(step, 1000, 2.0) for step in (0, 375, 750, 900)] == pytest.approx([0.1, 0.025, 0, 0])


def test_spread_of_w_is_that_of_the_mapping(gan):
    w = gan.map(range(2000)) - gan.network.mapping.w_avg
    assert spread_of_w(gan) == pytest.approx(w.norm(dim=1).square().mean().sqrt().item(), rel=0.05)
    assert spread_of_w(gan) == spread_of_w(gan)


def test_a_generated_crop_is_found_again(gan):
    truth = gan.network.spread(gan.map([11, 12])).clone()
    pixels = reconstruct(gan.network, truth, gan.device)
    config = SearchConfig(**PLAIN, search_steps=150)
    start = gan.network.spread(gan.network.mapping.w_avg.expand(2, -1))
    found = search(gan, pixels, likeness=Likeness(), config=config, keys=["a", "b"])
    assert (error(gan, found, pixels) < 0.2 * error(gan, start, pixels)).all()


@pytest.mark.slow
def test_each_crop_is_searched_for_by_itself(gan, pixels, likeness):
    config = SearchConfig(**SHORT)
    keys = ["a", "b", "c"]
    together = search(gan, pixels, likeness=likeness, config=config, keys=keys)
    again = search(gan, pixels, likeness=likeness, config=config, keys=keys)
    alone = search(gan, pixels[1:2], likeness=likeness, config=config, keys=["b"])
    other = search(gan, pixels[1:2], likeness=likeness, config=config, keys=["z"])
    assert torch.equal(together, again)
    assert torch.allclose(alone[0], together[1], atol=2e-3)
    assert not torch.allclose(other[0], together[1], atol=2e-3)
    start = gan.network.spread(gan.network.mapping.w_avg.expand(3, -1))
    assert error(gan, together, pixels).mean() < error(gan, start, pixels).mean()


def test_tuning_moves_the_synthesis_alone_and_helps(gan, pixels, likeness, tmp_path):
    ws = search(gan, pixels[:2], likeness=likeness, config=SearchConfig(**SHORT), keys=["a", "b"])
    before = {name: value.clone() for name, value in gan.network.state_dict().items()}
    network = tune(gan, pixels[:2], ws, likeness=likeness, config=SearchConfig(**SHORT))
    assert error(gan, ws, pixels[:2], network).mean() < error(gan, ws, pixels[:2]).mean()
    after = network.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in gan.network.state_dict().items())
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("mapping."))
    assert not all(torch.equal(after[name], before[name]) for name in before)
    write_tuned(tmp_path / "tuned.safetensors", network, gan, {"people": [4]})
    opened = load_generator(tmp_path / "tuned.safetensors", device="cpu")
    assert opened.training["pivotal_tuning"] == {"people": [4]}
    assert opened.training["split"] == gan.training["split"]
    assert np.array_equal(reconstruct(opened.network, ws, gan.device), reconstruct(network, ws, gan.device))


def test_tuning_ends_at_its_mark(gan, pixels, likeness):
    ws = gan.network.spread(gan.map([1])).clone()
    network = tune(gan, pixels[:1], ws, likeness=likeness, config=SearchConfig(**SHORT, tune_stop=99))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), gan.network.parameters(), strict=True))


@pytest.mark.slow
def test_noise_that_moves_says_more_and_stays_noise(gan, pixels):
    config, keys = SearchConfig(**PLAIN, search_steps=60), ["a", "b", "c"]
    alone = search(gan, pixels, likeness=Likeness(), config=config, keys=keys)
    found, maps = search_with_noise(gan, pixels, likeness=Likeness(), config=config, keys=keys)
    made = reconstruct(gan.network, found, gan.device, noise=maps)
    with_maps = Likeness().measure(made, pixels, gan.device)["l2"]
    assert with_maps.mean() < error(gan, alone, pixels).mean()
    for layer in maps:
        assert layer.shape[0] == 3 and layer.mean(dim=(1, 2)).abs().max() < 1e-4
        assert torch.allclose(layer.square().mean(dim=(1, 2)), torch.ones(3), atol=1e-3)
    free = SearchConfig(**PLAIN, search_steps=60, noise_weight=0)
    _, wild = search_with_noise(gan, pixels, likeness=Likeness(), config=free, keys=keys)
    assert noise_correlation(maps).mean() < 0.5 * noise_correlation(wild).mean()


@pytest.mark.parametrize("tune_for", ["person", "all"])
def test_tuned_generators_are_files_and_their_room_is_told(tune_for, gan, pixels, tmp_path, capsys, monkeypatch):
    ws = gan.network.spread(gan.map([1, 2, 3])).clone()
    pivots = Pivots(pixels, ws, np.array([4, 4, 9]), ["a", "b", "c"])
    config = SearchConfig(**PLAIN, tune_steps=12, tune_lr=3e-3, tune_for=tune_for)
    options = {"likeness": Likeness(), "config": config, "folder": tmp_path, "batch": 2}
    found = {file.name: rows.tolist() for file, rows in tune_to_files(gan, pivots, **options)}
    wanted = (
        {"0004.safetensors": [0, 1], "0009.safetensors": [2]}
        if tune_for == "person"
        else {"all.safetensors": [0, 1, 2]}
    )
    assert found == wanted
    assert f"will hold {len(found)} tuned generators of" in capsys.readouterr().err
    for name, rows in found.items():
        opened = load_generator(tmp_path / name, device="cpu")
        assert opened.training["pivotal_tuning"]["crops"] == [pivots.names[row] for row in rows]
        before, after = (error(gan, ws[rows], pixels[rows], network) for network in (gan.network, opened.network))
        assert after.mean() < before.mean()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(list(tune_to_files(gan, pivots, **options))) == len(found)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written  # one that is there is kept
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(ConfigError, match=r"no room in .* for the tuned generators") as told:
        list(tune_to_files(gan, pivots, **options | {"folder": tmp_path / "other"}))
    assert "tune_for='all'" in str(told.value)


def test_a_tuned_generator_of_something_else_is_not_taken_up(gan, pixels, tmp_path):
    ws = gan.network.spread(gan.map([1, 2])).clone()
    pivots = Pivots(pixels[:2], ws, np.array([4, 9]), ["a", "b"])
    options = {"likeness": Likeness(), "folder": tmp_path, "batch": 2}
    config = SearchConfig(**PLAIN, tune_steps=1, tune_lr=3e-3)
    assert len(list(tune_to_files(gan, pivots, config=config, **options))) == 2
    darker, moved = np.array(pivots.pixels), ws.clone()
    darker[1, 0, 0, 0] ^= 1
    moved[1, 0, 0] += 1e-3
    others = [
        (gan, replace(pivots, pixels=darker), config, "pivots"),
        (gan, replace(pivots, ws=moved), config, "pivots"),
        (gan, replace(pivots, names=["a", "c"]), config, "crops"),
        (gan, pivots, replace(config, tune_steps=2), "options"),
        (gan, pivots, replace(config, l2_weight=2.0), "options"),
        (replace(gan, hash="0" * 64), pivots, config, "tuned_from"),
    ]
    for other, about, asked, what in others:
        with pytest.raises(RunError, match=rf"another run's tuned generator\.\n  got: another {what}\n"):
            list(tune_to_files(other, about, config=asked, **options))
    (tmp_path / "0004.safetensors").write_bytes((tmp_path / "0009.safetensors").read_bytes())
    with pytest.raises(RunError, match="got: another people, crops, pivots\n"):
        list(tune_to_files(gan, pivots, config=config, **options))


def test_numbers_that_are_none_are_told(gan, pixels, monkeypatch):
    monkeypatch.setattr(module, "weighted", lambda found, config: found["l2"] * float("nan"))
    config = SearchConfig(**PLAIN, **SHORT)
    with pytest.raises(TrainingError, match="w\\+ of b diverged"):
        search(gan, pixels[:1], likeness=Likeness(), config=config, keys=["b"])
    ws = gan.network.spread(gan.map([1])).clone()
    with pytest.raises(TrainingError, match="pivotal tuning of the generator diverged"):
        tune(gan, pixels[:1], ws, likeness=Likeness(), config=config)


@pytest.mark.slow
def test_ways_side_by_side(crops, gan, encoder, likeness, tmp_path):
    config = InversionConfig(**SHORT, methods=ALL, crops=3, batch=2, device="cpu")
    found = compare_inversions(crops, gan, config, likeness=likeness, encoder=encoder, out=tmp_path)
    kept = json.loads((tmp_path / "inversion.json").read_text())
    assert [way["method"] for way in kept["methods"]] == list(ALL)
    assert [name.split("/")[1][:4] for name in kept["crops"]] == ["0019", "0020", "0019"]  # held out, by turns
    by_name = {way["method"]: way for way in found.methods}
    assert by_name["optimise"]["l2"] < by_name["average"]["l2"]
    assert by_name["optimise+pivotal"]["l2"] < by_name["optimise"]["l2"]
    assert by_name["optimise"]["reid_cosine"] > by_name["average"]["reid_cosine"]
    assert by_name["average"]["l2"] == pytest.approx(np.mean(by_name["average"]["per_crop"]["l2"]))
    for way in ("wall", "cpu"):
        assert found.seconds["optimise+pivotal"][way] > found.seconds["optimise"][way] > 0
    assert str(found).count("\n") == 2 + len(ALL)
    assert str(compare_inversions(crops, gan, config, likeness=likeness, encoder=encoder, out=tmp_path)) == str(found)
    tuned = sorted(path.name for path in (tmp_path / "tuned" / "optimise-pivotal").iterdir())
    assert tuned == ["0019.safetensors", "0020.safetensors"]
    given = read_inversion(tmp_path, way=None, generator=gan.hash)
    assert (given.way, given.names, given.tuned) == (ALL[-1], kept["crops"], tmp_path / "tuned" / "optimise-pivotal")
    network = load_generator(given.tuned / "0020.safetensors", device="cpu").network
    pixels = load_state(tmp_path / "way-optimise-pivotal.safetensors")["pixels"].numpy()
    assert np.array_equal(reconstruct(network, given.ws[1:2], gan.device), pixels[1:2])
    assert read_inversion(tmp_path, way="optimise", generator=gan.hash).tuned is None
    with pytest.raises(ConfigError, match="has no way optimise:2"):
        read_inversion(tmp_path, way="optimise:2", generator=gan.hash)
    with pytest.raises(WeightsError, match="an inversion by another generator"):
        read_inversion(tmp_path, way=None, generator="0" * 64)
    with pytest.raises(RunError, match="is not an inversion"):
        read_inversion(gan.path.parent, way=None, generator=gan.hash)


class Stripes:
    """In place of a re-ID network that had no part in a loss: the mean brightness of rows."""

    hash = "stripes"

    def embeddings(self, images):
        return images.mean(dim=(1, 3))


def test_noise_and_a_judge_side_by_side(crops, gan, likeness, tmp_path):
    ways = ("average", "optimise+noise", "optimise+noise+pivotal")
    options = {"search_steps": 8, "tune_steps": 4, "tune_lr": 3e-3, "tuned": "drop", "people": "train"}
    config = InversionConfig(**options, methods=ways, crops=3, batch=2, device="cpu")
    found = compare_inversions(crops, gan, config, likeness=likeness, judge=Stripes(), out=tmp_path)
    average, noisy, tuned = found.methods
    assert tuned["l2"] < noisy["l2"] < average["l2"]
    assert "judge_cosine" in str(found)
    pixels = load_state(tmp_path / "way-average.safetensors")["pixels"].numpy()
    originals = CropStore.open(
        crops.where(np.isin(crops.rows["file_name"], crop_names(tmp_path))), size=gan.size
    ).images
    rows = [torch.from_numpy(imagenet_rows(images)) for images in (pixels, originals)]
    wanted = torch.cosine_similarity(*rows)
    assert average["per_crop"]["judge_cosine"] == pytest.approx(wanted.tolist(), abs=1e-4)
    state = load_state(tmp_path / "way-optimise-noise.safetensors")
    assert [tuple(layer.shape[1:]) for layer in state["noise"]] == gan.network.synthesis.noise_shapes
    assert not list((tmp_path / "tuned").iterdir())  # dropped
    with pytest.raises(ConfigError, match="has no way optimise\\+noise"):
        read_inversion(tmp_path, way="optimise+noise", generator=gan.hash)
    with pytest.raises(ConfigError, match="The judge is the re-ID network of the loss"):
        compare_inversions(crops, gan, config, likeness=likeness, judge=likeness.reid, out=tmp_path / "same")


def crop_names(folder):
    return json.loads((folder / "inversion.json").read_text())["crops"]


def imagenet_rows(images):
    """What `Stripes` sees, computed with numpy."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((images / 255 - mean) / std).mean(axis=(2, 3))


@pytest.mark.slow
def test_a_comparison_goes_on_with_the_next_way(crops, gan, likeness, tmp_path, monkeypatch):
    options = {**SHORT, "methods": ("average", "optimise", "optimise+pivotal"), "people": "query", "crops": 2}
    config = InversionConfig(**options, device="cpu")
    table = make_table([1, 2], splits="query", root=tmp_path / "crops", size=(16, 8))
    run = {"likeness": likeness}
    whole = compare_inversions(table, gan, config, **run, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(
            "reidgen.generators.inversion.tuning.tune", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            compare_inversions(table, gan, config, **run, out=tmp_path / "cut")
    with monkeypatch.context() as patch:
        patch.setattr(
            "reidgen.generators.inversion.comparison.search", lambda *_, **__: pytest.fail("it was done already")
        )
        again = compare_inversions(table, gan, config, **run, out=tmp_path / "cut")
    assert again.methods == whole.methods
    for name in ("inversion.json", "pairs.png", "way-optimise-pivotal.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    cost = json.loads((tmp_path / "cut" / "run.json").read_text())["cost"]
    assert cost[spent_key("wall", "optimise")] == again.seconds["optimise"]["wall"]


def test_what_needs_an_encoder_says_so(crops, gan, likeness, tmp_path):
    config = InversionConfig(**SHORT, methods=("optimise",))
    with pytest.raises(ConfigError, match="There is no encoder"):
        compare_inversions(crops, gan, config, likeness=likeness, out=tmp_path)
    config = InversionConfig(**SHORT, methods=("encoder:2",), people="train")
    with pytest.raises(ConfigError, match="There is no encoder"):
        compare_inversions(crops, gan, config, likeness=likeness, out=tmp_path)
    config = InversionConfig(**SHORT, methods=("average",), people="query")
    with pytest.raises(DataError, match="has no crops of such people"):
        compare_inversions(crops, gan, config, likeness=likeness, out=tmp_path)


def test_generators_without_noise_maps_say_so(untrained, crops, tmp_path):
    config = InversionConfig(**PLAIN, methods=("average", "optimise+noise"), people="train")
    with pytest.raises(ConfigError, match="A stylegan3-t has no noise maps") as told:
        compare_inversions(crops, untrained["stylegan3-t"], config, likeness=Likeness(), out=tmp_path / "none")
    assert told.value.fix == "methods=('optimise',)"


@pytest.mark.parametrize(
    "method",
    [
        "average+noise",
        "encoder:2+noise",
        "optimise+pivotal+noise",
        "encode",
        "encoder:0",
        "encoder:x",
        "pivotal",
        "optimise:3",
        "+pivotal",
    ],
)
def test_ways_that_there_are_not(method):
    with pytest.raises(ConfigError, match="methods names a way that there is not"):
        InversionConfig(methods=(method,))


def test_rows_in_turn():
    table = in_turn(make_table([5, 5, 5, 2, 2, 9]), "pid")
    assert table.pids.tolist() == [5, 2, 9, 5, 2, 5]
    assert table.rows["frame"].to_list() == [0, 3, 5, 1, 4, 2]
