import json
import signal
from dataclasses import replace

import polars as pl
import pytest
import torch

from reidgen.backbones.reid_model import load_reid
from reidgen.config import AugmentConfig, ReidConfig
from reidgen.engine import loop
from reidgen.engine.devices import bfloat16
from reidgen.errors import DataError, ReidgenError, RunError, TrainingError, WeightsError
from reidgen.reid import train
from reidgen.reid.supervised import training
from reidgen.reid.train import train_reid
from tests.factories import make_table, write_crop
from tests.forked import run_forked

TINY = ReidConfig(
    backbone="resnet18",
    weights="random",
    size=(32, 16),
    bottleneck=8,
    batch=4,
    epochs=2,
    augment=AugmentConfig(pad=2),
    device="cpu",
)
pytestmark = pytest.mark.usefixtures("narrow")
FILES = ("reid.safetensors", "metrics.jsonl")


def people(root, persons=3, crops=5, **columns):
    """Crops of one person are one picture in slightly different light: something that can be learned."""
    pids = [pid for pid in range(1, persons + 1) for _ in range(crops)]
    table = make_table(pids, root=root, **columns)
    for i, (path, pid) in enumerate(zip(table.paths, pids, strict=True)):
        write_crop(path, seed=pid, quality=60 + 5 * (i % crops))
    return table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return people(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def whole(narrow, table, tmp_path_factory):
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("whole")
    train_reid(table, TINY, out=out)
    return out


def test_a_run_writes_weights_curves_and_facts(whole, table):
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [(r["epoch"], r["step"]) for r in records] == [(1, 3), (2, 6)]  # 15 crops, 3 held out, batch 4
    assert set(records[0]) == {"epoch", "step", "lr", "train_loss", "train_error", "val_loss", "val_error"}
    assert records[0]["train_loss"] == pytest.approx(1.0986, abs=0.2)  # log 3: nothing is known of three people yet
    assert all(0 <= r[key] <= 1 for r in records for key in ("train_error", "val_error"))
    model = load_reid(whole, device="cpu")
    assert model.config == TINY
    assert model.pids == [1, 2, 3]
    expected = {"steps": 6, "epochs": 2.0, "images": 12, "val_images": 3, "people": 3, "generated_share": 0.0}
    assert expected.items() <= model.facts.items()
    assert model.facts["table"] == table.hash()
    summary = json.loads((whole / "run.json").read_text())["summary"]
    assert model.facts.items() <= summary.items()
    assert summary["backbone"] == "The backbone starts from random weights."
    assert not (whole / "checkpoint.safetensors").exists()


def test_the_same_call_again_loads_the_finished_run(whole, table, monkeypatch):
    monkeypatch.setattr(train, "_train", lambda *_: pytest.fail("trained again"))
    before = {name: (whole / name).read_bytes() for name in FILES}
    assert train_reid(table, TINY, out=whole).facts["steps"] == 6
    assert {name: (whole / name).read_bytes() for name in FILES} == before


def test_another_config_in_the_same_folder_is_an_error(whole, table):
    with pytest.raises(RunError, match=r"holds another run\.\n  got: config\.lr: 0\.05 -> 0\.1"):
        train_reid(table, replace(TINY, lr=0.1), out=whole)


@pytest.mark.parametrize("stop_after", [1, 4])
def test_a_stopped_run_ends_with_the_bytes_of_one_that_was_not(whole, table, tmp_path, monkeypatch, stop_after):
    """Stopped after a checkpoint within an epoch, and after one in the second epoch; the step after it is lost."""
    steps, saved = 0, loop.save_checkpoint

    def stop(*arguments):
        nonlocal steps
        steps += 1
        if steps > stop_after:
            raise KeyboardInterrupt
        saved(*arguments)

    config = replace(TINY, checkpoint_sec=0)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train_reid(table, config, out=tmp_path)
    train_reid(table, config, out=tmp_path)
    assert (tmp_path / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    ours, theirs = (load_reid(folder, device="cpu").network.state_dict() for folder in (tmp_path, whole))
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


@pytest.mark.slow
def test_a_killed_process_ends_with_the_same_bytes(table, tmp_path):
    """Killed by SIGKILL right after its fourth checkpoint, in the second epoch, and gone on with in another process."""
    config = replace(TINY, epochs=3, checkpoint_sec=0)
    program = f"""
import os, signal, sys
from reidgen.config import AugmentConfig, ReidConfig
from reidgen.data.table import ReidTable
from reidgen.models import resnet
from reidgen.engine import loop
from reidgen.reid import train
resnet.WIDTHS = (8, 8, 8, 8)
table = ReidTable.from_rows({table.rows.drop("root").to_dicts()!r}, root={str(table.rows["root"][0])!r}, name="made")
saves, save = 4, loop.save_checkpoint
def kill(*arguments):
    global saves
    saves -= 1
    save(*arguments)
    if saves == 0:
        os.kill(os.getpid(), signal.SIGKILL)
loop.save_checkpoint = kill
train.train_reid(table, {config!r}, out={str(tmp_path / "killed")!r})
"""
    killed = run_forked(program)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "killed" / "checkpoint.safetensors").exists()
    for name in ("killed", "whole"):
        train_reid(table, config, out=tmp_path / name)
    for name in FILES:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_steps_fix_the_length_whatever_the_number_of_crops(table, tmp_path):
    train_reid(table, replace(TINY, steps=5, validation="none", epochs=60), out=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(r["epoch"], r["step"]) for r in records] == [(1, 3), (2, 5)]
    assert records[-1]["val_loss"] is None
    assert load_reid(tmp_path, device="cpu").facts["epochs"] == pytest.approx(5 / 3, abs=1e-3)


@pytest.mark.slow
def test_it_learns_people_that_can_be_told_apart(tmp_path):
    table = people(tmp_path / "crops", persons=6, crops=8)
    still = AugmentConfig(flip=0.0, pad=0)
    config = replace(TINY, steps=120, batch=14, backbone_lr=1.0, lr=0.02, dropout=0.0, augment=still)
    train_reid(table, config, out=tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert records[0]["train_error"] > 0.3
    assert records[-1]["train_error"] < 0.1
    assert records[-1]["val_error"] == 0


def test_a_loss_that_diverges_is_told(table, tmp_path):
    with pytest.raises(TrainingError) as caught:
        train_reid(table, replace(TINY, lr=1e30, backbone_lr=1.0), out=tmp_path)
    assert str(caught.value) == (
        "The training loss is not a number any more.\n"
        "  got: loss nan at step 3, lr 1e+30, precision float32\n"
        "  allowed: a finite loss\n"
        "  try: lr=1e+29, or warmup=0.1, or precision='float32'; in another out"
    )


@pytest.mark.parametrize(
    ("decay", "validation", "got"),
    [
        (0, "first", "The held-out loss is not a number any more.\n  got: loss nan"),
        (0, "none", "What the network computes is not a number any more.\n  got: embeddings"),
        (1e10, "none", "The network is not a number any more.\n  got: backbone.conv1.weight"),
    ],
)
def test_a_network_that_the_last_update_breaks_is_not_kept(table, tmp_path, decay, validation, got):
    """No loss of the training saw it."""
    config = replace(TINY, lr=1e30, backbone_lr=1.0, weight_decay=decay, steps=1, validation=validation)
    with pytest.raises(TrainingError) as caught:
        train_reid(table, config, out=tmp_path)
    assert str(caught.value).startswith(f"{got} at step 1, lr 1e+30, precision float32\n")
    assert not (tmp_path / "reid.safetensors").exists()


def test_no_checkpoint_is_written_after_the_last_step(table, tmp_path, monkeypatch):
    """It would cost what the weights cost and be removed at once."""
    saved = []
    monkeypatch.setattr(loop, "save_checkpoint", lambda run, state: saved.append(state["training"]["step"]))
    train_reid(table, replace(TINY, steps=3, checkpoint_sec=0), out=tmp_path)
    assert saved == [1, 2]
    assert json.loads((tmp_path / "run.json").read_text())["cost"]["sec_per_step"] > 0


def test_a_broken_network_takes_no_checkpoints_place(table, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "save_checkpoint", lambda *_: pytest.fail("kept"))
    with pytest.raises(TrainingError, match=r"The training loss is not a number any more\."):
        train_reid(table, replace(TINY, lr=3e38, backbone_lr=1.0, weight_decay=1e10, checkpoint_sec=0), out=tmp_path)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: you tried")]
)
def test_memory_that_runs_out_is_told(table, tmp_path, monkeypatch, error):
    def run_out(*_):
        raise error

    monkeypatch.setattr(training, "apply", run_out)
    with pytest.raises(TrainingError) as caught:
        train_reid(table, TINY, out=tmp_path)
    assert str(caught.value) == (
        f"The training in {tmp_path} ran out of memory.\n"
        "  got: batch=4 accumulate=1\n"
        "  allowed: there is no checkpoint yet\n"
        "  try: accumulate=2, batch=2, a smaller size, or precision='bf16' on a GPU; in another out"
    )


@pytest.mark.parametrize("kind", [RuntimeError, NotImplementedError, RecursionError])
def test_other_errors_of_torch_are_not_called_memory(table, tmp_path, monkeypatch, kind):
    def fail(*_):
        raise kind("shapes differ")

    monkeypatch.setattr(training, "apply", fail)
    with pytest.raises(kind, match="shapes differ"):
        train_reid(table, TINY, out=tmp_path)


def test_bad_crops_and_weights_are_found_before_a_run_begins(table, tmp_path):
    with pytest.raises(WeightsError, match=r"There is no weight file none\.safetensors"):
        train_reid(table, replace(TINY, weights="none.safetensors"), out=tmp_path / "run")
    with pytest.raises(DataError, match="too few people"):
        train_reid(table.query, TINY, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_crops_for_a_batch_are_told(table, tmp_path):
    with pytest.raises(DataError, match=r"too few crops for one batch\.\n  got: 12 crops, batch 64"):
        train_reid(table, replace(TINY, batch=64), out=tmp_path)
    train_reid(table, replace(TINY, steps=1), out=tmp_path)  # the mended command may take the same folder


def test_half_precision_trains_too(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bfloat16, "_agrees", lambda *convolution: False)
    monkeypatch.setattr(bfloat16, "_sound", {})
    train_reid(table, replace(TINY, precision="bf16"), out=tmp_path)
    assert capsys.readouterr().err.count("computes some convolutions wrongly") == 1
    assert len(json.loads((tmp_path / "run.json").read_text())["summary"]["kept_in_float32"]) > 9
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert records[0]["train_loss"] == pytest.approx(1.0986, abs=0.2)
    assert all(
        value.dtype != torch.bfloat16 for value in load_reid(tmp_path, device="cpu").network.state_dict().values()
    )


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("dropout", 1.0, "dropout is out of range.\n  got: 1.0\n  allowed: 0 <= dropout < 1"),
        ("label_smoothing", 2.0, "label_smoothing is a share.\n  got: 2.0\n  allowed: 0 to 1"),
        ("batch", 1, "batch is too small for batch normalisation.\n  got: 1\n  allowed: >= 2"),
        (
            "stride_in",
            "1x1",
            "The blocks of resnet18 have no 1x1 convolution that could carry the stride.\n"
            "  got: stride_in='1x1'\n  allowed: stride_in='3x3'\n  try: backbone='resnet50'",
        ),
    ],
)
def test_options_that_make_no_sense_are_told(option, value, message):
    with pytest.raises(ReidgenError) as caught:
        replace(TINY, **{option: value})
    assert str(caught.value) == message


def test_crops_of_nobody_are_told_before_a_training(table, tmp_path, monkeypatch, capsys):
    rows = pl.concat([table.rows, table.rows.head(1).with_columns(pid=pl.lit(0, pl.Int64))])

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        train_reid(replace(table, rows=rows), TINY, out=tmp_path)
    assert "train crops of nobody: 1 of pid 0 or -1" in capsys.readouterr().err
