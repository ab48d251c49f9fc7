"""The files that a table from elsewhere names: regular ones inside its own folder, and nothing else."""

import contextlib
import os
import stat
from pathlib import Path

import polars as pl

from reidgen.errors import DataError, command

FOLDER_OF = r"[^/]*$" if os.sep == "/" else r"[^/\\]*$"  # what a path has after its folder


def check_inside(root: Path, names: pl.Series) -> None:
    """Look at what lies at the paths of a column, without opening anything.

    Folders are resolved and listed once each, so that 100,000 crops cost as little as their folders do; single files
    are looked at only where a folder holds something that is not a regular file. What is missing is not a fault here.

    Args:
        root: The table's folder.
        names: Paths relative to it; null where there is none.

    Raises:
        DataError: One is a pipe, a device or a socket, or leads out of the folder.
    """
    home = os.path.realpath(root)
    names = names.drop_nulls()
    folders = names.str.replace(FOLDER_OF, "")
    odd = {folder for folder in folders.unique(maintain_order=True) if not _is_plain(root, home, folder)}
    for name, folder in zip(names, folders, strict=True) if odd else ():
        if folder in odd:
            _check_file(root, home, name)


def _is_plain(root: Path, home: str, folder: str) -> bool:
    """Whether a folder holds regular files and folders alone; raises for a folder that is elsewhere."""
    place = os.path.realpath(root / folder)
    if not _is_within(home, place):
        raise _outside(root, folder, place)
    try:
        with os.scandir(place) as entries:
            return all(entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a folder that may not be listed: each file on its own
        return False


def _check_file(root: Path, home: str, name: str) -> None:
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.lstat(f"{home}{os.sep}{name}").st_mode):  # folders of names are within already
            return
    place = os.path.realpath(root / name)
    if not _is_within(home, place):
        raise _outside(root, name, place)
    try:
        mode = Path(place).stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError(
            f"{root / name} is not a regular file.",
            got="a pipe, a socket or a device",
            allowed="a regular file inside the table's folder",
            fix="remove it, or the table's row",
        )


def _is_within(home: str, place: str) -> bool:
    home, place = os.path.normcase(home), os.path.normcase(place)
    return place == home or place.startswith(home.rstrip(os.sep) + os.sep)


def _outside(root: Path, name: str, place: str) -> DataError:
    return DataError(
        f"{root / name} leads out of the table's folder.",
        got=f"a link to {place}",
        allowed=f"regular files inside {root}",
        fix=f"a copy with the files themselves: {command('cp', '-rL', root)} NEW",
    )
