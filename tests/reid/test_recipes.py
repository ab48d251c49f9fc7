"""Recipes, parts of a batch and several processes: what shall give the same result does."""

import dataclasses
import json
import subprocess
import time
from dataclasses import replace

import pytest
import torch

from reidgen.backbones.reid_model import build_network, load_reid
from reidgen.config import AugmentConfig, EvaluateConfig, ReidConfig, as_dict, with_recipe
from reidgen.config.reid.recipes import RECIPES
from reidgen.engine import loop
from reidgen.engine.devices import device
from reidgen.errors import ConfigError, DataError
from reidgen.reid.train import train_reid
from tests.factories import make_table, write_crop
from tests.forked import python

SMALL = {
    "backbone": "resnet18",
    "weights": "random",
    "size": (32, 16),
    "bottleneck": 8,
    "batch": 8,
    "crops_per_person": 2,
    "device": "cpu",
}
pytestmark = pytest.mark.usefixtures("narrow")


def small(recipe="bot", **changes):
    return ReidConfig(recipe=recipe, **{**SMALL, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    pids = [pid for pid in range(1, 6) for _ in range(5)]
    made = make_table(pids, root=tmp_path_factory.mktemp("crops"))
    for i, (path, pid) in enumerate(zip(made.paths, pids, strict=True)):
        write_crop(path, seed=pid, quality=60 + 5 * (i % 5))
    return made


@pytest.fixture
def double(monkeypatch):
    """Networks that compute in float64, so that what is equal on paper is equal to the last bit of a float32 file.

    In float32 the normalisation of a few crops by a variance near 0 makes 1e-4 of a rounding, or nothing.
    """
    monkeypatch.setitem(device._PRECISIONS, "float32", "64-true")


def parameters_of(model):
    return {name: value.detach() for name, value in model.network.named_parameters()}


def assert_near(ours, theirs, tolerance):
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def test_a_recipe_gives_the_defaults_and_the_users_options_stay():
    bot = ReidConfig(recipe="bot", lr=1.0)
    assert (bot.batch, bot.epochs, bot.neck, bot.last_stride, bot.lr) == (64, 120, "bnneck", 1, 1.0)
    assert bot.loss_weights == {"cross-entropy": 1.0, "triplet": 1.0, "center": 5e-4}
    assert bot.augment == AugmentConfig(flip=0.5, pad=10, erase=0.5)
    ide = ReidConfig()
    assert (ide.batch, ide.lr, ide.backbone_lr, ide.decay_at, ide.optimizer) == (32, 0.05, 0.1, (2 / 3,), "sgd")
    assert (ide.test_metric, ide.test_flip) == ("cosine", "sum")
    thesis = ReidConfig(recipe="thesis")
    assert (thesis.batch, thesis.epochs, thesis.lr, thesis.neck) == (16, 60, 0.05, "bottleneck-relu")
    changed = [name for name, value in RECIPES["ide"].items() if getattr(thesis, name) != value]
    assert changed == ["neck", "batch"]
    softmax = ReidConfig(recipe="softmax")
    assert (softmax.lr, softmax.label_smoothing, softmax.batch, softmax.epochs) == (3e-4, 0.1, 32, 60)
    assert [at * softmax.epochs for at in softmax.decay_at] == [20, 40]
    agw = ReidConfig(recipe="agw")
    assert (agw.pooling, agw.attention, agw.losses[1]) == ("gem", "non-local", "triplet-weighted")
    assert [at * agw.epochs for at in agw.decay_at] == [40, 70]
    assert [ReidConfig(recipe=recipe).validation for recipe in RECIPES] == ["first", "first", "none", "none", "none"]


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_no_field_of_a_config_stays_open(recipe):
    known = as_dict(ReidConfig(recipe=recipe))
    assert json.loads(json.dumps(known)) == known
    assert set(RECIPES[recipe]) == set(RECIPES["ide"])


def test_a_config_goes_to_another_recipe_with_what_it_has_of_its_own():
    config = ReidConfig(lr=0.1, size=(64, 32), batch=16)
    bot = with_recipe(config, "bot", seed=3)
    assert bot == ReidConfig(recipe="bot", lr=0.1, size=(64, 32), batch=16, seed=3)
    assert with_recipe(ReidConfig(), "agw") == ReidConfig(recipe="agw")
    assert with_recipe(ReidConfig(lr=0.1), "thesis") == ReidConfig(recipe="thesis", lr=0.1)
    with pytest.raises(ConfigError, match="This is recipe ide, and says to be thesis"):
        replace(ReidConfig(), recipe="thesis")
    with pytest.raises(ConfigError) as caught:
        replace(ReidConfig(lr=0.1), recipe="bot")
    assert str(caught.value) == (
        "This is recipe ide, and says to be bot.\n  got: recipe bot with the options of ide\n"
        "  allowed: the options of bot, or single ones changed\n"
        '  try: with_recipe(config, "bot"), or ReidConfig(recipe="bot", ...)'
    )


def test_options_of_another_recipe_are_no_renaming():
    softmax_like = ReidConfig(neck="none", optimizer="adam")
    assert (softmax_like.recipe, softmax_like.lr) == ("ide", 0.05)
    agw_like = ReidConfig(
        recipe="bot",
        pooling="gem",
        attention="non-local",
        losses=("cross-entropy", "triplet-weighted", "center:0.0005"),
    )
    assert agw_like.epochs == 120


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": ("cross-entropy", "triplet:x")}, "A loss has no usable weight.\n  got: triplet:x"),
        ({"losses": ("triplet", "triplet:2")}, "losses must name one or more, each once."),
        ({"losses": ()}, "losses must name one or more, each once."),
        ({"backbone": "resnet51"}, "The backbone is unknown.\n  got: resnet51"),
        ({"backbone": "timm:"}, "The backbone is unknown."),
        ({"backbone": "timm:vit", "attention": "non-local"}, "Non-local blocks go into the ResNets alone."),
        ({"neck": "none", "compare": "before"}, "compare='before' needs a neck that normalises."),
        ({"batch": 10, "sampler": "people"}, "batch cannot be filled with two people or more"),
        ({"batch": 8, "crops_per_person": 8, "sampler": "people"}, "batch cannot be filled with two people or more"),
        ({"batch": 9, "accumulate": 2}, "batch cannot be shared out evenly"),
        ({"batch": 8, "devices": 2}, "With several devices, say over how many crops batch normalisation works."),
        ({"batch": 8, "norm_batch": 3}, "norm_batch does not part what a device holds at a time."),
        ({"decay_at": (0.5, 1.5)}, "decay_at is a share."),
        ({"margin": -1.0}, "margin must not be negative."),
        ({"checkpoint_sec": -5.0}, "checkpoint_sec must not be negative.\n  got: -5.0"),
        ({"checkpoint_sec": float("nan")}, "checkpoint_sec must be a finite number.\n  got: nan"),
        (
            {"generated_weight": float("inf")},
            "generated_weight must be a finite number.\n  got: inf\n  allowed: >= 0",
        ),
        ({"lr": float("inf")}, "lr must be a finite number.\n  got: inf\n  allowed: > 0"),
        ({"lr": 0.0}, "lr must be positive."),
        (
            {"recipe": "bot", "backbone": "timm:vit"},
            "The last stride is an option of the ResNets alone.\n  got: last_stride=1 backbone='timm:vit'\n"
            "  allowed: last_stride=2\n  try: last_stride=2, or backbone='resnet50'",
        ),
        (
            {"backbone": "resnet50_ibn", "size": (16, 16)},
            "The maps of resnet50_ibn's third stage have one pixel, which instance normalisation cannot normalise.\n"
            "  got: size=(16, 16)\n  allowed: more than 16 in one direction",
        ),
        (
            {"recipe": "bot", "losses": ("triplet",), "frozen": 0.5},
            "While the backbone is frozen nothing learns from these losses, which see the pooled feature.\n"
            "  got: losses=('triplet',) neck='bnneck' frozen=0.5\n  allowed: frozen=0; or",
        ),
        ({"sampler": "people", "generated_label": "lsro"}, "Batches of people cannot hold crops without identity"),
        ({"recipe": "none"}, "recipe must be one of the allowed names."),
    ],
)
def test_options_that_make_no_sense_are_told(options, message):
    with pytest.raises(ConfigError) as caught:
        _ = ReidConfig(**options).loss_weights
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "advised"),
    [
        ({"recipe": "bot", "devices": 3, "batch": 32, "norm_batch": 8}, 24),
        ({"batch": 33, "devices": 2, "norm_batch": 8, "generated_ratio": (3, 1)}, 32),
        ({"batch": 33, "accumulate": 2, "generated_ratio": (2, 1)}, 36),  # 5.5 times 6: rounded to the even number
        ({"batch": 3, "accumulate": 2}, 4),
        ({"batch": 6, "sampler": "people", "crops_per_person": 4, "accumulate": 2}, 16),
        ({"batch": 31, "generated_ratio": (3, 1)}, 32),
    ],
)
def test_the_batch_that_is_advised_is_allowed(options, advised):
    with pytest.raises(ConfigError) as caught:
        ReidConfig(**options)
    assert caught.value.fix == f"batch={advised}"
    assert ReidConfig(**{**options, "batch": advised}).batch == advised


@pytest.mark.parametrize("size", [(17, 4), (4, 17), (32, 16)])
def test_the_smallest_sizes_of_ibn_are_those_that_it_can_normalise(size):
    network = build_network(ReidConfig(backbone="resnet50_ibn", size=size), people=2)
    assert network(torch.zeros(2, 3, *size)).logits.shape == (2, 2)


@pytest.mark.parametrize(
    "options", [{"losses": ("cross-entropy", "triplet")}, {"neck": "bottleneck"}, {"pooling": "gem", "neck": "bnneck"}]
)
def test_a_frozen_backbone_with_something_to_learn_trains(options, table, tmp_path):
    options = {"losses": ("triplet",), "neck": "none", **options}
    train_reid(table, small("softmax", sampler="people", steps=2, frozen=1.0, **options), out=tmp_path)


def test_an_unknown_loss_is_told_before_a_run_begins(table, tmp_path):
    with pytest.raises(ConfigError, match=r"no such loss\.\n  got: losses=\('tripel',\)\n  allowed: cross-en"):
        train_reid(table, small(losses=("cross-entropy", "tripel")), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_of_more_people_than_there_are_is_told(table, tmp_path):
    with pytest.raises(DataError, match="too few people for one batch"):
        train_reid(table, small(batch=16), out=tmp_path)


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_every_recipe_trains_and_says_how_it_is_compared(recipe, table, tmp_path):
    model = train_reid(table, small(recipe, epochs=2), out=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 2 and all(record["train_loss"] > 0 for record in records)
    assert model.config.recipe == recipe
    again = load_reid(tmp_path, device="cpu")
    assert again.config == model.config
    images = torch.randn(2, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again.network(images).embedding, model.network(images).embedding)
    assert model.network.width == 8  # the bottleneck's, and the narrow backbone's


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["softmax", "bot", "agw"])
def test_every_recipe_learns_people_that_can_be_told_apart(recipe, table, tmp_path):
    """From random weights, so at ten times the learning rate that suits a trained backbone.

    Guessing is wrong in 0.80 of crops. Over six seeds the last 64 crops are wrong in 0.16 to 0.37 (mean 0.25, deviation
    0.08) with softmax, in less with the others: 0.5 is 3 deviations above, and 6 of a guess (0.05) below guessing.
    """
    still = AugmentConfig(flip=0.0, pad=0)
    config = small(recipe, steps=80, lr=3e-3, schedule="cosine", augment=still, validation="first")
    train_reid(table, config, out=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sum(record["train_error"] for record in records[-8:]) / 8 < 0.5
    assert records[-1]["train_loss"] < records[0]["train_loss"]


@pytest.mark.parametrize("recipe", ["softmax", "bot", "agw"])
def test_a_stopped_run_ends_with_the_bytes_of_one_that_was_not(recipe, table, tmp_path, monkeypatch):
    """Adam's moments, the centers, and with parts and ghost batches the running statistics come back exactly."""
    config = small(recipe, epochs=3, checkpoint_sec=0, accumulate=2, norm_batch=2, optimizer="amsgrad", frozen=0.2)
    whole = train_reid(table, config, out=tmp_path / "whole")
    saves, saved = 0, loop.save_checkpoint

    def stop(*arguments):
        nonlocal saves
        saves += 1
        if saves > 3:
            raise KeyboardInterrupt
        saved(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train_reid(table, config, out=tmp_path / "stopped")
    stopped = train_reid(table, config, out=tmp_path / "stopped")
    for name, value in whole.network.state_dict().items():
        assert torch.equal(stopped.network.state_dict()[name], value), name
    for file in ("reid.safetensors", "metrics.jsonl"):
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_parts_of_a_batch_equal_ghost_batches_of_their_size(double, table, tmp_path):
    """Cross entropy is a mean over crops, and each part has its own batch statistics: the same gradient.

    The running statistics differ: they move once a part instead of once a step.
    """
    plain = small("softmax", steps=3, optimizer="sgd", lr=0.02)
    parts = train_reid(table, replace(plain, accumulate=2), out=tmp_path / "parts")
    ghost = train_reid(table, replace(plain, norm_batch=4), out=tmp_path / "ghost")
    whole = train_reid(table, plain, out=tmp_path / "whole")
    assert_near(parameters_of(parts), parameters_of(ghost), 1e-6)
    pairs = zip(parameters_of(whole).values(), parameters_of(ghost).values(), strict=True)
    apart = max((a - b).abs().max() for a, b in pairs)
    assert apart > 1e-3  # else nothing was tested


def test_a_frozen_backbone_stays_as_it_was(table, tmp_path):
    config = small("softmax", steps=3, frozen=1.0)
    model = train_reid(table, config, out=tmp_path)
    fresh = build_network(config, 5)
    fresh.initialise(device.generator("reid", "weights", 0))
    for name, value in fresh.backbone.state_dict().items():
        assert torch.equal(model.network.backbone.state_dict()[name], value), name
    assert not torch.equal(model.network.classifier.weight, fresh.classifier.weight)


def test_weights_of_losses_count(double, table, tmp_path):
    """Twice the weight with half the learning rate, under plain SGD without decay, is the same training."""
    plain = small("softmax", steps=4, optimizer="sgd", weight_decay=0.0, lr=0.02)
    one = train_reid(table, plain, out=tmp_path / "one")
    two = train_reid(table, replace(plain, losses=("cross-entropy:2",), lr=0.01), out=tmp_path / "two")
    assert_near(parameters_of(one), parameters_of(two), 1e-6)
    records = [(tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1] for name in ("one", "two")]
    losses = [json.loads(record)["train_loss"] for record in records]
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-6)


PROGRAM = """
import sys
from reidgen.config import AugmentConfig, ReidConfig
from reidgen.data.table import ReidTable
from reidgen.engine.devices import device
from reidgen.models import resnet
from reidgen.reid.train import train_reid

resnet.WIDTHS = (8, 8, 8, 8)
if __name__ == "__main__":
    table = ReidTable.from_rows({rows!r}, root={root!r}, name="made")
    config = {config!r}
    device._PRECISIONS["float32"] = {compute!r}
    train_reid(table, config, out=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["softmax", "agw"])
def test_one_process_and_two_give_the_same(recipe, table, tmp_path):
    """Gloo on the CPU, with ghost batches of half of what one process holds; losses between crops see all crops.

    In a program of their own, as processes start from the module that is run.
    """
    config = small(recipe, steps=3, norm_batch=4, frozen=0.4, optimizer="sgd", lr=0.01, checkpoint_sec=0)
    config = replace(config, validation="first")
    rows, root = table.rows.drop("root").to_dicts(), str(table.rows["root"][0])
    found = {}
    for devices in (1, 2):
        one = dataclasses.replace(config, devices=devices)
        script = tmp_path / f"train{devices}.py"
        script.write_text(PROGRAM.format(rows=rows, root=root, config=one, compute="64-true"))
        done = subprocess.run([python(), script, tmp_path / str(devices)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[devices] = (tmp_path / str(devices) / "metrics.jsonl").read_text()
    records = [[json.loads(line) for line in found[devices].splitlines()] for devices in (1, 2)]
    assert records[0][-1]["train_loss"] == pytest.approx(records[1][-1]["train_loss"], rel=1e-6)
    assert records[0][-1]["val_loss"] == pytest.approx(records[1][-1]["val_loss"], rel=1e-5)
    from safetensors.torch import load_file

    one, two = (load_file(tmp_path / str(devices) / "reid.safetensors") for devices in (1, 2))
    assert_near(two, one, 1e-6)
    assert not (tmp_path / "2" / "checkpoint.safetensors").exists()


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_to_the_same_bytes(table, tmp_path):
    """SIGKILL hits the process that began the run; the others end by themselves and let the folder go."""
    config = small("bot", steps=6, norm_batch=4, devices=2, checkpoint_sec=0)
    rows, root = table.rows.drop("root").to_dicts(), str(table.rows["root"][0])
    (tmp_path / "train.py").write_text(PROGRAM.format(rows=rows, root=root, config=config, compute="32-true"))

    def start(name):
        return subprocess.Popen([python(), tmp_path / "train.py", tmp_path / name], stderr=subprocess.PIPE, text=True)

    killed, checkpoint = start("killed"), tmp_path / "killed" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()  # returns once all that hold the pipe are gone, so the other two too
    assert checkpoint.exists()
    for name in ("killed", "whole"):
        done = start(name)
        _, said = done.communicate()
        assert done.returncode == 0, said
    for file in ("reid.safetensors", "metrics.jsonl"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_an_evaluation_takes_the_recipes_way_unless_told(table, tmp_path):
    from reidgen.evaluate import evaluate_reid

    model = train_reid(table, small("softmax", steps=2), out=tmp_path / "run")
    rows = table.rows
    test = type(table).from_rows(
        [
            {**row, "split": "query" if i % 5 == 0 else "gallery", "camid": 1 + i % 5}
            for i, row in enumerate(rows.drop("root").to_dicts())
        ],
        root=str(rows["root"][0]),
        name="made",
    )
    asked = evaluate_reid(model, test, EvaluateConfig())
    assert (asked.config["metric"], asked.config["flip"]) == ("euclid", "none")
    assert asked.protocol.startswith("euclid distance, embedding of the crop")
    told = evaluate_reid(model, test, EvaluateConfig(metric="cosine", flip="sum"))
    assert told.protocol.startswith("cosine distance, sum of the embeddings")
    ide = train_reid(table, small("ide", steps=1), out=tmp_path / "ide")
    assert evaluate_reid(ide, test).protocol.startswith("cosine distance, sum of the embeddings")
