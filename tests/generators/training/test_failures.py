"""Trainings that cannot go on say what to change and lose nothing."""

import dataclasses
import json

import pytest
import torch
from PIL import Image

from reidgen.config import DCGANConfig
from reidgen.engine.checkpoint import load_state
from reidgen.errors import RunError, TrainingError, spelled
from reidgen.generators.training import failures
from reidgen.generators.training import style as training
from reidgen.generators.training.estimate import Estimate
from reidgen.generators.training.train import train_generator
from tests.factories import make_table

CPU = torch.device("cpu")
GIB = 2**30


def failing_at(step, error):
    """`advance` that raises at a step."""
    advance = training.StyleGANTraining.advance

    def until(self):
        if self.step == step:
            raise error
        advance(self)

    return until


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    ],
)
def test_memory_that_runs_out(tiny, crops, tmp_path, monkeypatch, error):
    config = dataclasses.replace(tiny, checkpoint_sec=0.0)
    with monkeypatch.context() as patch, pytest.raises(TrainingError) as caught:
        patch.setattr(training.StyleGANTraining, "advance", failing_at(13, error))
        train_generator(crops, config, out=tmp_path)
    assert "ran out of memory" in caught.value.what
    assert caught.value.got.startswith("batch=8, which needs more than")
    assert caught.value.allowed == f"the checkpoint in {tmp_path} is kept"
    assert "accumulate=2, which computes 4 images at a time" in caught.value.fix
    assert load_state(tmp_path / "checkpoint.safetensors")["training"]["step"] == 13
    if isinstance(error, MemoryError):
        gan = train_generator(crops, dataclasses.replace(config, accumulate=2), out=tmp_path)
        assert gan.training["kimg"] == 0.16
        records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert [record["step"] for record in records] == list(range(1, 21))
        assert json.loads((tmp_path / "run.json").read_text())["config"]["accumulate"] == 2
        with pytest.raises(RunError, match="accumulate: 2 -> 1"):  # a run that is done stays what it was
            train_generator(crops, config, out=tmp_path)


def test_another_runtime_error_is_not_called_memory(tiny, crops, tmp_path, monkeypatch):
    monkeypatch.setattr(training.StyleGANTraining, "advance", failing_at(2, RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match") as caught:
        train_generator(crops, tiny, out=tmp_path)
    assert not isinstance(caught.value, TrainingError)


def test_the_proposed_part_fits_and_divides_the_batch():
    cost = Estimate((1, 1), (1.0, 1.0), fixed_bytes=2 * GIB, image_bytes=GIB)
    assert failures.images_that_fit(32, 32, cost, 100 * GIB) == 16  # the estimate is too low here, so less than tried
    assert failures.images_that_fit(32, 32, cost, 11.2 * GIB) == 8  # 10 of them, and a tenth to spare
    assert failures.images_that_fit(12, 12, cost, 9 * GIB) == 6
    assert failures.images_that_fit(12, 12, cost, 8 * GIB) == 4
    assert failures.images_that_fit(32, 32, cost, 4 * GIB) is None
    assert failures.images_that_fit(2, 2, cost, 100 * GIB) is None


def test_what_is_proposed_where_nothing_fits(tiny):
    cost = Estimate((1, 1), (1.0, 1.0), fixed_bytes=2**60, image_bytes=GIB)
    _, fix = failures.out_of_memory(tiny, cost, CPU)
    assert spelled(fix) == "another out with a smaller channel_base or channel_max: not even two images fit"
    assert "width" in failures.out_of_memory(DCGANConfig(), None, CPU)[1]


def test_a_loss_that_is_no_number_never_gets_into_the_checkpoint(tiny, crops, tmp_path, monkeypatch):
    """The weight is spoilt between two snapshots, and a checkpoint is due at each step."""
    advance, saved = training.StyleGANTraining.advance, []

    def poisoned(self):
        file = tmp_path / "checkpoint.safetensors"
        saved.append(file.read_bytes() if file.exists() else b"")
        advance(self)
        if self.step == 13:
            with torch.no_grad():
                self.generator.mapping.w_avg.fill_(torch.nan)

    monkeypatch.setattr(training.StyleGANTraining, "advance", poisoned)
    with pytest.raises(TrainingError, match=r"not a number after 0\.104 kimg"):
        train_generator(crops, dataclasses.replace(tiny, checkpoint_sec=0.0), out=tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == saved[-1]
    state = load_state(tmp_path / "checkpoint.safetensors")["training"]
    assert state["step"] == 12
    tensors = [*state["generator"].values(), *state["average"].values(), *state["discriminator"].values()]
    assert all(tensor.isfinite().all() for tensor in tensors)


def test_what_to_lower_in_a_dcgan(tmp_path):
    error = failures.not_a_number(tmp_path, DCGANConfig(lr=0.0004), kimg=3)
    assert error.fix == "another out with lr=0.0002"


def test_what_is_far_from_usual_becomes_usual(tiny, tmp_path):
    usual = dataclasses.replace(tiny, gamma=None)
    wild = dataclasses.replace(tiny, lr_generator=1e30, lr_discriminator=0.001, gamma=usual.r1_gamma / 1000)
    assert failures.not_a_number(tmp_path, wild, kimg=3).fix == (
        f"another out with gamma={usual.r1_gamma:g} lr_generator=0.0025 lr_discriminator=0.0005"
    )
    assert failures.not_a_number(tmp_path, DCGANConfig(lr=1.0), kimg=3).fix == "another out with lr=0.0002"


def test_crops_of_mixed_sizes_and_modes_are_learned_from(tiny, tmp_path):
    table = make_table(list(range(1, 9)), root=tmp_path / "data", size=(16, 8))
    for path, mode, size in zip(table.paths, ("L", "RGB", "CMYK"), ((8, 16), (31, 40), (5, 90)), strict=False):
        Image.new(mode, size, 128).save(path)
    gan = train_generator(table, dataclasses.replace(tiny, kimg=0.008), out=tmp_path / "run")
    assert gan.training["images"] == 8
