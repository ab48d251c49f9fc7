"""Trainings of networks that are not ours: they draw random numbers, and have parts that no loss hears of."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reidgen.config import ReidConfig
from reidgen.engine import loop
from reidgen.reid.train import train_reid
from tests.factories import make_table, write_crop
from tests.forked import python
from tests.reid import timm_stand_in

CONFIG = ReidConfig(
    recipe="softmax",
    backbone="timm:peculiar",
    weights="random",
    size=(32, 16),
    batch=8,
    norm_batch=4,
    steps=8,
    checkpoint_sec=0,
    device="cpu",
)
FILES = ("reid.safetensors", "metrics.jsonl")
PROGRAM = """
import sys

sys.path.insert(0, {tests!r})
from tests.reid import timm_stand_in

timm_stand_in.install()
from reidgen.config import AugmentConfig, ReidConfig
from reidgen.data.table import ReidTable
from reidgen.models import resnet
from reidgen.reid.train import train_reid

resnet.WIDTHS = (8, 8, 8, 8)
if __name__ == "__main__":
    table = ReidTable.from_rows({rows!r}, root={root!r}, name="made")
    train_reid(table, {config!r}, out=sys.argv[1])
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    pids = [pid for pid in range(1, 6) for _ in range(5)]
    made = make_table(pids, root=tmp_path_factory.mktemp("crops"))
    for i, (path, pid) in enumerate(zip(made.paths, pids, strict=True)):
        write_crop(path, seed=pid, quality=60 + 5 * (i % 5))
    return made


@pytest.fixture
def package(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", timm_stand_in.PACKAGE)


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def test_random_layers_draw_from_the_seed_whatever_torchs_state(package, table, tmp_path, monkeypatch):
    """Twice the same command, once in pieces: the same bytes; and what the layers draw counts."""
    torch.manual_seed(1)
    train_reid(table, CONFIG, out=tmp_path / "whole")
    torch.manual_seed(2)
    train_reid(table, CONFIG, out=tmp_path / "again")
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
            train_reid(table, CONFIG, out=tmp_path / "stopped")
    train_reid(table, CONFIG, out=tmp_path / "stopped")
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)
        train_reid(table, CONFIG, out=tmp_path / "still")
    assert bytes_of(tmp_path / "still") != bytes_of(tmp_path / "whole")


def test_each_step_and_each_part_draws_anew(package, table, tmp_path, monkeypatch):
    drawn, forward = [], torch.nn.Dropout.forward

    def noted(self, x):
        out = forward(self, x)
        if self.training:
            drawn.append((out == 0).flatten().tolist())
        return out

    monkeypatch.setattr(torch.nn.Dropout, "forward", noted)
    monkeypatch.setattr(timm_stand_in.NormDropAct, "forward", lambda self, x: torch.ones_like(x))
    train_reid(table, replace(CONFIG, norm_batch=None, accumulate=2, steps=3), out=tmp_path)
    masks = drawn[-6:]  # before them the network was tried once
    assert len({tuple(mask) for mask in masks}) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": "resnet18", "losses": ("triplet",), "sampler": "people", "crops_per_person": 2, "neck": "bnneck"},
    ],
    ids=["a head that nobody calls", "a classifier that no loss looks at"],
)
def test_several_processes_train_what_has_parts_without_gradient(changes, table, tmp_path):
    config = replace(CONFIG, steps=3, **changes)
    for devices in (1, 2):
        script = tmp_path / f"train{devices}.py"
        script.write_text(
            PROGRAM.format(
                tests=str(Path(__file__).parents[2]),
                rows=table.rows.drop("root").to_dicts(),
                root=str(table.rows["root"][0]),
                config=replace(config, devices=devices),
            )
        )
        done = subprocess.run([python(), script, tmp_path / str(devices)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    ends = [json.loads((tmp_path / str(n) / "metrics.jsonl").read_text().splitlines()[-1]) for n in (1, 2)]
    if "losses" in changes:  # nothing random: what one process does, two do
        assert ends[0]["train_loss"] == pytest.approx(ends[1]["train_loss"], rel=1e-4)
    else:
        assert ends[1]["step"] == 3
