"""Files that are either whole or not there: atomic writes, links and hashes."""

import contextlib
import errno
import filecmp
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from reidgen.errors import ConfigError, option

Crops = Literal["link", "copy"]  # how files of a table come into another folder
RESTED_NS = 2 * 10**9  # a file may change twice within a tick of its clock, of which the coarsest has two seconds
HASHES = 2**17  # kept in memory, some 60 MB at most
_hashes: dict[tuple[int, ...], str] = {}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
TEMPORARY = ".reidgen.tmp"  # how the name of a file ends that is not whole yet
RUN_MARKS = {"run.json", ".lock"}  # a folder with one of these is the folder of a run
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary file in the same folder, fsync, rename.

    Args:
        path: Where the file shall be; its folder is made.
        data: The whole content.
    """
    write_chunks(path, [data])


def write_chunks(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file atomically, like `write_bytes`, of parts that are never in memory all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _becoming(path) as temporary, naming(path), temporary.open("wb") as stream:
        stream.writelines(chunks)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def _becoming(path: Path) -> Iterator[Path]:
    """A new temporary file beside a file; it takes the file's place at the end, or is gone after an error."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError that names no file, such as that of a full disk, the name of the one that is written."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; what is not UTF-8, such as a byte of a path, is escaped as JSON has it."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented, keys in the given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process of reidgen left in a run's folder.

    Files of other programs have other names; hidden folders, links, and folders below that are runs of their own are
    left alone.
    """
    for place, folders, names in os.walk(folder):
        if Path(place) != folder and RUN_MARKS.intersection(names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY):
                (Path(place) / name).unlink()


def check_apart(out: Path | str, read: Iterable[Path | str]) -> None:
    """Make sure that a stage writes neither into a folder that it reads, nor anywhere below it.

    Args:
        out: Where it would write.
        read: Folders, or files, that it reads.

    Raises:
        ConfigError: `out` is one of them or lies in one.
    """
    place = Path(out).resolve()
    above = [path for path in (place, *place.parents) if path.exists()]
    for folder in dict.fromkeys(map(Path, read)):
        if folder.is_dir() and any(path.samefile(folder) for path in above):
            raise ConfigError(
                f"{option('out')} is a folder that is read, or lies in one.",
                got=f"{out}, and {folder} is read",
                allowed=f"a folder outside of {folder}",
                fix=f"another {option('out')}",
            )


def link_or_copy(source: Path, target: Path, *, crops: Crops = "link") -> None:
    """Put the file `source` at `target` as a hard link, or as a copy where that is asked or links cannot be made.

    Of a symbolic link the file that it leads to is taken. A target that is there already is left alone if it is the
    same, and replaced if not.
    """
    source = source.resolve()
    if target.is_symlink() or (target.exists() and not _is_placed(source, target, crops)):
        target.unlink()
    elif target.exists():
        return
    if crops == "link":
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    with _becoming(target) as temporary, naming(target):
        shutil.copyfile(source, temporary)


def _is_placed(source: Path, target: Path, crops: Crops) -> bool:
    if target.samefile(source):
        return crops == "link"
    return filecmp.cmp(source, target, shallow=False)


def sha256(chunks: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of the given byte strings, one after the other, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def check_regular(path: Path) -> os.stat_result:
    """What the system knows of a file, which may be reached by a link.

    Raises:
        OSError: It is missing, or no regular file: a pipe is waited for without end, and a device may have none.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for is_kind, words in KINDS if is_kind(found.st_mode)), "of an unknown kind")
        raise OSError(errno.EINVAL, f"{kind}, no regular file", str(path))
    return found


def read_regular(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    check_regular(path)
    return path.read_bytes()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    A file that has rested for two seconds is read once in a process: its hash is kept with its place on the disk, size
    and times, of which no program can set back the last (on Windows: the place and the time of its last change).

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    began_ns, before = time.time_ns(), _stamp(path)
    if before in _hashes:
        return _hashes[before]
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if began_ns - max(before[-2:]) > RESTED_NS and _stamp(path) == before:
        if len(_hashes) >= HASHES:
            _hashes.clear()
        _hashes[before] = digest
    return digest


def _stamp(path: Path) -> tuple[int, ...]:
    status = check_regular(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
