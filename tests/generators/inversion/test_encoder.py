import dataclasses
import json

import numpy as np
import pytest
import torch

from reidgen.config import EncoderConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import setup
from reidgen.errors import ConfigError, DataError, RunError, TrainingError, WeightsError
from reidgen.generators.inversion import encoder_training as module
from reidgen.generators.inversion.encoder import fixed_noise, load_encoder, refine
from reidgen.generators.inversion.encoder_training import EncoderTraining, split_people, train_encoder
from reidgen.generators.inversion.likeness import Likeness, as_images, weighted
from reidgen.generators.training.train import train_generator
from reidgen.models import resnet
from tests.factories import make_table

OPTIONS = {
    "backbone": "resnet18",
    "weights": "random",
    "width": 8,
    "passes": 2,
    "steps": 6,
    "batch": 4,
    "lr": 1e-3,
    "log_steps": 2,
    "test_steps": 3,
    "snapshot_steps": 3,
    "checkpoint_sec": 0,
    "device": "cpu",
}
pytestmark = pytest.mark.usefixtures("narrow")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("run.json", ".lock")}


@pytest.fixture(scope="module")
def trained(crops, gan, likeness, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        out = tmp_path_factory.mktemp("encoder")
        return train_encoder(crops, gan, EncoderConfig(**OPTIONS), likeness=likeness, out=out)


def test_a_training_leaves_curves_snapshots_and_sheets(trained, gan, crops):
    folder = trained.path.parent
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [2, 3, 4, 6]
    assert set(records[0]) == {"step", "loss", "l2", "perceptual", "reid"}
    assert set(records[1]) == {*records[0], *(f"test_{name}" for name in ("loss", "l2", "perceptual", "reid"))}
    for record in records:
        parts = 1.0 * record["l2"] + 0.8 * record["perceptual"] + 0.5 * record["reid"]
        assert record["loss"] == pytest.approx(parts, rel=1e-5)
    assert {"snapshot-0000003.safetensors", "pairs-0000003.png", "pairs-0000006.png"} <= set(content(folder))
    assert trained.generator.hash == gan.hash
    assert (trained.facts["images"], trained.facts["people"]) == (36, 18)
    assert trained.facts["held_out_people"] == [19, 20]
    assert load_encoder(folder / "snapshot-0000003.safetensors").facts["steps"] == 3


@pytest.mark.parametrize("stop", [1, 5])
def test_a_stopped_training_ends_with_the_same_bytes(stop, trained, crops, gan, likeness, tmp_path, monkeypatch):
    config, out = EncoderConfig(**OPTIONS), tmp_path / "again"
    advance = EncoderTraining.advance

    def stopping(self):
        if self.step == stop:
            raise KeyboardInterrupt
        advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(EncoderTraining, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(crops, gan, config, likeness=likeness, out=out)
    train_encoder(crops, gan, config, likeness=likeness, out=out)
    assert content(out) == content(trained.path.parent)
    with pytest.raises(RunError, match="holds another run"):
        train_encoder(crops, gan, EncoderConfig(**OPTIONS, seed=1), likeness=likeness, out=out)


@pytest.mark.slow
def test_learning_brings_the_images_nearer(crops, gan, likeness, tmp_path):
    options = {**OPTIONS, "steps": 40, "lr": 3e-3, "log_steps": 5, "test_steps": 40, "snapshot_steps": 40}
    trained = train_encoder(crops, gan, EncoderConfig(**options), likeness=likeness, out=tmp_path)
    pixels = CropStore.open(crops.train, size=gan.size).images
    average = np.repeat(gan.synthesize(gan.network.mapping.w_avg[None], [0]), len(pixels), axis=0)
    made = gan.synthesize(trained.invert(pixels), [0] * len(pixels))
    before, after = (likeness.measure(images, pixels, gan.device) for images in (average, made))
    assert after["l2"].mean() < 0.9 * before["l2"].mean()
    assert after["reid"].mean() < before["reid"].mean()


def test_each_pass_adds_a_step_to_the_one_before(trained, gan, crops):
    target = as_images(CropStore.open(crops, size=gan.size).images[:3], gan.device)
    noise = fixed_noise(gan.network, 3, gan.device)
    ws = gan.network.spread(gan.network.mapping.w_avg.expand(3, -1))
    with torch.no_grad():
        for found, image in refine(trained.network, gan.network, target, noise, passes=3):
            ws = ws + trained.network(target, gan.network.synthesis(ws, noise))
            assert torch.allclose(found, ws, atol=1e-6)
            assert torch.allclose(image, gan.network.synthesis(ws, noise), atol=1e-5)


def test_gradients_end_at_the_pass(gan, crops, likeness):
    config, store = EncoderConfig(**OPTIONS), CropStore.open(crops.train, size=gan.size)
    training = EncoderTraining(config, gan, store, likeness, fabric=setup("cpu"), tested=store.images, facts={})
    target = likeness.of(training._batch())
    for ws, image in refine(training.network, gan.network, target.images, training.noise, passes=2):
        assert ws.grad_fn is not None
        weighted(likeness.distances(image, target), config).mean().backward()  # a second time through would raise
    assert all(parameter.grad is None for parameter in gan.network.parameters())
    assert all(parameter.grad is not None for parameter in training.network.heads.parameters())


def test_the_w_of_a_crop_does_not_depend_on_the_others(trained, crops, gan):
    pixels = CropStore.open(crops, size=gan.size).images
    together = trained.invert(pixels)
    assert together.shape == (48, gan.network.num_ws, gan.network.w_dim)
    assert torch.equal(trained.invert(pixels[20:21])[0], together[20])
    assert not torch.equal(trained.invert(pixels[:1], passes=1), together[:1])


def test_the_embedding_is_the_way_from_the_mean(trained, crops, gan):
    gallery, mean = crops.gallery, gan.network.mapping.w_avg
    pixels = CropStore.open(gallery, size=gan.size).images
    plain, summed = trained.embed(gallery, flip="none", batch=3), trained.embed(gallery, flip="sum")
    assert torch.equal(plain, (trained.invert(pixels) - mean).flatten(1))
    assert torch.allclose(summed, plain + (trained.invert(pixels[:, :, ::-1]) - mean).flatten(1))


def test_another_generator_is_an_error(trained, crops, tiny, tmp_path):
    other = train_generator(crops, dataclasses.replace(tiny, seed=5), out=tmp_path / "other")
    with pytest.raises(WeightsError, match="an encoder for another generator") as error:
        load_encoder(trained.path, generator=other)
    assert other.hash in str(error.value) and trained.generator.hash in str(error.value)


def test_what_is_no_encoder(trained, gan, tmp_path):
    with pytest.raises(WeightsError, match="There is no"):
        load_encoder(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="got: a run of train-generator"):
        load_encoder(gan.path.parent)
    with pytest.raises(WeightsError, match="holds no encoder"):
        load_encoder(gan.path)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(trained.path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_encoder(cut, generator=gan)


def test_real_people_alone_and_the_last_tenth_kept_out(crops):
    rows = [1, 1, 2, 2, 3, 3, 4, 4, 0, -1, 9, 8]
    origins = ["real"] * 10 + ["generated", "rendered"]
    splits = ["train"] * 6 + ["gallery"] * 2 + ["train"] * 4
    table = make_table(rows, splits=splits, origin=origins)
    learned, kept_out = split_people(table, EncoderConfig(batch=2))
    assert (learned.pids.tolist(), kept_out.pids.tolist()) == ([1, 1, 2, 2, 3, 3], [8])
    learned, _ = split_people(table, EncoderConfig(batch=2, split="all"))
    assert learned.pids.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    learned, kept_out = split_people(crops, EncoderConfig(test_share=0.25))
    assert (set(kept_out.pids), len(learned)) == (set(range(16, 21)), 30)
    with pytest.raises(DataError, match="too few crops of real people"):
        split_people(table.where(table.pids == 1), EncoderConfig(batch=2))
    with pytest.raises(DataError, match="got: 6 crops of 3 people"):
        split_people(table, EncoderConfig(batch=8))


@pytest.fixture
def start():
    """A network that an encoder's backbone can start from."""
    network = resnet.ResNet("resnet18")
    network.initialise(torch.Generator().manual_seed(3))
    return network


def test_a_start_is_taken_and_is_part_of_the_run(start, crops, gan, likeness, tmp_path):
    config = EncoderConfig(**OPTIONS | {"steps": 1, "weights": "imagenet", "lr": 1e-9})
    begun = train_encoder(crops, gan, config, likeness=likeness, start=start, out=tmp_path / "begun")
    assert torch.allclose(begun.network.backbone.layer1[0].conv1.weight, start.layer1[0].conv1.weight, atol=1e-7)
    assert len(begun.facts["start"]) == 64
    with torch.no_grad():
        start.layer4[0].conv1.weight[0, 0, 0, 0] += 1
    with pytest.raises(RunError, match="holds another run"):
        train_encoder(crops, gan, config, likeness=likeness, start=start, out=tmp_path / "begun")


def test_a_start_that_is_not_the_one_asked_for_is_told(start, crops, gan, likeness, tmp_path):
    run = {"likeness": likeness, "out": tmp_path / "none"}
    with pytest.raises(ConfigError, match="are not those that weights names") as error:
        train_encoder(crops, gan, EncoderConfig(**OPTIONS | {"weights": "imagenet"}), **run)
    assert "start=load_start(config)" in str(error.value)
    with pytest.raises(ConfigError, match="are not those that weights names"):
        train_encoder(crops, gan, EncoderConfig(**OPTIONS), start=start, **run)
    assert not run["out"].exists()
    with pytest.raises(ConfigError, match="no 1x1 convolution"):
        EncoderConfig(stride_in="1x1")


def test_bfloat16_is_near_float32_and_is_told_apart(crops, gan, likeness, monkeypatch):
    seen = []
    trainings = {}
    for precision in ("float32", "bf16"):
        training = EncoderTraining(
            EncoderConfig(**OPTIONS | {"precision": precision, "test_steps": 5}),
            gan,
            CropStore.open(crops.train, size=gan.size),
            likeness,
            fabric=setup("cpu"),
            tested=CropStore.open(crops.gallery, size=gan.size).images,
            facts={},
        )
        convolution = training.network.backbone.layer1[0].conv1
        convolution.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
        with sound_bfloat16(torch.device("cpu"), precision):
            for _ in range(3):
                training.advance()
        trainings[precision] = training.figures()
        assert all(parameter.dtype == torch.float32 for parameter in training.network.parameters())
        test = training.test(training.tested)
        assert test["test_loss"] > 0
    passes = OPTIONS["passes"]
    assert seen == [torch.float32] * 4 * passes + [torch.bfloat16] * 3 * passes + [torch.float32] * passes
    assert trainings["bf16"] != trainings["float32"]
    for name, value in trainings["float32"].items():
        assert trainings["bf16"][name] == pytest.approx(value, rel=0.05)
    assert all(layer.half_dtype is None for layer in gan.network.half_layers())  # the generator given stays as it is


@pytest.mark.slow
def test_a_stopped_training_in_bfloat16_ends_with_the_same_bytes(crops, gan, likeness, tmp_path, monkeypatch):
    config = EncoderConfig(**OPTIONS | {"precision": "bf16"})
    train_encoder(crops, gan, config, likeness=likeness, out=tmp_path / "whole")
    advance = EncoderTraining.advance

    def stopping(self):
        if self.step == 4:
            raise KeyboardInterrupt
        advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(EncoderTraining, "advance", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(crops, gan, config, likeness=likeness, out=tmp_path / "cut")
    train_encoder(crops, gan, config, likeness=likeness, out=tmp_path / "cut")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_loss_that_is_no_number_is_told(crops, gan, likeness, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "weighted", lambda found, config: found["l2"] * float("nan"))
    with pytest.raises(TrainingError, match=r"diverged: loss, l2, .* is not a number at step 2") as error:
        train_encoder(crops, gan, EncoderConfig(**OPTIONS | {"checkpoint_sec": 9}), likeness=likeness, out=tmp_path)
    assert "lr=0.00033" in str(error.value)


def test_a_distance_without_its_network_is_told(crops, gan, likeness, tmp_path):
    only = Likeness(likeness.perceptual)
    with pytest.raises(ConfigError, match="reid_weight needs a network that is not there"):
        train_encoder(crops, gan, EncoderConfig(**OPTIONS), likeness=only, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match="All weights of the loss are 0"):
        EncoderConfig(l2_weight=0, perceptual_weight=0, reid_weight=0)


@pytest.mark.parametrize(
    "kind",
    [pytest.param("stylegan3-t", marks=pytest.mark.slow), pytest.param("stylegan3-r", marks=pytest.mark.slow), "dcgan"],
)
def test_other_generators_have_encoders_too(kind, untrained, crops, tmp_path):
    options = {**OPTIONS, "perceptual_weight": 0, "reid_weight": 0, "steps": 1}
    trained = train_encoder(crops, untrained[kind], EncoderConfig(**options), likeness=Likeness(), out=tmp_path)
    found = trained.invert(CropStore.open(crops, size=(32, 16)).images[:2])
    network = untrained[kind].network
    assert found.shape == (2, network.num_ws, network.w_dim)
    assert untrained[kind].synthesize(found, [0, 0]).shape == (2, 32, 16, 3)


@pytest.mark.slow
def test_losses_fall_on_a_stylegan3_too(untrained, crops, tmp_path):
    options = {**OPTIONS, "perceptual_weight": 0, "reid_weight": 0, "passes": 1, "steps": 16, "lr": 1e-2, "batch": 8}
    config = EncoderConfig(**options | {"log_steps": 4, "test_steps": 8, "snapshot_steps": 16, "test_crops": 8})
    train_encoder(crops, untrained["stylegan3-t"], config, likeness=Likeness(), out=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [record["l2"] for record in records]
    assert len(losses) == 4 and losses[-1] < 0.95 * losses[0]
    assert records[3]["test_l2"] < records[1]["test_l2"]
