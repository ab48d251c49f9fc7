"""Worker processes on this machine."""

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from reidgen.engine.devices.machine import cores
from reidgen.engine.devices.workers import Told, Worker
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.point import Order

CORES_OF_ONE = 4  # CPU cores that a worker gets where nothing else is said
LOG_LINES = 4
WORKER = "reidgen.sweep.launching.worker"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass
class _Slot:
    worker: Worker
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
        self._slots: list[_Slot | None] = [None] * count
        self._told: Told = SimpleQueue()

    def free(self) -> int:
        """Workers without an order."""
        return sum(slot is None or slot.order is None for slot in self._slots)

    def start(self, order: Order) -> None:
        """Give an order to a free worker."""
        number = next(i for i, slot in enumerate(self._slots) if slot is None or slot.order is None)
        slot = self._slots[number] or self._open(number)
        self._slots[number], slot.order = slot, order
        slot.worker.send(json.dumps(order))

    def wait(self, timeout_sec: float) -> list[Ended]:
        """Answers and deaths."""
        found = []
        with contextlib.suppress(Empty):
            found.append(self._ended(*self._told.get(timeout=timeout_sec)))
            while True:
                found.append(self._ended(*self._told.get_nowait()))
        return [ended for ended in found if ended is not None]

    def _ended(self, worker: Worker, line: str | None) -> Ended | None:
        """What a worker has told: an answer, its death, or the death of one that had nothing to do."""
        number = next(i for i, slot in enumerate(self._slots) if slot is not None and slot.worker is worker)
        slot = self._slots[number]
        assert slot is not None
        order, slot.order = slot.order, None
        if line is not None:
            assert order is not None
            answer = json.loads(line)
            return Ended(order["name"], answer["ended"], answer["found"], answer["text"])
        self._slots[number] = None
        return None if order is None else Ended(order["name"], "lost", text=_death(slot))

    def close(self) -> None:
        """Kill all workers; their runs go on from their checkpoints another time."""
        for slot in self._slots:
            if slot is not None:
                slot.worker.end()
        self._slots = [None] * len(self._slots)

    def _open(self, number: int) -> _Slot:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"worker-{number}.log"
        with log.open("a", encoding="utf-8") as stream:
            env = {**os.environ, **self._variables(number)}
            return _Slot(Worker(WORKER, self._told, log=stream, env=env), log)

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
    return gpus or max(1, cores() // CORES_OF_ONE)


def default_threads(workers: int) -> int:
    """The cores of this machine, shared among the workers."""
    return max(1, cores() // workers)


def _death(slot: _Slot) -> str:
    """How a worker ended, with the last lines of its log."""
    status = slot.worker.popen.wait()
    slot.worker.end()
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    hint = " (often: the memory of the machine ran out)" if name == "SIGKILL" else ""
    last = "\n".join(slot.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    return f"the worker died by {name}{hint}; {slot.log} ends with\n{last}"
