import itertools
import os
import sys
from queue import SimpleQueue

import pytest

from reidgen.engine.devices.workers import Worker, lines_of

ECHO = """
import sys
from reidgen.engine.devices.workers import answers
stream = answers()
for line in sys.stdin: print(line.strip() * 2, file=stream, flush=True)
print("end", file=stream, flush=True)
"""
DYING = """
import os
from reidgen.engine.devices.workers import answers
stream = answers()
os.write(stream.fileno(), b"\\xff whole\\ncut")
os._exit(3)
"""
PRINTING = """
import os
print("of an import", flush=True)
os.write(1, b"and of one in C\\n")
from reidgen.engine.devices.workers import answers
stream = answers()
print("of Python", flush=True)
os.write(1, b"of a C library\\n")
stream.write("answer\\n")
stream.close()
"""


def environment(folder):
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}


@pytest.fixture
def echo(tmp_path):
    (tmp_path / "echo_twice.py").write_text(ECHO)
    told = SimpleQueue()
    worker = Worker("echo_twice", told, env=environment(tmp_path))
    yield worker, told
    worker.end()


def test_lines_go_in_and_out_until_the_last(echo):
    worker, told = echo
    worker.send("é")
    assert told.get(timeout=60) == (worker, "éé\n")
    worker.send("b", last=True)
    assert [told.get(timeout=60) for _ in range(3)] == [(worker, "bb\n"), (worker, "end\n"), (worker, None)]
    assert worker.popen.wait(timeout=60) == 0


def test_one_that_is_killed_has_ended(echo):
    worker, told = echo
    assert worker.end() != 0
    assert told.get(timeout=60) == (worker, None)
    worker.send("nobody hears it")


@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes are asked for in another way")
def test_ctrl_c_in_a_terminal_does_not_reach_it(echo):
    worker, _ = echo
    assert os.getpgid(worker.popen.pid) not in (os.getpgid(0), os.getpgid(os.getppid()))


def test_all_that_is_told_comes_in_turn(echo):
    worker, told = echo
    worker.send("a", last=True)
    assert list(itertools.islice(lines_of(told), 3)) == [(worker, "aa\n"), (worker, "end\n"), (worker, None)]


def all_told(folder, source, **options):
    """What a worker that runs a source tells until it has ended."""
    (folder / "one_module.py").write_text(source)
    told = SimpleQueue()
    worker = Worker("one_module", told, env=environment(folder), **options)
    lines = [line for _, line in iter(lambda: told.get(timeout=60), (worker, None))]
    worker.end()
    return lines


def test_one_that_dies_within_a_line_tells_whole_lines_whatever_their_bytes(tmp_path):
    assert all_told(tmp_path, DYING) == ["\N{REPLACEMENT CHARACTER} whole\n"]


def test_only_answers_are_told_whatever_else_is_printed(tmp_path):
    with (tmp_path / "log").open("w") as log:
        assert all_told(tmp_path, PRINTING, log=log) == ["answer\n"]
    assert (tmp_path / "log").read_text() == "of an import\nand of one in C\nof Python\nof a C library\n"
