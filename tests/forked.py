"""Processes that need not import torch: each is forked from one that has, and then lives and dies on its own.

A process of its own costs seconds before its first line, and a test of kills needs dozens. The server is started by the
first call and ends with the tests. It only imports, so no lock is held and no thread runs when it forks.
"""

import atexit
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

STAGES = (
    "quickstart",
    "search",
    "fidelity.measure",
    "reid.export",
    "generators.transfer.convert",
    "generators.inversion.comparison",
)
SERVE = "from tests.forked import serve; serve()"


def run_forked(program, *arguments):
    """Run a program, a text of Python, with arguments; what `subprocess.run` with captured text returns."""
    with tempfile.TemporaryDirectory() as folder:
        heard = [Path(folder) / name for name in ("out", "err")]
        order = {
            "program": program,
            "arguments": [str(argument) for argument in arguments],
            "environment": dict(os.environ),
            "cwd": str(Path.cwd()),
            "heard": [str(path) for path in heard],
        }
        server = _server()
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        out, err = (path.read_text() for path in heard)
        return subprocess.CompletedProcess([program, *arguments], status, out, err)


@functools.cache
def _server():
    # what is imported is imported from the folders that this process imports from
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    atexit.register(server.stdin.close)
    return server


def serve():
    """Fork a process for each order of stdin, and say how it ended."""
    for stage in STAGES:
        importlib.import_module(f"reidgen.{stage}")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(as_process(order))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def as_process(order):
    """Run a program as a process of its own would, to its exit status."""
    for number, path in zip((1, 2), order["heard"], strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    sys.argv[:] = ["-c", *order["arguments"]]
    try:
        exec(order["program"], {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        told = end.code
        if isinstance(told, str):
            sys.stderr.write(told + "\n")
        status = told if isinstance(told, int) else int(told is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status
