"""Trainings that several processes share compute what one process does, on one machine and on two pretended ones."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reidgen.engine.devices.device import setup
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError
from tests.factories import make_table
from tests.forked import python
from tests.generators.views.conftest import write_views

PROGRAM = Path(__file__).with_name("shared_trainings.py")
KINDS = ("path", "pairs", "dcgan", "encoder", "paired", "cycle", "domains", "turned", "grey")


def started(folder, world, nodes, **variables):
    command = [python(), PROGRAM, folder, str(world), str(nodes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One process; two that it starts; two that torchrun's variables start, each on a machine of its own."""
    folder = tmp_path_factory.mktemp("shared")
    table = make_table([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], splits=["train"] * 10, root=folder / "made")
    table.write(folder / "crops")
    (folder / "views").mkdir()
    write_views(folder / "views")
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29471", "TORCHELASTIC_RUN_ID": "made", "LOCAL_RANK": "0"}
    waves = [[started(folder, 1, 1)], [started(folder, 2, 1)]]
    for wave in waves:
        for process in wave:
            _, told = process.communicate(timeout=300)
            assert process.returncode == 0, told
    pair = [
        started(folder, 2, 2, **address, RANK=rank, GROUP_RANK=rank, WORLD_SIZE="2", LOCAL_WORLD_SIZE="1")
        for rank in ("0", "1")
    ]
    for process in pair:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_compute_what_one_does(folder, kind):
    """In float64 sums in another order differ by 1e-16 of their parts; four steps of Adam leave far less than 1e-9.

    The parts of a sum that is nearly 0 are as large as the largest value beside it.
    """
    one = load_file(folder / f"{kind}-1-1.safetensors")
    for shared in ("2-1", "2-2"):
        two = load_file(folder / f"{kind}-{shared}.safetensors")
        assert one.keys() == two.keys()
        for name, value in one.items():
            atol = 1e-9 * max(1.0, value.abs().max().item())
            torch.testing.assert_close(two[name], value, rtol=1e-8, atol=atol, msg=f"{shared}: {name}")
    assert any(name.startswith("state/") for name in one)


@pytest.mark.slow
def test_what_the_steps_did_is_looked_at(folder):
    """A comparison of things that do not move would pass."""
    path, pairs = (load_file(folder / f"{kind}-1-1.safetensors") for kind in ("path", "pairs"))
    paired, cycle, domains = (load_file(folder / f"{kind}-1-1.safetensors") for kind in ("paired", "cycle", "domains"))
    assert paired["figure/foreground"] > 0
    assert paired["state/networks/generator.ups.0.2.running_var"].std() > 0
    assert cycle["figure/similarity"] > 0
    assert cycle["state/histories/0/kept"].std() > 0
    assert domains["figure/class_fake"] > 0
    turned = load_file(folder / "turned-1-1.safetensors")
    assert turned["figure/codes"] > 0 and turned["figure/contrast"] > 0
    assert turned["state/networks/memory.vectors"].std() > 0
    assert path["figure/path"] > 0
    assert path["figure/r1"] > 0
    assert pairs["figure/r2"] > 0
    assert path["figure/ada_p"] > 0 or pairs["figure/ada_p"] > 0
    magnitudes = [value for name, value in pairs.items() if name.endswith("magnitude_ema")]
    assert magnitudes
    assert all(value != 1 for value in magnitudes)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "processes"), [("1-1", 1), ("2-1", 2), ("2-2", 2)])
def test_one_process_begins_and_finishes_the_run(folder, name, processes):
    assert read_run(folder / f"run-{name}")["summary"] == {"processes": processes}


def test_several_machines_need_something_that_starts_the_processes():
    with pytest.raises(ConfigError, match=r"started by torchrun or SLURM\.\n  got: nodes=2, and neither"):
        setup("cpu", devices=1, nodes=2)


def test_processes_that_were_started_are_those_that_were_asked_for(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "made", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"got: 4 processes; devices=2 nodes=1"):
        setup("cpu", devices=2)
