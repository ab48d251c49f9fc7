"""What readers have in common: finding the dataset's folder, listing crops, and names that do not parse."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from reidgen.data.pixels.images import ENDINGS
from reidgen.errors import DataError, option


def find_folder(
    root: Path,
    inner: Iterable[str],
    *,
    holds: Sequence[str],
    dataset: str,
    fix: str = f"{option('root')} with the folder as it was unpacked",
) -> Path:
    """The first of `root` and the given folders in it that holds one of the files or folders named.

    Raises:
        DataError: None does.
    """
    for folder in (root, *(root / name for name in inner)):
        if any((folder / name).exists() for name in holds):
            return folder
    found = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    raise DataError(
        f"{root} is not a {dataset} folder.",
        got=(", ".join(found[:8]) + (", ..." if len(found) > 8 else "") or "an empty folder")
        if root.is_dir()
        else "no such folder",
        allowed=f"a folder with {' or '.join(holds)}",
        fix=fix,
    )


def crop_names(folder: Path) -> list[str]:
    """The names of the image files of a folder, sorted; hidden files and other endings (Thumbs.db) are not crops.

    Links that lead nowhere, pipes and the like are among them, to be told by whoever opens them.

    Raises:
        DataError: The folder may not be read.
    """
    return images_in(folder)[0] if folder.is_dir() else []


def images_in(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the image files of a folder, and of the folders in it that are not links; both sorted, none hidden.

    Raises:
        DataError: The folder may not be read.
    """
    entries = [entry for entry in entries_of(folder) if not entry.name.startswith(".")]
    names = [entry.name for entry in entries if is_picture(entry.name) and not entry.is_dir()]
    return sorted(names), sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def is_picture(name: str) -> bool:
    """Whether a file's name has the ending of an image."""
    return Path(name).suffix.lower() in ENDINGS


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder.

    Raises:
        DataError: It may not be read.
    """
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be read.",
            got=(error.strerror or type(error).__name__).lower(),
            allowed="folders that you may read, as crops may be in each",
            fix="ask for the permission, or move it away from the crops",
        ) from error


def read_text(path: Path) -> str:
    """A text file of a dataset.

    Raises:
        DataError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not a text file.", got=str(error), allowed="UTF-8", fix="download it again"
        ) from error


def parse(
    pattern: re.Pattern[str], names: Sequence[str], *, folder: Path, example: str, fix: str
) -> list[re.Match[str]]:
    """Match every name whole.

    Raises:
        DataError: Some do not match; the first is named.
    """
    found = [(name, pattern.fullmatch(name)) for name in names]
    wrong = [name for name, match in found if match is None]
    if wrong:
        raise unparsed(wrong, pattern, folder=folder, example=example, fix=fix)
    return [match for _, match in found if match is not None]


def unparsed(names: Sequence[str], pattern: re.Pattern[str], *, folder: Path, example: str, fix: str) -> DataError:
    """The error for names that do not parse."""
    more = f", and {len(names) - 1:,} more" if len(names) > 1 else ""
    return DataError(
        f"{folder / names[0]} has a name that does not parse.",
        got=f"{Path(names[0]).name}{more}",
        allowed=f"{example} (pattern {pattern.pattern})",
        fix=fix,
    )
