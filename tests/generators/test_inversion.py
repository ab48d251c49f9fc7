import json

import numpy as np
import pytest
import torch

from reidgen.config import EncoderConfig, InversionConfig, SearchConfig
from reidgen.data.store import CropStore
from reidgen.errors import ConfigError, DataError, TrainingError
from reidgen.generators import inversion as module
from reidgen.generators.comparison import compare_inversions, in_turn, spent_key
from reidgen.generators.encoder_training import train_encoder
from reidgen.generators.inversion import (
    noise_size,
    reconstruct,
    search,
    spread_of_w,
    step_size,
    tune,
    write_tuned,
)
from reidgen.generators.likeness import Likeness
from reidgen.generators.trained import load_generator
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
    write_tuned(tmp_path / "tuned.safetensors", network, gan, {"person": 4})
    opened = load_generator(tmp_path / "tuned.safetensors", device="cpu")
    assert opened.training["pivotal_tuning"] == {"tuned_from": gan.hash, "person": 4}
    assert opened.training["split"] == gan.training["split"]
    assert np.array_equal(reconstruct(opened.network, ws, gan.device), reconstruct(network, ws, gan.device))


def test_tuning_ends_at_its_mark(gan, pixels, likeness):
    ws = gan.network.spread(gan.map([1])).clone()
    network = tune(gan, pixels[:1], ws, likeness=likeness, config=SearchConfig(**SHORT, tune_stop=99))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), gan.network.parameters(), strict=True))


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


@pytest.mark.slow
def test_a_comparison_goes_on_with_the_next_way(crops, gan, likeness, tmp_path, monkeypatch):
    options = {**SHORT, "methods": ("average", "optimise", "optimise+pivotal"), "people": "query", "crops": 2}
    config = InversionConfig(**options, device="cpu")
    table = make_table([1, 2], splits="query", root=tmp_path / "crops", size=(16, 8))
    run = {"likeness": likeness}
    whole = compare_inversions(table, gan, config, **run, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("reidgen.generators.tuning.tune", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compare_inversions(table, gan, config, **run, out=tmp_path / "cut")
    with monkeypatch.context() as patch:
        patch.setattr("reidgen.generators.comparison.search", lambda *_, **__: pytest.fail("it was done already"))
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


@pytest.mark.parametrize("method", ["encode", "encoder:0", "encoder:x", "pivotal", "optimise:3", "+pivotal"])
def test_ways_that_there_are_not(method):
    with pytest.raises(ConfigError, match="--methods names a way that there is not"):
        InversionConfig(methods=(method,))


def test_rows_in_turn():
    table = in_turn(make_table([5, 5, 5, 2, 2, 9]), "pid")
    assert table.pids.tolist() == [5, 2, 9, 5, 2, 5]
    assert table.rows["frame"].to_list() == [0, 3, 5, 1, 4, 2]
