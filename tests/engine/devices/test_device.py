import copy
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from lightning_fabric.plugins.environments import LightningEnvironment

from reidgen.engine.devices import device
from reidgen.engine.devices.device import (
    average_buffers,
    derive_seed,
    gathered,
    generator,
    in_processes,
    seeded,
    setup,
    share_of,
)
from reidgen.errors import ConfigError, MissingExtraError, TrainingError
from tests.forked import python


def test_seeds_depend_on_every_part_and_on_nothing_else():
    assert derive_seed(0, "step", 1) == derive_seed(0, "step", 1)
    seeds = {derive_seed(*parts) for parts in [(0,), (1,), (0, 0), (0, "step", 1), (0, "step", 2), ("0", 0, 1)]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_known_seed_never_changes():
    # Crops name the seeds they were made from, so the rule may not change between versions.
    assert derive_seed(0, "person", 1) == 6784347104021006888


def test_generators_repeat():
    assert torch.equal(torch.randn(3, generator=generator(5, "z")), torch.randn(3, generator=generator(5, "z")))


def test_what_draws_from_torchs_own_state_follows_a_seed_and_leaves_the_state():
    torch.manual_seed(3)
    expected, drawn = torch.rand(2), []
    torch.manual_seed(3)
    for step in (0, 1, 0):
        with seeded(torch.device("cpu"), "layers", step):
            drawn.append(torch.rand(4).tolist())
    assert drawn[0] == drawn[2] != drawn[1]
    assert torch.equal(torch.rand(2), expected)


def test_float16_on_a_cpu_is_refused_as_it_would_be_bfloat16():
    with pytest.raises(ConfigError) as error:
        setup("cpu", "fp16")
    assert str(error.value) == (
        "precision='fp16' is for GPUs.\n  got: fp16 on a CPU\n  allowed: float32, bf16\n  try: precision='bf16'"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_asking_for_a_missing_gpu_is_an_error():
    with pytest.raises(ConfigError) as error:
        setup("cuda")
    assert str(error.value) == (
        "device='cuda' was asked for, but no CUDA device is there.\n"
        "  got: cuda\n  allowed: auto, cpu\n  try: device='cpu'"
    )


def test_cpu_in_both_precisions():
    assert setup("cpu").device.type == "cpu"
    fabric = setup("cpu", "bf16")
    with fabric.autocast():
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16


def test_one_process_is_a_plain_call_with_all_rows():
    fabric = setup("cpu")
    network = torch.nn.BatchNorm1d(2)
    assert in_processes(fabric, lambda same, *rest: (same is fabric, rest), 1, "two") == (True, (1, "two"))
    rows = torch.ones(4, 2, requires_grad=True)
    assert gathered(fabric, rows) is rows
    assert share_of(fabric, 6) == slice(0, 6)
    average_buffers(fabric, network)
    assert network.running_var.eq(1).all()


def test_more_gpus_than_there_are_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"fewer GPUs than devices\.\n  got: 3\n  allowed: 1 to 2\n  try: devices=2"):
        setup("cuda", devices=3)


def test_users_errors_go_from_process_to_process():
    for error in (MissingExtraError("timm", extra="timm", purpose="It"), TrainingError("No.", got=1, fix="this")):
        again = copy.copy(error)  # by the same protocol as between processes
        assert type(again) is type(error) and str(again) == str(error)
        assert (again.what, again.got, again.allowed, again.fix) == (error.what, error.got, error.allowed, error.fix)


PROGRAM = """
import atexit, contextlib, pathlib, sys, torch
from reidgen.engine.devices.device import average_buffers, gathered, in_processes, setup, share_of
from reidgen.errors import DataError

def threads(when):
    names = []
    for file in pathlib.Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # the thread has just ended
            names.append(file.read_text())
    found = "threads of gloo" if any("gloo" in name for name in names) else "none of them"
    sys.stdout.write(f"{when}: {found}\\n")  # in one piece, beside the other process
    sys.stdout.flush()

def work(fabric, what):
    fabric.setup(torch.nn.Linear(1, 1))(torch.ones(2, 1)).sum().backward()
    threads("at work")
    atexit.register(threads, "at the end")
    if what == "refuse":
        raise DataError("Not these crops.", got=what)
    if what == "die" and fabric.global_rank == 1:
        raise ValueError("a fault of ours\\nand what it takes\\n3 4")
    rows = torch.arange(8.0)[share_of(fabric, 8)].clone().requires_grad_()
    whole = gathered(fabric, rows)
    (whole ** 2).mean().backward()
    norm = torch.nn.BatchNorm1d(2)
    norm.running_mean.fill_(float(fabric.global_rank))
    average_buffers(fabric, norm)
    return whole.tolist(), rows.grad.tolist(), norm.running_mean.tolist()

if __name__ == "__main__":
    print(in_processes(setup("cpu", devices=2), work, sys.argv[1]))
"""


@pytest.mark.slow
def test_two_processes_share_rows_and_errors(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(PROGRAM)

    def run(what, python):
        return subprocess.run([python, script, what], capture_output=True, text=True, check=False, timeout=300)

    def ended_in_order(printed):  # a thread that outlives Python aborts the process, now and then
        return all(printed.count(line) == 2 for line in ("at work: threads of gloo", "at the end: none of them"))

    done = run("work", sys.executable)
    assert done.returncode == 0, done.stderr
    assert ended_in_order(done.stdout)
    expected = ([float(i) for i in range(8)], [2 * i / 8 for i in range(4)], [0.5, 0.5])
    assert done.stdout.strip().splitlines()[-1] == str(expected)
    refused = run("refuse", python())
    assert ended_in_order(refused.stdout)
    assert refused.stderr.rstrip().endswith("reidgen.errors.DataError: Not these crops.\n  got: refuse")
    died = run("die", python()).stderr
    assert "reidgen.errors.TrainingError: One of the processes of the training died." in died
    assert "got: ValueError: a fault of ours\n" in died


def test_ctrl_c_leaves_no_process_behind(monkeypatch):
    """Python waits at its end for processes that wait for its end."""
    ended, theirs, ours = [], SimpleNamespace(), SimpleNamespace(kill=lambda: ended.append("ours"))
    there = [theirs]
    monkeypatch.setattr(device.multiprocessing, "active_children", lambda: list(there))

    def launch(*_):
        there.append(ours)
        raise KeyboardInterrupt

    fabric = SimpleNamespace(strategy=SimpleNamespace(launcher=True), world_size=2, launch=launch)
    with pytest.raises(KeyboardInterrupt):
        in_processes(fabric, print)
    assert ended == ["ours"]


def test_a_job_of_one_task_starts_its_own_processes(monkeypatch):
    """Fabric would take SLURM's word that there is one process."""
    for name in ("NTASKS", "NTASKS_PER_NODE"):
        monkeypatch.setenv(f"SLURM_{name}", "1")
    for name, value in {"PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_ID": "1", "JOB_NAME": "job"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert isinstance(setup("cpu", devices=2).strategy.cluster_environment, LightningEnvironment)
