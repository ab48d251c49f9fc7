import copy
import json
import subprocess
import time

import numpy as np
import pytest
import torch

import reidgen as rg
from reidgen.data.provenance import View, read_operation
from reidgen.engine.checkpoint import CHECKPOINT
from reidgen.engine.devices.device import setup
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, DataError, RunError, WeightsError
from reidgen.generators.views import views_training
from reidgen.generators.views.trained_rotator import load_rotator
from reidgen.generators.views.views_training import MEMORY, ROTATOR, RotatorTraining, ViewCrops
from reidgen.report.folders import Run
from tests.forked import python
from tests.generators.views.conftest import ANGLES, SIZE, tiny_config


def training(people, **changes):
    config = tiny_config(**changes)
    return RotatorTraining(config, setup("cpu"), ViewCrops.open(people, config, (0, *ANGLES)))


def flat(networks):
    return {name: value.clone() for name, value in networks.state_dict().items()}


@pytest.mark.parametrize("structure", ["mesh", "grey", "pose"])
@pytest.mark.parametrize("labels", ["people", "none"])
def test_every_network_moves_and_every_figure_is_a_number(people, structure, labels):
    one = training(people, structure=structure, labels=labels)
    before = flat(one.networks)
    for _ in range(2):
        one.advance()
    figures = one.figures()
    assert one.finite() and figures["step"] == 2
    assert all(np.isfinite(value) for value in figures.values())
    after = one.networks.state_dict()
    assert not {name for name in before if before[name].is_floating_point() and torch.equal(before[name], after[name])}
    assert not one.networks.training
    assert one.sheet().shape[1:] == (*SIZE, 3) and len(one.sheet()) % 8 == 0


def test_resume_to_the_bit(people):
    whole, first, second = (training(people) for _ in range(3))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        first.advance()
    second.load(copy.deepcopy(first.state()))
    for _ in range(2):
        second.advance()
    for name, value in whole.networks.state_dict().items():
        assert torch.equal(value, second.networks.state_dict()[name]), name
    assert whole.figures() == second.figures()


def test_an_identity_encoder_that_is_left_as_it_is(people):
    one = training(people, identity_lr=0.0)
    before = flat(one.rotator.identity.backbone)
    one.advance()
    assert all(torch.equal(before[name], value) for name, value in one.rotator.identity.backbone.state_dict().items())


def test_the_backbone_moves_by_its_share(people):
    steps = {}
    for share in (0.1, 1.0):
        one = training(people, identity_lr=share, decay=0.0, beta1=0.0)
        before = one.rotator.identity.backbone.conv1.weight.detach().clone()
        one.advance()
        steps[share] = (one.rotator.identity.backbone.conv1.weight.detach() - before).abs().mean().item()
    assert steps[0.1] == pytest.approx(steps[1.0] / 10, rel=0.02)  # Adam's first step does not know the gradient's size


def test_partners_are_other_crops_of_the_same_person(people):
    one = training(people)
    rows = np.arange(len(people))
    for number in np.linspace(0, 0.999, 7):
        partners = one._partners(rows, np.full(len(rows), number))
        assert (people.pids[partners] == people.pids).all() and (partners != rows).all()
    seen = {int(one._partners(np.array([0]), np.array([number]))[0]) for number in np.linspace(0, 0.999, 20)}
    assert seen == set(np.flatnonzero(people.pids == people.pids[0]).tolist()) - {0}
    alone = people.take(np.unique(people.pids, return_index=True)[1])
    assert (training(alone)._partners(np.arange(6), np.full(6, 0.9)) == np.arange(6)).all()


def test_memory_begins_with_each_persons_mean_and_follows_crops(people):
    one = training(people)
    one.advance()
    memory = one.networks[MEMORY].vectors
    assert memory.shape == (6, 512) and torch.allclose(memory.norm(dim=1), torch.ones(6), atol=1e-5)
    assert training(people, labels="none").networks[MEMORY].vectors.shape == (24, 512)
    fresh = training(people)
    fresh._fill_memory()
    features = torch.nn.functional.normalize(fresh.identity.eval()(fresh.crops.images(np.arange(24)))[0], dim=1)
    means = torch.stack([features[people.pids == pid].mean(0) for pid in sorted(set(people.pids.tolist()))])
    cosines = (torch.nn.functional.normalize(means, dim=1) * fresh.networks[MEMORY].vectors).sum(1)
    assert cosines.detach() == pytest.approx(1, abs=1e-4)


def test_batches_are_mirrored_with_their_structures(people):
    one = training(people, batch=24)
    crops, own, turned, partners = one._batch(np.arange(24))
    plain = training(people, batch=24, mirror=False)._batch(np.arange(24))
    mirrored = [not torch.equal(a, b) for a, b in zip(crops, plain[0], strict=True)]
    assert 0 < sum(mirrored) < 24
    for after, before in zip((crops, own, turned, partners), plain, strict=True):
        for i, flipped in enumerate(mirrored):
            assert torch.equal(after[i], before[i].flip(2) if flipped else before[i])


@pytest.mark.slow
def test_a_person_is_made_of_itself(people):
    one = training(people, lr=2e-3, decay=0.0, width=8)
    figures = []
    for _ in range(16):
        one.advance()
        figures.append(one.figures()["reconstruction"])
    assert np.mean(figures[-4:]) < 0.9 * np.mean(figures[:4])


def test_a_run_writes_weights_sheets_and_facts(people, tmp_path):
    made = rg.train_rotator(people, tiny_config(), out=tmp_path / "run")
    assert made.config == tiny_config() and made.training["people"] == 6 and made.training["images"] == 24
    assert {"turned-00000002.png", "turned-00000004.png"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    assert Run.read(tmp_path / "run").kind == "train-rotator"  # a report lists it
    assert rg.train_rotator(people, tiny_config(), out=tmp_path / "run").hash == made.hash
    with pytest.raises(RunError, match="another run"):
        rg.train_rotator(people, tiny_config(seed=1), out=tmp_path / "run")


def test_a_run_that_was_cut_off_ends_with_the_same_weights(people, tmp_path, monkeypatch):
    whole = rg.train_rotator(people, tiny_config(), out=tmp_path / "whole")
    play, done = RotatorTraining.play, []

    def cut(self):
        done.append(self.step)
        if len(done) == 3:
            raise KeyboardInterrupt
        return play(self)

    monkeypatch.setattr(views_training.RotatorTraining, "play", cut)
    with pytest.raises(KeyboardInterrupt):
        rg.train_rotator(people, tiny_config(checkpoint_sec=0), out=tmp_path / "cut")
    again = rg.train_rotator(people, tiny_config(checkpoint_sec=0), out=tmp_path / "cut")
    assert done == [0, 1, 2, 2, 3]
    pairs = zip(whole.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.slow
def test_one_process_finishes_what_two_began(people, tmp_path):
    """Other crops differ by a tenth and more in this figure.

    Rounding may be seen too: a network without training makes crops that are nearly alike, and normalisation over two
    of them enlarges what is not.
    """
    small = [
        "--size", "32", "16", "--width", "4", "--code", "8", "--steps", "4", "--batch", "4", "--angles", "90", "180",
        "--backbone", "resnet18", "--weights", "random", "--norm-batch", "2", "--device", "cpu",
        "--snapshot-steps", "2", "--checkpoint-sec", "0",
    ]  # fmt: skip
    command = [python(), "-m", "reidgen", "train-rotator", "--data", people.paths[0].parents[1], *small]
    begun = [*command, "--devices", "2", "--out", tmp_path / "begun"]
    killed = subprocess.Popen(begun, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "begun" / CHECKPOINT).exists():
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()  # returns once all that hold the pipe are gone
    records = {}
    for name in ("begun", "whole"):
        subprocess.run([*command, "--out", tmp_path / name], check=True, capture_output=True)
        records[name] = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
    assert read_run(tmp_path / "begun")["cost"]["starts"] == 2
    assert [record["step"] for record in records["begun"]] == [1, 2, 3, 4]
    for one, two in zip(records["begun"], records["whole"], strict=True):
        assert one["reconstruction"] == pytest.approx(two["reconstruction"], rel=0.04)


def test_bad_tables_are_told_before_training(people, tmp_path):
    for table, message in (
        (people.take(range(3)), "too few crops for one batch"),
        (rg.ReidTable(people.rows.drop("mesh_90")), "has no mesh_90"),
    ):
        with pytest.raises(DataError, match=message):
            rg.train_rotator(table, tiny_config(), out=tmp_path / "run")
    with pytest.raises(WeightsError, match="no weight file"):
        rg.train_rotator(people, tiny_config(weights="nowhere.safetensors"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": (30, 16)}, "size"),
        ({"angles": (0, 90)}, "angles"),
        ({"angles": ()}, "angles"),
        ({"backbone": "timm:convnext_atto"}, "ResNets"),
        ({"batch": 1}, "batch"),
        ({"momentum": 1.1}, "momentum"),
        ({"cycle_weight": -1.0}, "cycle_weight"),
        ({"gan_weight": 0.0}, "gan_weight"),
    ],
)
def test_options_out_of_range(changed, message):
    with pytest.raises(ConfigError, match=message):
        tiny_config(**changed)


def test_other_files_are_no_rotators(people, tmp_path):
    with pytest.raises(WeightsError, match="There is no"):
        load_rotator(tmp_path)
    made = rg.train_rotator(people, tiny_config(steps=1), out=tmp_path / "run")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(made.path.read_bytes()[:-100])
    with pytest.raises(WeightsError):
        load_rotator(damaged)


def test_operations_with_another_word_are_no_views():
    one = View(270, "pose", "0" * 16, "f" * 16, 95, "bounding_box_train/a b=c.jpg")
    assert read_operation(str(one)) == one
    for wrong in (f"{one} more", str(one).replace("view", "views"), str(one).replace("angle=270", "angle=x")):
        with pytest.raises(DataError):
            read_operation(wrong)


def test_network_names_do_not_change(people):
    assert set(training(people).networks) == {ROTATOR, "discriminator", MEMORY}
