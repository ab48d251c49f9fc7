"""A progress bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_SEC = 15.0


class Bar(Protocol):
    """What a loop may do with its progress bar."""

    def advance(self, amount: float = 1, **status: object) -> None:
        """Move on by `amount` and show the given figures."""


@contextmanager
def progress(label: str, total: float, *, start: float = 0) -> Iterator[Bar]:
    """A bar for `total` units of work, of which `start` are done already.

    On a terminal it is a live bar; where the output goes to a file it prints a line at the start, each 15 s and at
    the end.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        with Progress(*columns, console=console) as live:
            task = live.add_task(label, total=total, status="")
            live.advance(task, start)
            yield _Live(live, task)
        return
    lines = _Lines(label, total, start)
    yield lines
    lines.show("done")


@contextmanager
def no_progress() -> Iterator[Bar]:
    """A bar that shows nothing, for all processes but the first."""
    yield _Silent()


class _Silent:
    def advance(self, amount: float = 1, **status: object) -> None:
        pass


class _Live:
    def __init__(self, live: Progress, task: TaskID) -> None:
        self._live, self._task = live, task

    def advance(self, amount: float = 1, **status: object) -> None:
        text = "  ".join(f"{key} {_short(value)}" for key, value in status.items())
        self._live.advance(self._task, amount)
        if status:
            self._live.update(self._task, status=text)


class _Lines:
    def __init__(self, label: str, total: float, start: float) -> None:
        self._label, self._total, self._start, self._at, self._status = label, total, start, start, ""
        self._began = self._shown = time.monotonic()
        self.show("start")

    def advance(self, amount: float = 1, **status: object) -> None:
        self._at += amount
        if status:
            self._status = "  ".join(f"{key} {_short(value)}" for key, value in status.items())
        if time.monotonic() - self._shown > LINE_EVERY_SEC:
            self.show("")

    def show(self, word: str) -> None:
        self._shown = time.monotonic()
        spent = self._shown - self._began
        done, left = self._at - self._start, self._total - self._at
        times = f"{spent:.0f} s" + (f", {left * spent / done:.0f} s left" if done and left > 0 else "")
        text = f"{self._label}: {self._at:g}/{self._total:g}  {times}  {self._status}  {word}"
        sys.stderr.write(text.rstrip() + "\n")
        sys.stderr.flush()


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
