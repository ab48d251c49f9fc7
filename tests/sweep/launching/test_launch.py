import errno
import io
import sys

import pytest

from reidgen.errors import RunError, TrainingError
from reidgen.sweep.launching import worker
from reidgen.sweep.launching.launch import work_off
from reidgen.sweep.launching.worker import report_of
from tests.sweep.made import Inline


class Told:
    """Remembers what it was told."""

    def __init__(self):
        self.events = []

    def started(self, name):
        self.events.append(f"started {name}")

    def ended(self, ended):
        self.events.append(f"{ended.how} {ended.name}")

    def lost(self, ended, tries_left):
        self.events.append(f"lost {ended.name}, {tries_left} left")

    def tick(self):
        pass


class FullLog(io.TextIOBase):
    """A log on a disk that is full."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def orders(*names):
    return [{"name": name} for name in names]


def answer(order):
    failed = order["name"].startswith("bad")
    return {"ended": "failed" if failed else "done", "found": None if failed else {"mAP": 1}, "text": "NaN" * failed}


def test_a_failure_does_not_stop_the_others():
    workers, told = Inline(work=answer), Told()
    results = work_off(orders("a", "bad", "c"), workers, told, retries=2)
    assert {name: ended.how for name, ended in results.items()} == {"a": "done", "bad": "failed", "c": "done"}
    assert workers.seen == ["a", "bad", "c"] and workers.closed


def test_a_run_whose_worker_died_is_taken_up_again_behind_the_others():
    workers, told = Inline(die=["a"], work=answer), Told()
    results = work_off(orders("a", "b"), workers, told, retries=1)
    assert workers.seen == ["a", "b", "a"]
    assert results["a"].how == "done"
    assert told.events == ["started a", "lost a, 1 left", "started b", "done b", "started a", "done a"]


def test_it_is_given_up_after_so_many_deaths():
    workers, told = Inline(die=["a"] * 9, work=answer), Told()
    results = work_off(orders("a", "b"), workers, told, retries=2)
    assert workers.seen.count("a") == 3
    assert results["a"].how == "lost" and results["b"].how == "done"
    assert told.events[-2:] == ["lost a, 0 left", "lost a"]


def test_a_full_disk_stops_the_sweep(monkeypatch):
    def full(order):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise TrainingError("The weights cannot be written.") from error

    monkeypatch.setattr(worker, "run_point", full)
    workers = Inline()
    with pytest.raises(RunError, match="disk is full") as told:
        work_off(orders("a", "b"), workers, Told(), retries=2)
    assert workers.seen == ["a"] and workers.closed
    assert "finished runs are kept" in str(told.value)


def test_an_error_of_our_own_is_named_with_its_kind(monkeypatch, capsys):
    monkeypatch.setattr(worker, "run_point", lambda order: order["missing"])
    assert report_of({"name": "a"}) == {"ended": "failed", "found": None, "text": "KeyError: 'missing'"}
    assert "Traceback" in capsys.readouterr().err


def test_a_log_on_the_full_disk_hides_no_answer(monkeypatch):
    def full(order):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker, "run_point", full)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", FullLog())
        told = report_of({"name": "a"})
    assert (told["ended"], told["found"]) == ("full", None)
