import copy
import json
import math
import subprocess
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from reidgen.backbones.reid_model import load_reid
from reidgen.config import UnsupervisedConfig
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import setup
from reidgen.errors import DataError, TrainingError
from reidgen.metrics.clusters.clustering import NOISE
from reidgen.reid.unsupervised import epoch as epoch_module
from reidgen.reid.unsupervised.cluster_training import UnsupervisedTraining
from reidgen.reid.unsupervised.crops import Crops
from reidgen.reid.unsupervised.train_unsupervised import train_unsupervised
from tests.factories import make_table, write_crop
from tests.forked import python
from tests.reid.unsupervised.conftest import TINY

CONTRAST = UnsupervisedConfig(
    recipe="cluster-contrast",
    **{
        name: getattr(TINY, name)
        for name in (
            *("backbone", "weights", "size", "epochs", "epoch_steps", "batch", "crops_per_cluster", "norm_batch"),
            *("k1", "k2", "eps", "min_samples", "augment", "device"),
        )
    },
)
KINDS = {
    "pplr": TINY,
    "contrast": CONTRAST,
    "fresh": replace(TINY, moments="fresh", cameras="none", smoothing="constant", keep="stable", accumulate=2),
    "plain": replace(TINY, parts=0, beta=1.0, smoothing="none", triplet_weight=0.0, cameras="sample"),
}


def records(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(table, tmp_path_factory):
    """Finished runs by kind."""
    outs = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, config in KINDS.items():
        train_unsupervised(table, config, out=outs[kind])
    return outs


def test_a_run_writes_weights_curves_and_facts(whole, table):
    lines = records(whole["pplr"])
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 2), (2, 4), (3, 6)]
    assert {"clusters", "outliers", "people", "purity", "nmi", "agreement", "train_loss"} <= set(lines[0])
    assert 0.5 < lines[0]["purity"] <= 1  # pictures of one person are nearly equal, whatever looks at them
    assert math.isfinite(lines[0]["train_loss"])
    summary = json.loads((whole["pplr"] / "run.json").read_text())["summary"]
    assert summary["images"] == 30
    assert summary["steps"] == 6
    assert summary["final_clusters"] >= 2
    assert not (whole["pplr"] / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_opens_wherever_a_network_does(whole, table, kind):
    model = load_reid(whole[kind], device="cpu")
    assert model.config.neck == "bnneck"
    assert model.pids == list(range(1, len(model.pids) + 1))
    embeddings = model.embed(table.query, flip="none")
    assert embeddings.shape == (2, 8)
    assert embeddings.isfinite().all()
    assert "test_mAP" not in records(whole[kind])[0]


def test_the_written_network_says_what_the_trained_one_says(table, tmp_path):
    training = UnsupervisedTraining(TINY, setup("cpu"), Crops.of(table, None, TINY))
    for _ in range(TINY.epochs * TINY.epoch_steps):
        training.advance()
    training.wrapped.eval()
    features = training._features(np.arange(30))
    found = train_unsupervised(table, TINY, out=tmp_path).embed(table.train, flip="none")
    torch.testing.assert_close(torch.nn.functional.normalize(found), features[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_stopped_anywhere_goes_on_with_the_same_bits(whole, table, kind):
    config = KINDS[kind]
    crops = Crops.of(table, None, config)
    one = UnsupervisedTraining(config, setup("cpu"), crops)
    for _ in range(6):
        one.advance()
        other = UnsupervisedTraining(config, setup("cpu"), crops)
        other.load(copy.deepcopy(one.state()))
        one = other
    weights, _ = one.chosen()
    left = load_file(whole[kind] / "reid.safetensors")
    assert weights.keys() == left.keys()
    assert all(weights[name].equal(left[name]) for name in left)


@pytest.mark.parametrize("kind", ["pplr", "contrast"])
def test_true_clusters_are_learned(table, kind, monkeypatch):
    """With people for clusters the loss falls within an epoch."""
    who = np.unique(table.train.pids, return_inverse=True)[1].astype(np.int64)
    monkeypatch.setattr(epoch_module, "find_clusters", lambda *_: who)
    config = replace(KINDS[kind], epochs=1, epoch_steps=60, norm_batch=8, cameras="none", lr=0.003, decay_at=(1.0,))
    training = UnsupervisedTraining(config, setup("cpu"), Crops.of(table, None, config))
    sums = []
    for _ in range(60):
        training.advance()
        sums.append(training.loss.item())
    assert sums[59] - sums[39] < 0.9 * sums[19]


def test_no_weight_depends_on_a_label(whole, table, tmp_path):
    train = pl.col("split") == "train"
    rng = np.random.default_rng(3)
    pids = rng.permutation(np.arange(len(table)) % 4 - 1)
    strange = ReidTable(table.rows.with_columns(pid=pl.when(train).then(pl.Series(pids)).otherwise(pl.col("pid"))))
    train_unsupervised(strange, TINY, out=tmp_path)
    left, right = (load_file(out / "reid.safetensors") for out in (whole["pplr"], tmp_path))
    assert all(left[name].equal(right[name]) for name in left)
    assert records(tmp_path)[0]["purity"] != records(whole["pplr"])[0]["purity"]


def test_a_look_at_the_test_crops_changes_nothing(whole, table, tmp_path):
    config = replace(TINY, test_every=2)
    train_unsupervised(table, config, out=tmp_path)
    assert ["test_mAP" in line for line in records(tmp_path)] == [False, True, False]
    left, right = (load_file(out / "reid.safetensors") for out in (whole["pplr"], tmp_path))
    assert all(left[name].equal(right[name]) for name in left)
    with pytest.raises(DataError, match="no query or no gallery"):
        train_unsupervised(table.train, config, out=tmp_path / "none")


def test_generated_crops_take_their_parents_cluster_or_join(table, tmp_path):
    parents = table.train.rows["file_name"].to_list()[:6]
    views = make_table(
        *([9] * 6, [3] * 6),
        root=tmp_path / "views",
        origin=["generated"] * 6,
        parent=parents,
        operation=["view 90"] * 3 + ["view 180"] * 3,
    )
    for path in views.paths:
        write_crop(path, seed=77)  # nothing like its parent
    config = replace(TINY, generated_use=("view 90:parent:0-", "view 180:cluster:1-"))
    training = UnsupervisedTraining(config, setup("cpu"), Crops.of(table, views, config))
    training.renew()
    labels = training.epoch.labels
    assert (labels[30:33] == labels[:3]).all()
    assert (labels[33:] == NOISE).all()
    training.step = config.epoch_steps
    training.renew()
    assert training.epoch.agreement[33:].any()
    assert len(training.network.state_dict())
    train_unsupervised(table, config, generated=views, out=tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "run.json").read_text())["summary"]
    assert summary["generated_images"] == 6


def test_crops_without_clusters_are_an_error_that_says_what_other_radii_give(table, tmp_path):
    with pytest.raises(DataError, match=r"(?s)all crops are outliers.*eps 0\.5: \d clusters, \d+ outliers"):
        train_unsupervised(table, replace(TINY, eps=1e-6, min_samples=7), out=tmp_path / "a")
    with pytest.raises(DataError, match="one cluster, and 0 outliers"):
        train_unsupervised(table, replace(TINY, eps=0.99, k1=30, min_samples=2), out=tmp_path / "b")
    with pytest.raises(DataError, match="not enough features"):
        train_unsupervised(table, replace(TINY, k1=31), out=tmp_path / "c")


def test_a_training_that_collapses_says_so_and_keeps_the_weights_before(table, tmp_path, monkeypatch, capsys):
    calls, whole = [], epoch_module.find_clusters

    def later(features, config, near):
        calls.append(len(features))
        return whole(features, config, near) if len(calls) < 3 else np.zeros(len(features), np.int64)

    monkeypatch.setattr(epoch_module, "find_clusters", later)
    model = train_unsupervised(table, TINY, out=tmp_path / "late")
    summary = json.loads((tmp_path / "late" / "run.json").read_text())["summary"]
    assert summary["collapsed"].startswith("after epoch 2: one cluster, and 0 outliers")
    assert summary["steps"] == 4
    assert "collapsed after epoch 2" in capsys.readouterr().err
    monkeypatch.undo()
    train_unsupervised(table, TINY, out=tmp_path / "late")
    assert "collapsed after epoch 2" in capsys.readouterr().err  # of a run that is done too
    before = UnsupervisedTraining(TINY, setup("cpu"), Crops.of(table, None, TINY))
    before.advance()
    before.advance()
    state = before.network.state_dict()
    assert model.network.state_dict()["norm.running_mean"].equal(state["norm.running_mean"])


def test_more_clusters_than_a_batch_and_fewer(table, tmp_path):
    train_unsupervised(table, replace(TINY, epochs=1, batch=4, norm_batch=4), out=tmp_path / "more")
    train_unsupervised(table, replace(TINY, epochs=1, batch=32, norm_batch=8), out=tmp_path / "fewer")
    assert records(tmp_path / "more")[0]["clusters"] > 2  # 4 / 2 fit into a batch
    assert records(tmp_path / "fewer")[0]["clusters"] < 16


def test_a_training_that_diverges_says_so(table, tmp_path):
    with pytest.raises(TrainingError, match="not a number"):
        train_unsupervised(table, replace(TINY, optimizer="sgd", lr=1e30), out=tmp_path)


PROGRAM = """
import sys
from reidgen.config import AugmentConfig, UnsupervisedConfig
from reidgen.data.table import ReidTable
from reidgen.engine.devices import device
from reidgen.models import resnet
from reidgen.reid.unsupervised.train_unsupervised import train_unsupervised

resnet.WIDTHS = (8, 8, 8, 8)
if __name__ == "__main__":
    table = ReidTable.from_rows({rows!r}, root={root!r}, name="made")
    device._PRECISIONS["float32"] = "64-true"
    train_unsupervised(table, {config!r}, out=sys.argv[1])
"""


@pytest.mark.slow
def test_one_process_and_two_give_the_same(table, tmp_path):
    """Gloo on the CPU; clusters are found by the first process and shared, features by both."""
    rows, root = table.rows.drop("root").to_dicts(), str(table.rows["root"][0])
    for devices in (1, 2):
        config = replace(TINY, devices=devices, epochs=2, optimizer="sgd", lr=0.01)
        script = tmp_path / f"train{devices}.py"
        script.write_text(PROGRAM.format(rows=rows, root=root, config=config))
        done = subprocess.run([python(), script, tmp_path / str(devices)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two = (records(tmp_path / str(devices)) for devices in (1, 2))
    assert one[-1]["clusters"] == two[-1]["clusters"]
    assert one[-1]["train_loss"] == pytest.approx(two[-1]["train_loss"], rel=1e-5)
    left, right = (load_file(tmp_path / str(devices) / "reid.safetensors") for devices in (1, 2))
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-5, atol=1e-5)
