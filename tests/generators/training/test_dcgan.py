import dataclasses
import json

import pytest
import torch

from reidgen.config import DCGANConfig, StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.provenance import Style
from reidgen.engine import loop
from reidgen.engine.checkpoint import load_state, load_weights, save_state
from reidgen.engine.devices.device import setup
from reidgen.errors import ConfigError, TrainingError, WeightsError, spelled
from reidgen.generators.people.people import generate_people, regenerate_styles
from reidgen.generators.trained import load_generator
from reidgen.generators.training.dcgan import DCGANTraining
from reidgen.generators.training.diagnosis import advice, diagnose
from reidgen.generators.training.train import train_generator
from reidgen.generators.weights import read_generator, style_config, with_shape_of, write_generator
from tests.test_resume import killed_and_whole

TINY = DCGANConfig(size=(16, 8), z_dim=6, width=4, batch=8, kimg=0.16, snapshot_kimg=0.08, device="cpu")
SAME = ("generator.safetensors", "metrics.jsonl", "fakes-000000.080.png", "snapshot-000000.160.safetensors")


@pytest.fixture(scope="module")
def store(crops):
    return CropStore.open(crops.train, size=(16, 8))


@pytest.fixture(scope="module")
def dcgan(crops, tmp_path_factory):
    """A trained DCGAN."""
    return train_generator(crops, TINY, out=tmp_path_factory.mktemp("dcgan"))


def make(store, **changes):
    return DCGANTraining(dataclasses.replace(TINY, **changes), setup("cpu"), store)


def test_one_step_by_hand(store):
    """D learns from crops and fakes in batches of their own; then G, from the D that has learned."""
    training = make(store, mirror=False)
    reference = make(store, mirror=False)
    training.advance()
    generator, discriminator = reference.generator.train(), reference.discriminator.train()
    reals = store.batch(reference.sampler.indices(0)).float() / 127.5 - 1
    fakes = generator(torch.randn(8, 6, generator=reference._random("z")))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    one, zero = torch.ones(8, 1), torch.zeros(8, 1)
    adam = {"lr": 0.0002, "betas": (0.5, 0.999), "eps": 1e-8}
    d_optimiser = torch.optim.Adam(discriminator.parameters(), **adam)
    loss_d = bce(discriminator(reals), one) + bce(discriminator(fakes.detach()), zero)
    loss_d.backward()
    d_optimiser.step()
    g_optimiser = torch.optim.Adam(generator.parameters(), **adam)
    loss_g = bce(discriminator(fakes), one)
    loss_g.backward()
    g_optimiser.step()
    figures = training.figures()
    assert figures["loss_d"] == pytest.approx(loss_d.item(), rel=1e-5)
    assert figures["loss_g"] == pytest.approx(loss_g.item(), rel=1e-5)
    for name in ("generator", "discriminator"):
        got, expected = (getattr(run, name).state_dict() for run in (training, reference))
        for key in expected:
            torch.testing.assert_close(got[key], expected[key], rtol=1e-4, atol=1e-6)


def test_figures_have_the_names_of_the_other_trainings(store):
    training = make(store)
    training.advance()
    figures = training.figures()
    names = ("step", "kimg", "loss_g", "loss_d", "d_real", "d_fake", "r_t", "spread_fake", "spread_real")
    assert set(names) <= set(figures)
    assert (figures["step"], figures["kimg"]) == (1, 0.008)
    assert figures["spread_real"] > 0.01


def test_between_steps_the_running_statistics_are_used(store):
    training = make(store)
    before = training.generator.synthesis.layers[1].running_mean.clone()
    training.advance()
    assert not torch.equal(before, training.average.synthesis.layers[1].running_mean)
    z = torch.randn(4, 6)
    torch.testing.assert_close(training.average(z)[:2], training.average(z[:2]))


def test_resuming_is_exact_and_takes_the_running_statistics_along(store, tmp_path):
    whole, first = make(store), make(store)
    for _ in range(6):
        whole.advance()
    for _ in range(3):
        first.advance()
    save_state(tmp_path / "state.safetensors", first.state())
    second = make(store)
    second.load(load_state(tmp_path / "state.safetensors"))
    for _ in range(3):
        second.advance()
    assert second.figures() == whole.figures()
    for name in ("generator", "discriminator"):
        states = [getattr(run, name).state_dict() for run in (whole, second)]
        assert any("running_var" in key for key in states[0])
        for key, value in states[0].items():
            assert torch.equal(value, states[1][key]), key


def test_weights_that_are_no_numbers_are_noticed(store):
    training = make(store)
    assert training.finite()
    training.generator.synthesis.layers[1].running_var.fill_(torch.nan)
    assert not training.finite()


def test_half_precision_trains(store):
    training = make(store, precision="bf16")
    training.advance()
    assert training.finite()
    assert training.figures()["loss_d"] > 0
    assert all(parameter.dtype == torch.float32 for parameter in training.generator.parameters())


def test_what_a_run_leaves(dcgan, crops):
    folder = dcgan.path.parent
    tensors, metadata = load_weights(dcgan.path)
    assert metadata["kind"] == "dcgan"
    assert metadata["dcgan"]["width"] == 4
    assert {name.split(".")[0] for name in tensors} == {"generator", "discriminator"}
    assert dcgan.config == TINY
    assert dcgan.kind == "dcgan"
    assert dcgan.training["table"] == crops.train.hash()
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, 21))
    assert "warning" in records[-1]
    assert (folder / "fakes-000000.160.png").is_file()
    assert not (folder / "checkpoint.safetensors").exists()


def test_a_stopped_run_ends_with_the_same_bytes(dcgan, crops, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    monkeypatch.setattr(loop.time, "monotonic", iter(range(0, 10**6, 120)).__next__)  # a checkpoint each 3 steps
    advance = DCGANTraining.advance
    for stop_at in (2, 11, 19):

        def until(self, stop_at=stop_at):
            if self.step == stop_at:
                raise Stop
            advance(self)

        monkeypatch.setattr(DCGANTraining, "advance", until)
        with pytest.raises(Stop):
            train_generator(crops, TINY, out=tmp_path)
    monkeypatch.setattr(DCGANTraining, "advance", advance)
    train_generator(crops, TINY, out=tmp_path)
    for name in SAME:
        assert (tmp_path / name).read_bytes() == (dcgan.path.parent / name).read_bytes(), name


@pytest.mark.slow
def test_a_killed_process_ends_with_the_same_bytes(crops, tmp_path):
    crops.write(tmp_path / "data")
    tiny = ["--preset", "dcgan", "--size", "16", "8", "--z-dim", "4", "--width", "4", "--batch", "4", "--device", "cpu"]
    times = ["--kimg", "0.08", "--snapshot-kimg", "0.04", "--checkpoint-sec", "0"]
    train_it = ["train-generator", "--data", tmp_path / "data", *tiny, *times]
    killed_and_whole(tmp_path / "gan", [3, 7], *train_it)


def test_the_pixels_of_a_seed_are_the_same_whatever_the_others(dcgan):
    again = load_generator(dcgan.path, device="cpu")
    together = again.sample([5, 6, 7])
    assert together.shape == (3, 16, 8, 3)
    assert (again.sample([7])[0] == together[2]).all()
    assert (together[0] != together[1]).any()


def test_people_without_variants(dcgan, tmp_path):
    table = generate_people(dcgan, people=3, variants=1, out=tmp_path)
    assert sorted(table.pids.tolist()) == [1, 2, 3]
    seeds = [Style.parse(text).w for text in table.rows["operation"]]
    assert (regenerate_styles(dcgan, table) == dcgan.sample(seeds)).all()


def test_variants_need_layers_to_mix(dcgan, tmp_path):
    with pytest.raises(ConfigError) as error:
        generate_people(dcgan, people=3, variants=2, out=tmp_path)
    assert error.value.got == "middle"
    assert "one w makes the whole image" in error.value.allowed
    assert not any(tmp_path.iterdir())
    table = generate_people(dcgan, people=2, variants=3, mix="all", weight=0.3, out=tmp_path)
    assert len(table) == 6


def test_counts_stay_whole_numbers_in_the_file(dcgan, tmp_path):
    """Batch normalisation counts its batches: 70,000 of them are not float16."""
    file = read_generator(dcgan.path)
    name = "synthesis.layers.1.num_batches_tracked"
    assert file.parts["generator"][name].dtype == torch.int64
    file.parts["generator"][name].fill_(70_000)
    config = dataclasses.replace(TINY, save_dtype="float16")
    write_generator(tmp_path / "half.safetensors", file.parts, config=config, training=file.training)
    again = read_generator(tmp_path / "half.safetensors")
    assert again.parts["generator"][name].item() == 70_000
    assert load_generator(tmp_path / "half.safetensors", device="cpu").sample([1]).shape == (1, 16, 8, 3)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.8 * dcgan.path.stat().st_size


def test_a_style_generator_cannot_start_from_it(dcgan, crops, tmp_path):
    with pytest.raises(WeightsError, match="cannot start from") as error:
        train_generator(crops, StyleGANConfig(size=(16, 8), transfer=str(dcgan.path), batch=8, kimg=0.01), out=tmp_path)
    assert error.value.got == "kind dcgan, whose layers have no counterpart"
    with pytest.raises(WeightsError, match="cannot start from"):
        with_shape_of(dcgan.path, StyleGANConfig())
    with pytest.raises(WeightsError):
        style_config(read_generator(dcgan.path))


@pytest.mark.parametrize(
    ("figures", "expected"),
    [({}, ""), ({"spread_fake": 0.01}, "collapse"), ({"d_real": 20.0, "d_fake": -20.0}, "discriminator ahead")],
)
def test_early_warnings(figures, expected):
    """Without the figures of an augmentation; advice names options that a DCGAN has."""
    healthy = {"kimg": 100, "spread_fake": 0.2, "spread_real": 0.25, "r_t": 0.99, "d_real": 3.0, "d_fake": -3.0}
    assert diagnose({**healthy, **figures}, TINY) == expected
    if expected:
        assert "lower lr," in spelled(advice(expected, TINY))
        assert "gamma" not in advice(expected, TINY)
        assert "gamma" in advice(expected, StyleGANConfig())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 1}, "batch is too small for batch normalisation."),
        ({"beta1": 1.0}, "beta1 is out of range."),
        ({"size": (48, 24)}, "size does not fit the generator."),
        ({"width": 0}, "width must be positive."),
        ({"lr": 0.0}, "lr must be positive."),
        ({"checkpoint_sec": float("nan")}, "checkpoint_sec must be a finite number."),
    ],
)
def test_options_out_of_range(changes, said):
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(TINY, **changes)


def test_divergence_says_what_to_lower(crops, tmp_path, monkeypatch):
    advance = DCGANTraining.advance

    def poisoned(self):
        advance(self)
        if self.step == 13:
            self.generator.synthesis.layers[1].running_var.fill_(torch.nan)

    monkeypatch.setattr(DCGANTraining, "advance", poisoned)
    with pytest.raises(TrainingError) as error:
        train_generator(crops, TINY, out=tmp_path)
    assert "lr=0.0001" in error.value.fix
    assert "snapshot-000000.080.safetensors" in error.value.allowed
