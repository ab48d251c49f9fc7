"""The folder of what can be computed again: decoded crops, embeddings, features, downloaded weights."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from reidgen.engine.runs.lock import lock_of
from reidgen.errors import DataError, RunError

VARIABLE = "REIDGEN_CACHE"
WEIGHTS = "downloaded weights"
# Folder below the cache and names of each kind of file: what has another name is not ours, and is left alone.
KINDS = {
    "decoded crops": ("", re.compile(r"[0-9a-f]{32}-\d+x\d+\.(npy|tmp)")),
    "embeddings": ("", re.compile(r"embeddings-[0-9a-f]{32}\.safetensors")),
    "features": ("", re.compile(r"features-[0-9a-f]{32}\.(f32|part)")),
    "thumbnails": ("", re.compile(r"thumbnails-\d+\.sqlite3(-journal)?")),
    WEIGHTS: ("weights", re.compile(r"((resnet|alexnet|vgg|clip-).*\.(pth?|safetensors)|yolov4-tiny\.weights)")),
}


def cache_folder() -> Path:
    """Where decoded crops are kept: $REIDGEN_CACHE, or `reidgen` in the user's cache folder; both can be deleted.

    Raises:
        DataError: The user has no home folder, as in some containers, and neither variable says where.
    """
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reidgen"
    except RuntimeError as error:
        what, allowed = "There is no folder for the cache.", "a home folder, or a folder for the cache"
        raise DataError(what, got=str(error), allowed=allowed, fix=f"set {VARIABLE} to a folder") from error


@contextlib.contextmanager
def writing_cache(folder: Path, what: str, *, room: int | None = None) -> Iterator[None]:
    """Make a folder of the cache, and say which variable moves it where it cannot be written.

    Args:
        folder: Where the file shall be.
        what: What is written, in words.
        room: Bytes that it takes.

    Raises:
        DataError: The folder cannot be made or written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"{what} cannot be written to {folder}.",
            got=error.strerror,
            allowed="a folder that can be written" + ("" if room is None else f", with {room / 1e6:,.1f} MB free"),
            fix=f"free some space, or set {VARIABLE} to a folder on a larger disk that you may write",
        ) from error


def kept() -> dict[str, list[Path]]:
    """The files of reidgen in the cache folder by kind; files of other names are not its own and are never listed."""
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for kind, (sub, names) in KINDS.items():
        folder = cache_folder() / sub
        if folder.is_dir():
            files = sorted(path for path in folder.iterdir() if names.fullmatch(path.name) and not path.is_dir())
            found[kind] = files
    return found


def clear(*, weights: bool = False) -> dict[str, tuple[int, int]]:
    """Remove what can be computed again, and with `weights` what was downloaded too.

    Returns:
        For each kind how many files went, and their bytes.

    Raises:
        RunError: A process is writing into the cache.
        DataError: A file cannot be removed.
    """
    files = {kind: paths for kind, paths in kept().items() if weights or kind != WEIGHTS}
    with contextlib.ExitStack() as locks:
        for lock in sorted(cache_folder().glob("*.lock")):
            held = lock_of(lock, waits=False)
            try:
                locks.enter_context(held)
            except Timeout as error:
                raise RunError(
                    f"The cache {cache_folder()} is in use.",
                    got=f"another process holds {lock.name}",
                    allowed="a cache that nobody writes to",
                    fix="wait for that run to end, or stop it",
                ) from error
        return {kind: _removed(paths) for kind, paths in files.items()}


def _removed(paths: list[Path]) -> tuple[int, int]:
    size = size_of(paths)
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{error.filename} cannot be removed.",
            got=error.strerror,
            allowed="files of your own that no run has open",
            fix="stop the run that reads it, then the same command again",
        ) from error
    return len(paths), size


def size_of(paths: list[Path]) -> int:
    """Bytes that files take."""
    return sum(path.lstat().st_size for path in paths)
