"""A Python whose processes need not import torch: each is forked from one that has, and then lives and dies on its own.

A process of its own costs seconds before its first line, and tests of kills, workers and several processes need dozens.
The server only imports, so no lock is held and no thread runs when it forks. What Python does when it finalizes is not
done: a test of that needs `sys.executable`.
"""

import atexit
import fcntl
import functools
import gc
import importlib
import itertools
import json
import multiprocessing.spawn
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from pathlib import Path

import torch

import reidgen

SERVE = "import sys; from tests.forked import serve; serve(sys.argv[1])"
CLIENT = Path(__file__).with_name("forked_client.py")
FREE = 200  # above the numbers of all files that a process is given


def run_forked(program, *arguments):
    """Run a program, a text of Python, with arguments; what `subprocess.run` with captured text returns."""
    command = [python(), "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@functools.cache
def python():
    """The path of a program that is started as `sys.executable` is, and ends as its process ends, and with it.

    The server is started by the first call and ends with the tests.
    """
    folder = Path(tempfile.mkdtemp(prefix="forked"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program, address = folder / "python", str(folder / "server")
    program.write_text(f"#!{sys.executable} -IS\nADDRESS = {address!r}\n{CLIENT.read_text()}")
    program.chmod(0o755)
    # what is imported is imported from the folders that this process imports from
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    with server.stdout:
        assert server.stdout.readline() == b"ready\n", "the server of forked processes did not start"
    atexit.register(server.communicate)
    return str(program)


def serve(program):
    """Fork a process for each that connects, until stdin ends."""
    for name in dir(reidgen):
        getattr(reidgen, name)
    importlib.import_module("reidgen.quickstart")
    importlib.import_module("torch._dynamo")  # of each first optimiser
    multiprocessing.spawn.set_executable(program)
    sys.executable = program
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as address:
        address.bind(str(Path(program).with_name("server")))
        address.listen(64)
        os.write(1, b"ready\n")
        keepers = 0
        while 0 not in select.select([address, 0], [], [])[0]:
            while keepers and os.waitpid(-1, os.WNOHANG)[0]:  # those that have ended
                keepers -= 1
            client, _ = address.accept()
            if os.fork() == 0:
                address.close()
                keep(client)
                os._exit(0)
            client.close()
            keepers += 1


def keep(client):
    """Fork the process, tell the client its number and its end, and let it die with the client."""
    _, files, _, _ = socket.recv_fds(client, 1, FREE)
    with client.makefile() as lines:
        order = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        client.close()
        if order["leads"]:
            os.setsid()
        os._exit(as_process(order, files))
    for file in files:
        os.close(file)
    client.sendall(f"{pid}\n".encode())
    ended = os.pidfd_open(pid)
    if ended not in select.select([client, ended], [], [])[0]:
        (os.killpg if order["leads"] else os.kill)(pid, signal.SIGKILL)
        os._exit(0)
    client.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


def as_process(order, files):
    """Be the Python that was asked for, to its exit status."""
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    take(files, order["files"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in sys.path]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    status = 0
    try:
        run(order["arguments"])
    except SystemExit as end:
        told = end.code
        if isinstance(told, str):
            sys.stderr.write(told + "\n")
        status = told if isinstance(told, int) else int(told is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    return status


def take(files, numbers):
    """Give files the numbers that they have where they come from, and open the first three anew."""
    kept = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, FREE) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(kept, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def run(arguments):
    """What Python does with a command line; its own flags are those of the server."""
    words = list(itertools.dropwhile(lambda word: word.startswith("-") and word not in ("-c", "-m"), arguments))
    if words[0] == "-c":
        sys.argv[:] = ["-c", *words[2:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(words[1], main.__dict__)
    elif words[0] == "-m":
        sys.argv[:] = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")
