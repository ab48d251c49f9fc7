"""One process at a time, on every system: locks that end with the process that holds them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


def lock_of(path: Path, *, waits: bool) -> FileLock:
    """The lock that is the file `path`; `acquire` raises `filelock.Timeout` where it is held and nobody waits."""
    return FileLock(path, blocking=waits, thread_local=False)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process or thread holds the lock `path`, and hold it; the file is gone afterwards.

    Its folder is made. One that a killed process left is not a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(path, waits=True):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows removes no open file; whoever waits looks for the name
                path.unlink()
