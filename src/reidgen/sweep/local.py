"""Worker processes on this machine."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reidgen.sweep.launch import Ended
from reidgen.sweep.point import Order

CORES_OF_ONE = 4  # CPU cores that a worker gets where nothing else is said
LOG_LINES = 4
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass
class _Process:
    popen: subprocess.Popen[str]
    log: Path
    order: Order | None = None


class LocalWorkers:
    """A number of processes, started when they are first needed, and anew after one has died.

    Args:
        count: How many at once.
        threads: CPU threads of each.
        gpus: GPUs of the machine, which the workers share by turns; 0 leaves the visible devices as they are.
        logs: Folder for what each worker prints.
    """

    def __init__(self, count: int, *, threads: int, gpus: int, logs: Path) -> None:
        self._threads, self._gpus, self._logs = threads, gpus, logs
        self._slots: list[_Process | None] = [None] * count
        self._selector = selectors.DefaultSelector()

    def free(self) -> int:
        """Workers without an order."""
        return sum(slot is None or slot.order is None for slot in self._slots)

    def start(self, order: Order) -> None:
        """Give an order to a free worker."""
        number = next(i for i, slot in enumerate(self._slots) if slot is None or slot.order is None)
        process = self._slots[number] or self._open(number)
        self._slots[number], process.order = process, order
        assert process.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died since; `wait` finds its end of file and tells so
            process.popen.stdin.write(json.dumps(order) + "\n")
            process.popen.stdin.flush()

    def wait(self, timeout_sec: float) -> list[Ended]:
        """Answers and deaths."""
        found = []
        for key, _ in self._selector.select(timeout_sec):
            number = key.data
            line = key.fileobj.readline()  # type: ignore[union-attr]
            process = self._slots[number]
            assert process is not None
            if line.endswith("\n"):
                order, process.order = process.order, None
                assert order is not None
                answer = json.loads(line)
                found.append(Ended(order["name"], answer["ended"], answer["found"], answer["text"]))
            else:
                self._selector.unregister(key.fileobj)
                self._slots[number] = None
                if process.order is not None:
                    found.append(Ended(process.order["name"], "lost", text=_death(process)))
        return found

    def close(self) -> None:
        """Kill all workers; their runs go on from their checkpoints another time."""
        for slot in self._slots:
            if slot is not None:
                slot.popen.kill()
                slot.popen.wait()
                for stream in (slot.popen.stdin, slot.popen.stdout):
                    _close(stream)
        self._selector.close()
        self._slots = [None] * len(self._slots)

    def _open(self, number: int) -> _Process:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"worker-{number}.log"
        with log.open("a", encoding="utf-8") as stream:
            popen = subprocess.Popen(
                [sys.executable, "-m", "reidgen.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**os.environ, **self._variables(number)},
            )
        assert popen.stdout is not None
        self._selector.register(popen.stdout, selectors.EVENT_READ, number)
        return _Process(popen, log)

    def _variables(self, number: int) -> dict[str, str]:
        """Threads that do not take each other's cores, and a GPU."""
        variables = dict.fromkeys(THREAD_VARIABLES, str(self._threads))
        if self._gpus:
            own = os.environ.get("CUDA_VISIBLE_DEVICES")
            visible = own.split(",") if own else [str(i) for i in range(self._gpus)]
            variables["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
        return variables


def default_workers(*, gpus: int) -> int:
    """One worker for each GPU, or for each four CPU cores."""
    return gpus or max(1, len(os.sched_getaffinity(0)) // CORES_OF_ONE)


def default_threads(workers: int) -> int:
    """The cores of this machine, shared among the workers."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


def _death(process: _Process) -> str:
    """How a worker ended, with the last lines of its log."""
    status = process.popen.wait()
    for stream in (process.popen.stdin, process.popen.stdout):
        _close(stream)
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    hint = " (often: the memory of the machine ran out)" if status == -signal.SIGKILL else ""
    last = "\n".join(process.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    return f"the worker died by {name}{hint}; {process.log} ends with\n{last}"


def _close(stream: IO[str] | None) -> None:
    assert stream is not None
    with contextlib.suppress(BrokenPipeError):  # of what was still to be written to a dead process
        stream.close()
