"""A full disk, which is nobody's failure: the sweep stops, and goes on once there is room."""

from collections.abc import Iterator
from contextlib import contextmanager

from reidgen.errors import RunError
from reidgen.files import DISK_FULL


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that there is no space left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk(got: str) -> RunError:
    """What a user is told, wherever the disk was found full."""
    return RunError(
        "The disk is full, so the sweep has stopped.",
        got=got,
        allowed="space for the weights of each run and for the decoded crops of each table",
        fix="make room, then the same command again: finished runs are kept, the others go on from their checkpoints",
    )


@contextmanager
def telling_full_disk() -> Iterator[None]:
    """Tell so where the sweep's own files find no space.

    Raises:
        RunError: The disk is full.
    """
    try:
        yield
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise full_disk(f"{error.filename or 'a file of the sweep'}: {error.strerror}") from error
