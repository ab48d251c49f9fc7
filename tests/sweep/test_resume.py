"""A sweep whose workers and whose main process are killed ends with the bytes of one that was never disturbed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tests.forked import python
from tests.sweep.made import generated_table, real_table

TINY = ["--reid.backbone", "resnet18", "--reid.weights", "random", "--reid.size", "32", "16", "--reid.bottleneck", "8"]
SHORT = ["--reid.batch", "4", "--reid.steps", "4", "--reid.checkpoint-sec", "0", "--reid.device", "cpu"]
GRID = ["--axis", "people=0,3", "--seeds", "2", "--workers", "2", "--threads", "1"]


# a process of its own, whose workers are forked
MAIN = "import sys\nsys.executable = {!r}\nfrom reidgen.cli import main\nmain()"


def command(root, out):
    real, generated = str(root / "real"), str(root / "generated")
    tables = ["--real", real, "--generated", generated, "--out", str(out)]
    return [python(), "-m", "reidgen", "sweep", *tables, *TINY, *SHORT, *GRID]


def workers_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition):
    end_sec = time.monotonic() + 900
    while not condition():
        assert time.monotonic() < end_sec, "waited too long"
        time.sleep(0.01)


def content(out):
    """All bytes but those about time and machine."""
    kept = [p for p in sorted((out / "runs").rglob("*")) if p.is_file() and p.name not in ("run.json", "point.json")]
    points = pl.read_parquet(out / "points.parquet").drop("wall_sec", "peak_memory_gib")
    return {str(p.relative_to(out)): p.read_bytes() for p in kept}, points.rows()


@pytest.mark.slow
def test_killed_workers_and_a_killed_sweep(tmp_path):
    real_table(tmp_path / "real")
    generated_table(tmp_path / "generated")
    whole, out = tmp_path / "whole", tmp_path / "sweep"
    subprocess.run(command(tmp_path, whole), check=True, capture_output=True)

    program = [sys.executable, "-c", MAIN.format(python()), *command(tmp_path, out)[3:]]
    first = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(out.glob("runs/*/*/train/checkpoint.safetensors")))
    os.kill(workers_of(first.pid)[0], signal.SIGKILL)
    wait_for(lambda: list(out.glob("runs/*/*/point.json")))
    orphans = workers_of(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    said = first.communicate()[1]
    assert "the worker died by SIGKILL" in said and "its run is taken up again" in said
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))

    second = subprocess.run(command(tmp_path, out), check=True, capture_output=True, text=True)
    assert "of 4 runs are done already" in second.stderr
    assert content(out) == content(whole)
