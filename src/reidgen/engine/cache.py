"""The folder of what can be computed again: decoded crops, embeddings, features, downloaded weights."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from reidgen.errors import DataError

VARIABLE = "REIDGEN_CACHE"


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
