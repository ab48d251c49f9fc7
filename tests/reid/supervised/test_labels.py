import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from reidgen.backbones.reid_model import load_reid
from reidgen.config import AugmentConfig, ReidConfig
from reidgen.engine import loop
from reidgen.errors import ConfigError, DataError, ReidgenError
from reidgen.losses.reid.cross_entropy import cross_entropy
from reidgen.reid.supervised import training
from reidgen.reid.supervised.labels import Labels
from reidgen.reid.supervised.people import People
from reidgen.reid.train import train_reid
from tests.factories import make_table

TINY = ReidConfig(
    backbone="resnet18",
    weights="random",
    size=(32, 16),
    bottleneck=8,
    batch=4,
    steps=6,
    validation="none",
    augment=AugmentConfig(pad=2),
    device="cpu",
)
POLICIES = ("table", "new", "lsr", "lsro", "mprl", "slsr", "extra", "pseudo", "none")
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Nine real crops of three people, six generated ones of two new people."""
    pids = [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 3
    return make_table(pids, root=tmp_path_factory.mktemp("crops"), origin=["real"] * 9 + ["generated"] * 6)


@pytest.fixture(scope="module")
def real_run(narrow, table, tmp_path_factory):
    """A network that has learned from the real crops alone."""
    out = tmp_path_factory.mktemp("real")
    train_reid(table.where([True] * 9 + [False] * 6), TINY, out=out)
    return out


def policy(label, real_run, **changes):
    options = {"generated_features": str(real_run), "generated_groups": 2} if label == "slsr" else {}
    return replace(TINY, generated_label=label, **options, **changes)


def tensors(out):
    return load_reid(out, device="cpu").network.state_dict()


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("label", POLICIES)
def test_each_policy_trains_and_says_so(label, table, real_run, tmp_path):
    config = policy(label, real_run, generated_weight=0.5, generated_ratio=(1, 1))
    model = train_reid(table, config, out=tmp_path)
    with_identity = label in ("table", "new", "lsr")
    assert model.pids == ([1, 2, 3, 4, 5] if with_identity else [1, 2, 3])
    assert model.network.classifier.out_features == len(model.pids) + (label == "extra")
    assert model.config == config
    summary = json.loads((tmp_path / "run.json").read_text())["summary"]
    expected = {"generated_label": label, "generated_weight": 0.5, "generated_ratio": [1, 1], "generated_images": 6}
    assert expected.items() <= summary.items()
    assert summary["epochs"] == 1.5  # nine real crops, two a step: four steps an epoch


@pytest.mark.parametrize(("label", "stop_after"), [("mprl", 2), ("slsr", 2), ("extra", 5)])
def test_a_stopped_training_ends_with_the_same_bytes(label, stop_after, table, real_run, tmp_path, monkeypatch):
    """Stopped within an epoch of three steps, before generated crops have any weight (step 4) and after."""
    config = policy(label, real_run, generated_from=0.6, generated_ratio=(3, 1), checkpoint_sec=0)
    steps, saved = 0, loop.save_checkpoint

    def stop(*arguments):
        nonlocal steps
        steps += 1
        saved(*arguments)
        if steps == stop_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train_reid(table, config, out=tmp_path / "stopped")
    for name in ("stopped", "whole"):
        train_reid(table, config, out=tmp_path / name)
    for file in ("reid.safetensors", "metrics.jsonl"):
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_without_generated_crops_no_policy_changes_a_bit(table, real_run, tmp_path):
    real = table.where([True] * 9 + [False] * 6)
    for label in ("same", "lsro", "none"):
        train_reid(real, replace(TINY, generated_label=label, generated_weight=0.3), out=tmp_path / label)
        assert same(tensors(tmp_path / label), tensors(real_run)), label
        assert (tmp_path / label / "metrics.jsonl").read_bytes() == (real_run / "metrics.jsonl").read_bytes()


def test_a_promise_that_is_kept_changes_nothing_and_a_policy_does(table, tmp_path):
    for label in ("table", "new", "lsr"):
        train_reid(table, replace(TINY, generated_label=label), out=tmp_path / label)
    assert same(tensors(tmp_path / "new"), tensors(tmp_path / "table"))
    assert not same(tensors(tmp_path / "lsr"), tensors(tmp_path / "table"))


def test_before_their_time_generated_crops_are_told_nothing(table, tmp_path):
    late = train_reid(table, replace(TINY, generated_label="lsro", generated_from=1.0), out=tmp_path / "late")
    none = train_reid(table, replace(TINY, generated_label="none"), out=tmp_path / "none")
    assert same(late.network.state_dict(), none.network.state_dict())


def test_the_loss_is_the_mean_over_the_batch_of_weighted_losses(table):
    people = People.of(table, replace(TINY, generated_weight=0.25))
    labels = Labels.of(people, replace(TINY, generated_weight=0.25, generated_from=0.5), CPU)
    rows, logits = torch.tensor([0, 4, 9, 14]), torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    each = [cross_entropy(logits[i : i + 1], labels.people[rows[i : i + 1]]).item() for i in range(4)]
    assert labels.loss(logits, rows, 0.5).item() == pytest.approx((each[0] + each[1] + (each[2] + each[3]) / 4) / 4)
    assert labels.loss(logits, rows, 0.49).item() == pytest.approx((each[0] + each[1]) / 4)


def test_the_error_counts_crops_with_a_person_alone(table, tmp_path):
    rows = []

    class Recorder(training.Sums):
        def add(self, loss, logits, labels):
            rows.append(labels.tolist())
            super().add(loss, logits, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Sums", Recorder)
        train_reid(table, replace(TINY, steps=3, generated_label="lsro"), out=tmp_path)
    named = sum(label >= 0 for batch in rows for label in batch)
    assert 0 < named < 12
    error = json.loads((tmp_path / "metrics.jsonl").read_text())["train_error"]
    assert error * named == pytest.approx(round(error * named))
    assert 0 <= error <= 1


def test_features_that_the_label_does_not_look_at_are_refused(table, tmp_path):
    config = replace(TINY, generated_label="lsro", generated_features="nowhere")
    with pytest.raises(ReidgenError, match=r"belong to generated_label='slsr'\.\n  got: label lsro with nowhere"):
        train_reid(table, config, out=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ReidgenError, match="nowhere"):
        train_reid(table, replace(config, generated_label="slsr"), out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generated_label": "slsr"},
            'generated_label "slsr" needs generated_features.\n  got: no features\n'
            "  allowed: the run folder of a train-reid\n"
            "  try: generated_label='slsr' generated_features='runs/reid-real'",
        ),
        (
            {"generated_ratio": (3, 1), "batch": 30},
            "batch cannot be parted by generated_ratio.\n  got: batch=30, ratio 3 1\n"
            "  allowed: a batch that is a multiple of 4\n  try: batch=32",
        ),
        (
            {"generated_ratio": (4, 0)},
            "generated_ratio needs both kinds.\n  got: 4 0\n  allowed: two numbers >= 1",
        ),
        ({"generated_ratio": (0, 0)}, "generated_ratio needs both kinds.\n  got: 0 0\n  allowed: two numbers >= 1"),
        ({"generated_ratio": (1, -1)}, "generated_ratio needs both kinds.\n  got: 1 -1\n  allowed: two numbers >= 1"),
        (
            {"generated_weight": -1.0},
            "generated_weight must not be negative.\n  got: -1.0\n  allowed: >= 0\n  try: generated_weight=0",
        ),
        ({"generated_from": 2.0}, "generated_from is a share.\n  got: 2.0\n  allowed: 0 to 1"),
    ],
)
def test_options_that_make_no_sense_are_told(changes, message):
    with pytest.raises(ReidgenError) as caught:
        replace(TINY, **changes)
    assert str(caught.value) == message


def test_a_table_without_generated_crops_cannot_fill_mixed_batches(table, tmp_path):
    with pytest.raises(DataError, match="9 real and 0 generated crops"):
        train_reid(table.where([True] * 9 + [False] * 6), replace(TINY, generated_ratio=(1, 1)), out=tmp_path)


def test_a_policy_that_does_not_fit_is_told_before_the_run_begins(table, tmp_path):
    with pytest.raises(ConfigError, match="does not fit"):
        train_reid(table, replace(TINY, generated_label="same"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_on_the_device_are_those_of_the_people(table):
    people = People.of(table, replace(TINY, generated_label="lsro"))
    labels = Labels.of(people, replace(TINY, generated_label="lsro"), CPU)
    assert np.array_equal(labels.people.numpy(), people.labels)
    assert labels.generated.tolist() == [False] * 9 + [True] * 6
