"""A translator's run: what it writes, that it resumes to the byte, and what it refuses before it starts."""

import json
import subprocess
import time

import numpy as np
import polars as pl
import pytest
from PIL import Image

from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, RunError, TrainingError
from reidgen.generators.translation import train_translator as stage
from reidgen.generators.translation.adversaries import TranslatorTraining
from reidgen.generators.translation.train_translator import train_translator, train_translators
from reidgen.generators.translation.translator import FILE
from tests.forked import python
from tests.generators.translation.conftest import SIZE, made_crops, tiny_config, write_people


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("run.json", ".lock")}


@pytest.mark.parametrize("preset", ["pix2pix-mask", "background", "camstyle", "stargan", "paste"])
def test_a_run(preset, people, tmp_path):
    config = tiny_config(preset)
    translator = train_translator(people, config, out=tmp_path)
    sheets = [] if preset == "paste" else ["translated-00000004.png", "translated-00000008.png"]
    metrics = [] if preset == "paste" else ["metrics.jsonl"]
    assert sorted(bytes_of(tmp_path)) == sorted([*sheets, *metrics, FILE])
    assert translator.config == config
    assert translator.cameras == (1, 2)
    assert translator.training["images"] == 24
    assert translator.training["people"] == 6
    if sheets:
        with Image.open(tmp_path / sheets[1]) as picture:
            assert picture.height == 8 * SIZE[0]
        records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert [record["step"] for record in records] == list(range(1, 9))
    before = bytes_of(tmp_path)
    again = train_translator(people, config, out=tmp_path)
    assert again.hash == translator.hash
    assert bytes_of(tmp_path) == before
    with pytest.raises(RunError, match="another run"):
        train_translator(people, tiny_config(preset, seed=1), out=tmp_path)


@pytest.mark.parametrize("preset", ["background", "spgan"])
def test_resumed_to_the_byte(preset, people, tmp_path, monkeypatch):
    config = tiny_config(preset, checkpoint_sec=0)
    train_translator(people, config, out=tmp_path / "whole")
    real = TranslatorTraining.advance

    def stops(self):
        if self.step == 5:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(TranslatorTraining, "advance", stops)
    with pytest.raises(KeyboardInterrupt):
        train_translator(people, config, out=tmp_path / "cut")
    monkeypatch.undo()
    train_translator(people, config, out=tmp_path / "cut")
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_to_the_same_bytes(people, tmp_path):
    """Both keep histories of made crops, of which the first process writes the checkpoint."""
    options = [
        "--preset", "spgan", "--source", "1", "--target", "2", "--size", "32", "16", "--width", "4", "--blocks", "1",
        "--steps", "6", "--batch", "4",
    ]  # fmt: skip
    shared = ["--history", "6", "--devices", "2", "--device", "cpu", "--checkpoint-sec", "0"]

    def start(name):
        command = [python(), "-m", "reidgen", "train-translator", "--data", people.paths[0].parents[1]]
        return subprocess.Popen(
            [*command, *options, *shared, "--out", tmp_path / name], stderr=subprocess.PIPE, text=True
        )

    killed, checkpoint = start("killed"), tmp_path / "killed" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()  # returns once all that hold the pipe are gone
    for name in ("killed", "whole"):
        done = start(name)
        _, told = done.communicate()
        assert done.returncode == 0, told
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_all_pairs_of_cameras(tmp_path):
    table = write_people(tmp_path / "people", cameras=(1, 2, 3))
    config = tiny_config("camstyle", source=None, target=None, steps=1)
    ones = train_translators(table, config, out=tmp_path / "all")
    assert [(one.config.source, one.config.target) for one in ones] == [(1, 2), (1, 3), (2, 3)]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["1-2", "1-3", "2-3"]
    with pytest.raises(ConfigError, match="camstyle and spgan"):
        train_translators(table, tiny_config("background"), out=tmp_path / "other")
    with pytest.raises(ConfigError, match="from one camera to another"):
        train_translator(table, config, out=tmp_path / "one")


def test_a_loss_that_is_no_number(people, tmp_path):
    with pytest.raises(TrainingError, match="not a number after"):
        train_translator(people, tiny_config("pix2pix", lr=1e30), out=tmp_path)


def test_memory_runs_out(people, tmp_path, monkeypatch):
    def fails(self):
        raise MemoryError

    monkeypatch.setattr(TranslatorTraining, "advance", fails)
    with pytest.raises(TrainingError, match="ran out of memory"):
        train_translator(people, tiny_config("pix2pix"), out=tmp_path)


@pytest.mark.parametrize(
    ("preset", "changes", "table", "told"),
    [
        ("camstyle", {"target": 9}, lambda t: t, "camera 9"),
        (
            "background",
            {},
            lambda t: t.where((pl.col("camid") == 1) | (pl.col("pid") < 5)),
            "too few crops of camera 2",
        ),
        ("pix2pix", {}, lambda t: t.where((pl.col("camid") == 1) | (pl.col("seq") == 3)), "too few crops of camera 2"),
        ("background", {}, lambda t: ReidTable(t.rows.drop("mask")), "no masks"),
        ("stargan", {}, lambda t: t.where((pl.col("camid") == 1) | (pl.col("pid") == 1)), "too few crops of camera 2"),
    ],
)
def test_what_it_refuses_before_it_starts(preset, changes, table, told, people, tmp_path):
    with pytest.raises(DataError, match=told):
        train_translator(table(people), tiny_config(preset, **changes), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pair_without_a_common_person(people, tmp_path):
    seq = pl.when(pl.col("camid") == 1).then(pl.col("seq")).otherwise(7).alias("seq")
    with pytest.raises(DataError, match="too few pairs") as caught:
        train_translator(ReidTable(people.rows.with_columns(seq)), tiny_config("pix2pix"), out=tmp_path)
    assert "background" in str(caught.value), "which needs no pairs"


@pytest.mark.parametrize(("pixels", "told"), [(np.zeros(SIZE), "shows nobody"), (np.ones((16, 8)), "another size")])
def test_masks_that_are_wrong_are_told_before_a_step(pixels, told, tmp_path, monkeypatch):
    table = write_people(tmp_path / "people")
    Image.fromarray((255 * pixels).astype(np.uint8)).save(tmp_path / "people" / table.rows["mask"][3])
    monkeypatch.setattr(TranslatorTraining, "__init__", None)
    for preset in ("background", "paste"):
        with pytest.raises(DataError, match=told):
            train_translator(table, tiny_config(preset), out=tmp_path / preset)
        assert not (tmp_path / preset / FILE).exists()


def test_a_crop_that_cannot_be_read_is_told_before_a_step(tmp_path, monkeypatch):
    table = write_people(tmp_path / "people")
    table.paths[5].write_bytes(b"no picture")
    monkeypatch.setattr(TranslatorTraining, "__init__", None)
    with pytest.raises(DataError, match=f"{table.paths[5].name} is not a readable image"):
        train_translator(table, tiny_config("camstyle"), out=tmp_path / "out")


def test_crops_of_other_sizes_are_resized_and_told(people, tmp_path, capsys):
    translator = train_translator(people, tiny_config("pix2pix-mask", size=(32, 32), steps=1), out=tmp_path)
    told = "24 of 24 crops have another size than 32x32, such as 32x16: they are resized, and their masks."
    assert told in capsys.readouterr().err
    assert translator.config.size == (32, 32)
    with Image.open(tmp_path / "translated-00000001.png") as picture:
        assert picture.size == (4 * 32, 8 * 32)


def test_test_people_are_not_shown(people, tmp_path):
    split = pl.when(pl.col("pid") == 1).then(pl.lit("gallery")).otherwise(pl.lit("train")).alias("split")
    table = ReidTable(people.rows.with_columns(split))
    assert set(stage.learned_from(table, tiny_config("pix2pix")).pids) == {2, 3, 4, 5, 6}
    assert set(stage.learned_from(table, tiny_config("pix2pix", split="all")).pids) == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(("kind", "count"), [("mean", 1), ("random", 5), ("inpainted", 5)])
def test_paste_keeps_backgrounds_of_the_target(kind, count):
    crops = made_crops()
    network = stage.make_paste(tiny_config("paste", backgrounds=kind, kept=5), crops)
    assert network.backgrounds.shape == (count, 3, *SIZE)
    there = crops.pixels(np.flatnonzero(crops.table.camids == 2))[:, 0, 0].astype(
        int
    )  # a corner shows the target's place
    assert np.abs(network.backgrounds.float().mean(dim=(2, 3)).numpy() - there.mean(axis=0)).max() < 12
