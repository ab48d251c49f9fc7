"""Ctrl-C while the quick start's workers run."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reidgen.engine.runs.lock import alone
from tests.forked import python

# a shell that starts tests in the background lets them ignore Ctrl-C
MAIN = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom reidgen.cli import main\nmain()"
SIZES = ["--people", "3", "--variants", "2", "--steps", "2", "--seeds", "1"]
BUSY_SEC = 20  # it takes one; a machine with ten times the work of its cores takes ten


def processes_in(folder):
    """The processes whose working folder it is."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # it has just ended, or is another user's
            if link.readlink() == folder:
                found.append(link.parent.name)
    return found


def wait_for(condition, sec):
    end_sec = time.monotonic() + sec
    while not condition():
        assert time.monotonic() < end_sec, "waited too long"
        time.sleep(0.01)


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_at_once_and_the_same_command_goes_on(tmp_path):
    """One worker has trained and evaluated; the other waits for a training of its folder, so for ever."""
    out = tmp_path / "run"
    runs = out / "sweep" / "runs"
    command = [python(), "-c", MAIN, "quickstart", "--out", out, *SIZES]
    with alone(runs / "baseline" / "seed-0" / ".busy"):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: len([*runs.glob("arm-*/seed-0/point.json")]) == 2 or process.poll() is not None, 600)
        assert len(processes_in(tmp_path)) > 2, process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=BUSY_SEC)
        wait_for(lambda: not processes_in(tmp_path), BUSY_SEC)
    assert process.returncode == 130
    assert said.endswith("stopped; the same command goes on from the last checkpoint.\n") and "Traceback" not in said
    assert not (runs / "baseline" / "seed-0" / "train").exists() and not (out / "report").exists()
    trained = {path: path.stat().st_mtime_ns for path in runs.glob("arm-*/seed-0/train/reid.safetensors")}
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (out / "report" / "index.html").is_file()
    assert (runs / "baseline" / "seed-0" / "train" / "reid.safetensors").is_file()
    assert len(trained) == 2 and all(path.stat().st_mtime_ns == then for path, then in trained.items())
