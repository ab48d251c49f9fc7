"""Worker processes, with orders that are finished already, so that none of them computes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reidgen.engine.runs.lock import alone
from reidgen.sweep.launching.local import LocalWorkers, default_threads, default_workers
from reidgen.sweep.point import write_point
from tests.forked import python

REAL = sys.executable


def order(folder, name):
    """An order whose run is finished."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    asked = {"seed": 0, "reid": {"device": "cpu"}}
    write_point(folder / name, asked, {"mAP": 0.5, "name": name})
    return {"name": name, "asked": asked, "folder": str(folder / name), "tensorboard": False}


@pytest.fixture
def workers(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", python())
    one = LocalWorkers(1, threads=3, gpus=0, logs=tmp_path / "logs")
    yield one
    one.close()


def ended(workers):
    end_sec = time.monotonic() + 300
    while time.monotonic() < end_sec:
        found = workers.wait(0.2)
        if found:
            return found
    raise AssertionError("nothing has ended")


def held(folder):
    """The lock that makes a worker wait."""
    return alone(folder / ".busy")


def children():
    """Workers among the children of this process, which may have a server of forked tests too.

    Asked of each process who its parent is: the kernel's own list of children may lack some while others end.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"reidgen.sweep.launching.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it ended
            continue
    return found


def test_a_worker_does_one_order_after_the_other(workers, tmp_path):
    for name in ("a", "b"):
        assert workers.free() == 1
        workers.start(order(tmp_path, name))
        assert workers.free() == 0
        (told,) = ended(workers)
        assert (told.name, told.how, told.found) == (name, "done", {"mAP": 0.5, "name": name})
    assert len(children()) == 1


def test_a_worker_that_is_killed_is_told_and_replaced(workers, tmp_path):
    one = order(tmp_path, "a")
    with held(tmp_path / "a"):
        workers.start(one)
        (child,) = children()
        assert "OMP_NUM_THREADS=3" in Path(f"/proc/{child}/environ").read_text().split("\0")
        assert workers.wait(0.3) == []
        os.kill(child, signal.SIGKILL)
        (told,) = ended(workers)
    assert told.how == "lost" and "SIGKILL (often: the memory" in told.text
    assert workers.free() == 1
    workers.start(one)
    assert ended(workers)[0].how == "done"


def test_a_worker_that_cannot_even_start_shows_its_log(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", REAL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    (tmp_path / "broken" / "reidgen").mkdir(parents=True)
    (tmp_path / "broken" / "reidgen" / "__init__.py").write_text("raise SystemExit('broken installation')")
    workers.start(order(tmp_path, "a"))
    (told,) = ended(workers)
    assert told.how == "lost"
    assert "exit status 1" in told.text and told.text.endswith("broken installation")


def test_a_worker_ends_with_the_sweep(tmp_path):
    one = order(tmp_path, "a")
    with held(tmp_path / "a"):
        worker = subprocess.Popen([python(), "-m", "reidgen.sweep.launching.worker"], stdin=subprocess.PIPE, text=True)
        worker.stdin.write(json.dumps(one) + "\n")
        worker.stdin.close()
        assert worker.wait(300) == 0


def test_the_machine_is_shared(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert (default_workers(gpus=0), default_workers(gpus=3)) == (4, 3)
    assert (default_threads(4), default_threads(5), default_threads(99)) == (4, 3, 1)


def test_gpus_are_given_by_turns(tmp_path, monkeypatch):
    workers = LocalWorkers(3, threads=1, gpus=2, logs=tmp_path)
    assert [workers._variables(i)["CUDA_VISIBLE_DEVICES"] for i in range(3)] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [workers._variables(i)["CUDA_VISIBLE_DEVICES"] for i in range(3)] == ["4", "7", "4"]
    workers.close()
