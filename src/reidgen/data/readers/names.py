"""What readers have in common: finding the dataset's folder, listing crops, and names that do not parse."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from reidgen.data.images import ENDINGS
from reidgen.errors import DataError


def find_folder(root: Path, inner: Iterable[str], *, holds: Sequence[str], dataset: str) -> Path:
    """The first of `root` and the given folders in it that holds one of the files or folders named.

    Raises:
        DataError: None does.
    """
    for folder in (root, *(root / name for name in inner)):
        if any((folder / name).exists() for name in holds):
            return folder
    found = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    raise DataError(
        f"{root} is no {dataset} folder.",
        got=(", ".join(found[:8]) + (", ..." if len(found) > 8 else "") or "an empty folder")
        if root.is_dir()
        else "no such folder",
        allowed=f"a folder with {' or '.join(holds)}",
        fix="--root with the folder as it was unpacked",
    )


def crop_names(folder: Path) -> list[str]:
    """The names of the image files of a folder, sorted; hidden files and other endings (Thumbs.db) are no crops."""
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if Path(name).suffix.lower() in ENDINGS and not name.startswith("."))


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
