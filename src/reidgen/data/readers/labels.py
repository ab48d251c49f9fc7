"""Lists that people keep beside their crops: a CSV file of labels, a file that says which crop is in which split."""

import csv
import io
from pathlib import Path

from reidgen.data.readers.names import read_text
from reidgen.errors import DataError, option

REQUIRED, OPTIONAL = ("path", "pid"), ("camid", "split", "seq", "frame")


def labelled(root: Path, file: Path) -> list[tuple[str, dict[str, str | None]]]:
    """The images that a CSV file names, relative to `root`, and what it says of each; other columns are left aside.

    Raises:
        DataError: The file or an image is missing, a column is, an image is named twice, or lies outside of `root`.
    """
    reader = csv.DictReader(io.StringIO(_text(file, "labels")))
    columns = reader.fieldnames or ()
    if not set(REQUIRED) <= set(columns):
        raise DataError(f"{file} lacks columns.", got=", ".join(columns) or "an empty file",
                        allowed=f"{', '.join(REQUIRED)}, and optionally {', '.join(OPTIONAL)}",
                        fix="a first line such as path,pid,camid,split")  # fmt: skip
    known = [name for name in ("pid", *OPTIONAL) if name in columns]
    found: dict[str, dict[str, str | None]] = {}
    for number, row in enumerate(reader, start=2):
        path = _inside(row["path"] or "", root, f"line {number} of {file}")
        if path in found:
            raise DataError(f"{file} names an image twice.", got=f"{path}, again in line {number}",
                            allowed="one line an image")  # fmt: skip
        found[path] = {name: (row[name] or "").strip() for name in known}
    _check_there(root, file, list(found))
    return list(found.items())


def splits_of(file: Path) -> dict[str, str]:
    """The split of each path of a list: one line each, the path and then train, query, gallery or test.

    Raises:
        DataError: The file is missing, or a line is not of that form.
    """
    found = {}
    for number, line in enumerate(_text(file, "split_by").splitlines(), start=1):
        path, comma, split = line.strip().rpartition("," if "," in line else " ")
        split = {"test": "gallery"}.get(split.strip(), split.strip())
        if not line.strip():
            continue
        if not comma or split not in ("train", "query", "gallery"):
            raise DataError(f"Line {number} of {file} does not say a split.", got=line.strip()[:80],
                            allowed="PATH,SPLIT with train, query, gallery or test")  # fmt: skip
        found[Path(path.strip()).as_posix()] = split
    return found


def _text(file: Path, field: str) -> str:
    if not file.is_file():
        raise DataError(f"There is no file {file}.", got="no such file", allowed="a text file",
                        fix=f"{option(field)} with its path")  # fmt: skip
    return read_text(file).removeprefix("\ufeff")  # which spreadsheets write


def _inside(path: str, root: Path, where: str) -> str:
    if not path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise DataError(f"A path in {where} is not inside the dataset.", got=path or "nothing",
                        allowed=f"paths relative to {root}")  # fmt: skip
    return Path(path).as_posix()


def _check_there(root: Path, file: Path, paths: list[str]) -> None:
    if not paths:
        raise DataError(f"{file} names no image.", got="a header alone", allowed="a line for each image")
    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        fix = f"{option('root')} with the folder that the paths start from"
        raise DataError(f"{file} names images that are not there.", got=f"{root / missing[0]}{more}",
                        allowed=f"files below {root}", fix=fix)  # fmt: skip
