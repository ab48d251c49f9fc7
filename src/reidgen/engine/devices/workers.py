"""Processes that run a module of ours, with lines of text in and out."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import IO, Any, TextIO

POLL_SEC = 0.5
ANSWERS = "REIDGEN_ANSWERS"  # in a worker's environment: which of its files leads to whoever started it
SHIELDED = f"""import os, runpy, sys
os.environ["{ANSWERS}"] = str(os.dup(1))
os.dup2(2, 1)
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)"""  # before any import, which may print
Told = SimpleQueue["tuple[Worker, str | None]"]


def lines_of(told: Told) -> Iterator["tuple[Worker, str | None]"]:
    """What workers tell, as it comes, without end.

    Between two waits Ctrl-C is heard, which on Windows, and where another thread gets the signal, breaks no wait.
    """
    while True:
        with contextlib.suppress(Empty):
            yield told.get(timeout=POLL_SEC)


def answers() -> TextIO:
    """In a worker: the stream to whoever started it.

    What else is printed, by C libraries too, joins its messages: from its first line on where `Worker` started it.
    """
    if ANSWERS in os.environ:
        return os.fdopen(int(os.environ.pop(ANSWERS)), "w", encoding="utf-8")
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return stream


def serve(work: Callable[[Any], Any]) -> None:
    """In a worker: answer each line of stdin, one after the other, with one of what `work` returns; both are JSON.

    It ends at once when stdin is closed, so that whoever started it and was killed leaves no worker behind.
    """
    stream = answers()
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_take, args=(orders,), daemon=True).start()
    while True:
        stream.write(json.dumps(work(orders.get())) + "\n")
        stream.flush()


def _take(orders: SimpleQueue[Any]) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


class Worker:
    """A process that works on what it is sent, until its input or whoever started it ends.

    It is in a group of its own, so that Ctrl-C in a terminal reaches only the process that started it, which then ends
    it: otherwise each would print a traceback.

    Args:
        module: What it runs.
        told: Gets (this worker, line) for each whole line that it prints, and (this worker, None) when it has ended.
        log: Where its messages go; None leaves them on the terminal.
        env: Its environment; None takes that of this process.
    """

    def __init__(
        self,
        module: str,
        told: Told,
        *,
        log: IO[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", SHIELDED, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            errors="replace",
            env=env,
            start_new_session=True,  # Windows knows no sessions, but groups
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    def send(self, text: str, *, last: bool = False) -> None:
        """Give it a line; that a worker has died is told by its output alone."""
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.popen.stdin.write(text + "\n")
            self.popen.stdin.flush()
            if last:
                self.popen.stdin.close()

    def end(self) -> int:
        """Kill it if it is still there; its exit status."""
        self.popen.kill()
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # of what was still to be written to a dead process
            self.popen.stdin.close()
        return self.popen.wait()

    def _listen(self, told: Told) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # one that is cut off is of a worker that has died in it
                    told.put((self, line))
        told.put((self, None))
