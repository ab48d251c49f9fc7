import dataclasses
import json
import signal

import polars as pl
import pytest
import torch

from reidgen.config import StyleGANConfig
from reidgen.engine import RunFolder, loop
from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.errors import DataError, RunError, TrainingError, WeightsError
from reidgen.files import file_sha256
from reidgen.generators.trained import load_generator
from reidgen.generators.training import gan as gan_training
from reidgen.generators.training import style as training
from reidgen.generators.training.diagnosis import diagnose
from reidgen.generators.training.train import train_generator
from tests.factories import make_table
from tests.forked import run_forked

SAME = ("generator.safetensors", "metrics.jsonl", "fakes-000000.080.png", "snapshot-000000.160.safetensors")


def test_what_a_run_leaves(gan, tiny, crops):
    folder = gan.path.parent
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "done"
    assert run["summary"]["split"] == "train"
    assert run["summary"]["images"] == 40
    assert gan.training["table"] == crops.train.hash()
    assert gan.training["kimg"] == 0.16
    assert gan.config == tiny
    tensors, metadata = load_weights(gan.path)
    assert {name.split(".")[0] for name in tensors} == {"generator", "discriminator"}
    assert metadata["kind"] == "stylegan2"
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, 21))
    for figure in (
        "loss_g",
        "loss_d",
        "d_real",
        "d_fake",
        "r_t",
        "ada_p",
        "r1",
        "grad_norm_g",
        "grad_norm_d",
        "spread_fake",
        "spread_real",
        "blur",
        "warning",
    ):
        assert figure in records[-1]
    assert run["cost"]["sec_per_kimg"] > 0
    assert not list(folder.glob("*real*"))
    assert not (folder / "checkpoint.safetensors").exists()


def test_only_the_train_split_is_learned_from(tiny, crops, tmp_path):
    run = train_generator(crops, dataclasses.replace(tiny, split="all", kimg=0.016), out=tmp_path)
    assert run.training["split"] == "all"
    assert run.training["images"] == 48


def test_what_it_says_before_it_starts(tiny, crops, tmp_path, capsys):
    train_generator(crops, dataclasses.replace(tiny, kimg=0.008), out=tmp_path)
    cost, gamma = capsys.readouterr().err.splitlines()[-4:-2]
    assert (
        cost.startswith("generator: 0.0")
        and "GMAC an image" in cost
        and "GiB" in cost
        and cost.endswith("batch 8 need")
    )
    assert gamma.startswith("R1 weight: gamma=0.0032, 0.0002 * height * width / batch")


def test_the_same_call_again_returns_what_is_there(gan, tiny, crops, monkeypatch):
    monkeypatch.setattr(training.StyleGANTraining, "advance", lambda self: pytest.fail("trained again"))
    assert train_generator(crops, tiny, out=gan.path.parent).hash == gan.hash


def test_a_stopped_run_ends_with_the_same_bytes(gan, tiny, crops, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    monkeypatch.setattr(loop.time, "monotonic", iter(range(0, 10**6, 120)).__next__)  # a checkpoint each 3 steps
    advance = training.StyleGANTraining.advance
    for stop_at in (2, 7, 11, 19):

        def until(self, stop_at=stop_at):
            if self.step == stop_at:
                raise Stop
            advance(self)

        monkeypatch.setattr(training.StyleGANTraining, "advance", until)
        with pytest.raises(Stop):
            train_generator(crops, tiny, out=tmp_path)
    monkeypatch.setattr(training.StyleGANTraining, "advance", advance)
    train_generator(crops, tiny, out=tmp_path)
    for name in SAME:
        assert (tmp_path / name).read_bytes() == (gan.path.parent / name).read_bytes(), name


@pytest.fixture
def stopped_at(monkeypatch):
    """Trainings that end with an error at a step."""

    class Stop(Exception):
        pass

    def train_until(step, crops, config, folder):
        advance = training.StyleGANTraining.advance

        def until(self):
            if self.step == step:
                raise Stop
            advance(self)

        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(training.StyleGANTraining, "advance", until)
            train_generator(crops, dataclasses.replace(config, checkpoint_sec=0.0), out=folder)

    return train_until


def test_a_run_that_is_not_done_may_become_longer(gan, tiny, crops, tmp_path, stopped_at):
    stopped_at(11, crops, dataclasses.replace(tiny, kimg=0.12), tmp_path)
    with pytest.raises(RunError, match=r"kimg: 0\.12 -> 0\.096"):
        train_generator(crops, dataclasses.replace(tiny, kimg=0.096, checkpoint_sec=0.0), out=tmp_path)
    train_generator(crops, dataclasses.replace(tiny, checkpoint_sec=0.0), out=tmp_path)
    for name in ("metrics.jsonl", "fakes-000000.080.png", "fakes-000000.160.png"):
        assert (tmp_path / name).read_bytes() == (gan.path.parent / name).read_bytes(), name
    for name in ("generator.safetensors", "snapshot-000000.080.safetensors", "snapshot-000000.160.safetensors"):
        ours, theirs = load_weights(tmp_path / name)[0], load_weights(gan.path.parent / name)[0]
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name
    assert json.loads((tmp_path / "run.json").read_text())["config"]["kimg"] == 0.16


def test_a_run_of_the_larger_length_ends_with_the_same_bytes(tiny, crops, tmp_path, stopped_at):
    config = dataclasses.replace(tiny, kimg=0.24, checkpoint_sec=0.0)
    train_generator(crops, config, out=tmp_path / "whole")
    stopped_at(15, crops, tiny, tmp_path / "longer")
    train_generator(crops, config, out=tmp_path / "longer")
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {path.name for path in (tmp_path / "longer").iterdir()}
    for name in names - {"run.json", "snapshot-000000.080.safetensors"}:  # which names the length asked for until then
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_snapshots_of_a_run_that_becomes_longer_are_called_alike(tmp_path):
    before = StyleGANConfig(kimg=5.4, snapshot_kimg=5, batch=8)
    after = dataclasses.replace(before, kimg=20)
    for name in ("snapshot-000005.000.safetensors", "fakes-000005.000.png", "snapshot-000005.400.safetensors"):
        (tmp_path / name).write_text(name)
    gan_training.rename_snapshots(tmp_path, after)
    gan_training.rename_snapshots(tmp_path, after)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "snapshot-000005.safetensors": "snapshot-000005.000.safetensors",
        "fakes-000005.png": "fakes-000005.000.png",
        "snapshot-000005.400.safetensors": "snapshot-000005.400.safetensors",
    }
    gan_training.rename_snapshots(tmp_path, before)
    assert (tmp_path / "fakes-000005.000.png").exists()


def test_a_finished_run_that_shall_be_longer_is_told_to_transfer(gan, tiny, crops):
    folder = gan.path.parent
    with pytest.raises(RunError, match="is finished") as error:
        train_generator(crops, dataclasses.replace(tiny, kimg=0.24), out=folder)
    assert f"transfer={str(folder)!r} kimg=0.08" in error.value.fix
    with pytest.raises(RunError, match="holds another run"):
        train_generator(crops, dataclasses.replace(tiny, kimg=0.24, seed=5), out=folder)
    with pytest.raises(RunError, match="holds another run"):
        train_generator(crops, dataclasses.replace(tiny, kimg=0.08), out=folder)


TRAIN = """
import os, signal, sys, threading, time
from pathlib import Path
from reidgen.config import StyleGANConfig
from reidgen.data.table import ReidTable
from reidgen.generators.training.train import train_generator

def killed_after(records):
    metrics = Path(sys.argv[2]) / "metrics.jsonl"
    while not metrics.exists() or metrics.read_bytes().count(b"\\n") < records:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

if len(sys.argv) > 3:
    threading.Thread(target=killed_after, args=(int(sys.argv[3]),), daemon=True).start()
config = StyleGANConfig(size=(16, 8), z_dim=8, w_dim=8, channel_base=64, channel_max=8, batch=8, kimg=0.8,
                        snapshot_kimg=0.4, checkpoint_sec=0.05, path_weight=2, ada_target=0, ada_kimg=1, device="cpu")
train_generator(ReidTable.read(sys.argv[1]), config, out=sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_process_ends_with_the_same_bytes(crops, tmp_path):
    data, killed = tmp_path / "data", tmp_path / "killed"
    crops.write(data)
    assert run_forked(TRAIN, data, tmp_path / "whole").returncode == 0
    for records in (15, 40):
        assert run_forked(TRAIN, data, killed, records).returncode == -signal.SIGKILL
    assert json.loads((killed / "run.json").read_text())["status"] == "running"
    assert run_forked(TRAIN, data, killed).returncode == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir() if path.name != "run.json"}
    assert {"generator.safetensors", "metrics.jsonl", "fakes-000000.400.png", "fakes-000000.800.png"} <= whole.keys()
    assert {path.name: path.read_bytes() for path in killed.iterdir() if path.name != "run.json"} == whole


def test_another_config_in_the_same_folder(gan, tiny, crops):
    with pytest.raises(RunError, match=r"config\.gamma: None -> 0\.5"):
        train_generator(crops, dataclasses.replace(tiny, gamma=0.5), out=gan.path.parent)


def test_too_few_crops(tiny, crops, tmp_path):
    with pytest.raises(DataError) as error:
        train_generator(crops.gallery, tiny, out=tmp_path)
    assert error.value.got == "0 crops, batch 8"
    assert not (tmp_path / "run.json").exists()
    few = make_table([1, 2, 3], root=tmp_path, size=(16, 8))
    with pytest.raises(DataError) as error:
        train_generator(few, tiny, out=tmp_path / "run")
    assert error.value.fix == "batch=3"


def test_a_bad_crop_is_named_and_the_folder_can_be_used_again(tiny, tmp_path):
    table = make_table(list(range(1, 9)), root=tmp_path / "data", size=(16, 8))
    whole = table.paths[3].read_bytes()
    table.paths[3].write_bytes(whole[:200])
    with pytest.raises(DataError, match=table.paths[3].name):
        train_generator(table, tiny, out=tmp_path / "run")
    table.paths[3].write_bytes(whole)
    train_generator(table, dataclasses.replace(tiny, kimg=0.016), out=tmp_path / "run")


def test_crops_of_other_sizes_are_resized(tiny, tmp_path):
    table = make_table(list(range(1, 9)), root=tmp_path / "a", size=(40, 30))
    gan = train_generator(table, dataclasses.replace(tiny, kimg=0.016), out=tmp_path / "run")
    assert gan.sample([0]).shape == (1, 16, 8, 3)


@pytest.mark.parametrize(
    ("kimg", "snapshot_kimg", "batch", "steps", "names"),
    [
        (5000, 80, 16, (5000, 312500), ("000080", "005000")),
        (400, 40, 128, (312, 3125), ("000040", "000400")),  # 39.936
        (3, 1, 8, (125, 250, 375), ("000001", "000002", "000003")),
        (2, 0.5, 8, (62, 124, 250), ("000000.496", "000000.992", "000002.000")),
        (5.4, 5, 8, (625, 675), ("000005.000", "000005.400")),  # the last is not a thousand images from the one before
    ],
)
def test_snapshots_have_names_of_their_own_that_sort_by_time(kimg, snapshot_kimg, batch, steps, names):
    config = StyleGANConfig(kimg=kimg, snapshot_kimg=snapshot_kimg, batch=batch)
    assert tuple(gan_training.snapshot_name(step, config) for step in steps) == names
    every = range(
        gan_training.steps_of(snapshot_kimg, config),
        gan_training.total_steps(config),
        gan_training.steps_of(snapshot_kimg, config),
    )
    told = [gan_training.snapshot_name(step, config) for step in (*every, gan_training.total_steps(config))]
    assert told == sorted(set(told))


def test_divergence_keeps_the_last_snapshot_and_says_what_to_lower(tiny, crops, tmp_path, monkeypatch):
    advance = training.StyleGANTraining.advance

    def poisoned(self):
        advance(self)
        if self.step == 13:
            with torch.no_grad():
                self.generator.synthesis.const.fill_(torch.nan)

    monkeypatch.setattr(training.StyleGANTraining, "advance", poisoned)
    with pytest.raises(TrainingError) as error:
        train_generator(crops, tiny, out=tmp_path)
    assert "lr_generator=0.00125" in error.value.fix
    assert "snapshot-000000.080.safetensors" in error.value.allowed
    snapshot = load_generator(tmp_path / "snapshot-000000.080.safetensors", device="cpu")
    assert snapshot.training["kimg"] == 0.08
    assert all(torch.isfinite(value).all() for value in snapshot.network.state_dict().values())


def test_float16_halves_the_file(gan, tiny, crops, tmp_path):
    small = train_generator(crops, dataclasses.replace(tiny, save_dtype="float16"), out=tmp_path)
    assert small.path.stat().st_size < 0.75 * gan.path.stat().st_size
    difference = small.sample([1, 2]).astype(int) - gan.sample([1, 2]).astype(int)
    assert abs(difference).max() <= 3


def test_crops_that_a_filter_has_rejected_are_not_learned_from(tiny, crops, tmp_path):
    verdicts = ["ssim" if i % 2 else None for i in range(len(crops))]
    judged = dataclasses.replace(crops, rows=crops.rows.with_columns(rejected_by=pl.Series(verdicts)))
    gan = train_generator(judged, dataclasses.replace(tiny, kimg=0.008), out=tmp_path)
    assert gan.training["images"] == 20


def test_bfloat16_trains(tiny, crops, tmp_path):
    gan = train_generator(crops, dataclasses.replace(tiny, precision="bf16", kimg=0.04, path_weight=2.0), out=tmp_path)
    assert gan.network.synthesis.const.dtype == torch.float32


def test_opening_what_is_no_generator(tmp_path, gan):
    with pytest.raises(WeightsError, match=r"There is no .*generator\.safetensors"):
        load_generator(tmp_path)
    with RunFolder.begin(tmp_path / "other", stage="train-reid", config=gan.config) as run:
        with pytest.raises(RunError, match="is not finished"):
            load_generator(run.path)
        run.finish({})
    with pytest.raises(WeightsError, match=r"There is no .*generator\.safetensors") as error:
        load_generator(tmp_path / "other")
    assert error.value.got == "a run of train-reid"
    save_weights(tmp_path / "reid.safetensors", {"weight": torch.zeros(1)}, config={"kind": "reid"})
    with pytest.raises(WeightsError, match=r"reid\.safetensors holds no generator") as error:
        load_generator(tmp_path / "reid.safetensors")
    assert error.value.got == "kind reid"
    assert file_sha256(gan.path) == gan.hash


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, ""),
        ({"spread_fake": 0.01}, "collapse"),
        ({"spread_fake": 0.01, "kimg": 10}, ""),
        ({"ada_p": 0.9, "r_t": 0.85}, "overfitting"),
        ({"ada_p": 0.5, "r_t": 0.85}, ""),
        ({"d_real": 20.0, "d_fake": -20.0}, "discriminator ahead"),
    ],
)
def test_early_warnings(tiny, figures, expected):
    healthy = {
        "kimg": 100,
        "spread_fake": 0.2,
        "spread_real": 0.25,
        "r_t": 0.6,
        "ada_p": 0.2,
        "d_real": 0.5,
        "d_fake": -0.5,
    }
    assert diagnose({**healthy, **figures}, tiny) == expected
