"""What every hostile case has to keep to, watched in one process.

A case ends in an error of ours or in a result that its own check accepts. It raises nothing else, takes at most 10 s of
CPU and a minute of waiting, takes at most 1 GB, changes nothing outside the folder that it was given, starts no program
but this Python on a text of reidgen's own, unpickles no name and opens no connection.
"""

import contextlib
import hashlib
import io
import os
import signal
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reidgen.cli import main
from reidgen.engine.devices.workers import SHIELDED
from reidgen.errors import ReidgenError
from reidgen.models import resnet

CPU_SEC, WAIT_SEC, GROWTH = 10, 60, 2**30  # a busy machine lets a case wait, so the short limit is of its own work
ROOM = 2 * GROWTH  # of addresses, so that memory without end is refused before the machine suffers
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod")
STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn", "os.startfile")
LIBRARIES = ("__pycache__", "torchinductor_", "matplotlib")  # what these keep for themselves
REACHES = ("pickle.find_class", "socket.connect", "webbrowser.open", "urllib.Request")


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        name: Seed, kind of input and of damage.
        run: Meets it; raises `Refused` or an error of ours, or returns once the result has been looked at.
        places: Folders that it may write to.
        around: Folder whose other content has to stay as it is; None has nothing around it.
    """

    name: str
    run: Callable[[], Any]
    places: tuple[Path, ...] = ()
    around: Path | None = None


class Refused(Exception):
    """A command line that ended with status 2 and a message."""


class Forbidden(BaseException):
    """Something that no case may do; no `except Exception` hides it."""


class _Watch:
    """An audit hook, which cannot be taken away again and so is switched on and off."""

    def __init__(self) -> None:
        self.on, self.found = False, ""
        self.places: tuple[str, ...] = ()
        sys.addaudithook(self)

    def __call__(self, event: str, values: tuple[Any, ...]) -> None:
        if self.on and (what := self._forbidden(event, values)):
            self.on, self.found = False, what  # telling it opens files
            raise Forbidden(what)

    def _forbidden(self, event: str, values: tuple[Any, ...]) -> str:
        if event == "open" and isinstance(values[0], (str, bytes)):
            writes = bool(values[2] & WRITING) if values[1] is None else any(c in values[1] for c in "wax+")
            return self._outside(event, values[:1]) if writes else ""
        if event in CHANGES:
            return self._outside(event, _changed(event, values))
        if event == "subprocess.Popen":
            own = values[0] == sys.executable and list(values[1])[1:3] in (
                ["-P", "-c"],
                ["-m", "reidgen"],
                ["-c", SHIELDED],
            )
            return "" if own else f"{event} {values[1]}"
        return f"{event} {values}" if event in STARTS or event in REACHES else ""

    def _outside(self, event: str, paths: tuple[Any, ...]) -> str:
        for place in (_place(path) for path in paths if not isinstance(path, int)):
            known = place == os.devnull or any(name in place for name in LIBRARIES)
            there = event == "os.mkdir" and Path(place).is_dir()
            if (
                not known
                and not there
                and not any(place == one or place.startswith(one + os.sep) for one in self.places)
            ):
                return f"{event} {place}"
        return ""


def _changed(event: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The paths that an event changes; what is relative to an open folder is completed."""
    if event == "os.truncate":
        return values[:1]
    pairs = {"os.rename": ((0, 2), (1, 3)), "os.link": ((1, 3),), "os.symlink": ((1, 2),)}.get(event, ((0, -1),))
    return tuple(
        values[at] if values[of] in (-1, None) else Path(f"/proc/self/fd/{values[of]}").readlink() / values[at]
        for at, of in pairs
    )


@contextlib.contextmanager
def watched(case: Case) -> Iterator[None]:
    """Hold a case to what it may do; raises `Forbidden`, `TimeoutError` or `AssertionError`."""
    import resource  # of POSIX, as the signals are

    before, size = _snapshot(case), int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    old, used = resource.getrlimit(resource.RLIMIT_AS), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handlers = [signal.signal(number, _too_slow) for number in (signal.SIGPROF, signal.SIGALRM)]
    cache = os.environ.get("REIDGEN_CACHE", "")
    _watch.places = tuple(_place(place) for place in (*case.places, *([cache] if cache else [])))
    _watch.found = ""
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, old[1]))
    signal.setitimer(signal.ITIMER_PROF, CPU_SEC)
    signal.setitimer(signal.ITIMER_REAL, WAIT_SEC)
    _watch.on = True
    try:
        yield
    finally:
        _watch.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, old)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), handlers, strict=True):
            signal.signal(number, handler)
    assert not _watch.found, f"{case.name}: {_watch.found}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) * 1024
    assert grown < GROWTH, f"{case.name}: {grown:,} bytes"
    assert _snapshot(case) == before, f"{case.name}: changed {sorted(_snapshot(case).items() ^ before.items())[:3]}"


def ends_well(case: Case) -> str:
    """Whether a case is "refused" in words of ours or "done"; anything else is raised."""
    with watched(case), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()) as said:
        warnings.simplefilter("error", RuntimeWarning)
        try:
            case.run()
        except (ReidgenError, Refused) as error:
            _check_words(case, str(error))
            return "refused"
    _check_words(case, said.getvalue())
    return "done"


def _check_words(case: Case, text: str) -> None:
    assert "\x1b" not in text, f"{case.name}: a control character in {text!r}"
    assert "Traceback (most recent call last)" not in text, f"{case.name}: {text}"


def verb(*arguments: object) -> str:
    """Run `reidgen ARGUMENTS` in this process; what it said.

    Raises:
        Refused: It ended with status 2 and words.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors=how) for how in ("strict", "backslashreplace"))
    status: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code or 0
    for stream in (out, err):
        stream.flush()
    said, told = (stream.buffer.getvalue().decode() for stream in (out, err))
    if status == 2:
        assert (told + said).strip(), "status 2 without a word"
        raise Refused(told + said)
    assert status == 0, f"status {status}: {told}"
    sys.stderr.write(told)
    return said


@contextlib.contextmanager
def small_networks() -> Iterator[None]:
    """Residual networks so narrow that a case costs milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        yield


def seeds(cases: Any, first: int, count: int) -> list[str]:
    """How the cases of so many seeds end."""
    return [ends_well(cases.case(seed)) for seed in range(first, first + count)]


def _snapshot(case: Case) -> dict[str, tuple[Any, ...]]:
    """Kind, length and content of everything around a case but for its own places."""
    found: dict[str, tuple[Any, ...]] = {}
    own = {str(place) for place in case.places}
    for folder, folders, files in os.walk(case.around or os.devnull):
        folders[:] = [name for name in folders if str(Path(folder, name)) not in own]
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
            leads = str(path.readlink()) if path.is_symlink() else ""
            found[str(path)] = stat.S_IFMT(status.st_mode), content, leads
    return found


def _place(path: Any) -> str:
    """An absolute path without `..`; what is a link stays one, so that a case cannot reach out by one of its own."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100


def _too_slow(number: int, frame: object) -> None:
    raise Forbidden(f"more than {CPU_SEC if number == signal.SIGPROF else WAIT_SEC} s at {time.ctime()}")


_watch = _Watch()
