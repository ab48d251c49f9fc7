"""What may stand in no file of the package, so that it works on Windows and macOS, and leaves no run half begun."""

import ast
from pathlib import Path

import pytest

import reidgen
from reidgen.engine.devices import machine

SOURCES = sorted(Path(reidgen.__file__).parent.rglob("*.py"))
POSIX = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "selectors", "posix"}
GUARDED = {"engine/devices/machine.py": {"resource"}}


def trees():
    for path in SOURCES:
        yield path.relative_to(SOURCES[0].parent).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_nothing_posix_is_imported_on_the_way():
    found = {name: POSIX & set(imported(tree)) for name, tree in trees()}
    assert {name: modules for name, modules in found.items() if modules} == GUARDED


def test_every_run_is_begun_in_a_with():
    """Otherwise an error keeps the folder locked, and a user's mistake leaves one that holds another run."""
    begun, bare = 0, []
    for name, tree in trees():
        held = {id(item.context_expr) for node in ast.walk(tree) if isinstance(node, ast.With) for item in node.items}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        calls = [call for call in calls if ast.unparse(call.func) == "RunFolder.begin"]
        begun += len(calls)
        bare += [name for call in calls if id(call) not in held]
    assert begun > 10 and not bare


def test_a_system_that_tells_nothing(monkeypatch):
    monkeypatch.setattr(machine, "resource", None)
    monkeypatch.delattr(machine.os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(machine.os, "sysconf", raising=False)
    assert machine.peak_memory_gib() == 0
    assert machine.cores() >= 1 and machine.memory_bytes() == float("inf")


def test_macos_counts_bytes_and_others_kibibytes(monkeypatch):
    here = machine.peak_memory_gib()
    if machine.resource is None:
        pytest.skip("this system does not tell")
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    there = machine.peak_memory_gib()
    assert min(here, there) > 0 and max(here, there) / min(here, there) > 1000
