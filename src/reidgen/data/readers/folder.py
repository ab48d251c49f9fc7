"""Any folder of crops whose paths say who and where, described by a regular expression."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidgen.config import PrepareConfig
from reidgen.data.images import ENDINGS
from reidgen.data.readers.names import unparsed
from reidgen.data.table import DISTRACTOR, JUNK, ReidTable
from reidgen.errors import ConfigError, DataError

REQUIRED, OPTIONAL = ("pid", "camid"), ("seq", "frame", "split")
SPLITS = {
    "train": "train",
    "bounding_box_train": "train",
    "query": "query",
    "gallery": "gallery",
    "test": "gallery",
    "bounding_box_test": "gallery",
}
EXAMPLE = r"(?P<pid>\d+)_c(?P<camid>\d+)"


def read(root: Path, config: PrepareConfig) -> ReidTable:
    """Read all images below `root`; the pattern is searched in each path relative to it, with "/" between folders.

    The named groups pid and camid are required; seq and frame, whole numbers, and split (train, query, gallery or test,
    or Market-1501's folder names) are optional. Without split every crop is in the train split.

    Whole numbers of people are kept as they are, -1 for junk and 0 for distractors as in Market-1501. Where a name is
    no number, or a person 0 is in train or query and so cannot be a distractor, people are numbered from 1 in the
    natural order of their names; cameras likewise where one is no number. `source_pid` and `source_camid` keep the
    names.

    Raises:
        ConfigError: The pattern is missing, no regular expression, or lacks a group.
        DataError: There are no images, or a path does not match.
    """
    pattern = _compiled(config.pattern)
    files = images_below(root)
    found = [(file, pattern.search(file)) for file in files]
    wrong = [file for file, match in found if match is None]
    if wrong:
        raise unparsed(wrong, pattern, folder=root, example="paths in which the pattern is found",
                       fix="widen --pattern, or move the other images away")  # fmt: skip
    rows = [_row(file, match.groupdict(), root) for file, match in found if match is not None]
    _number_cameras(rows)
    _number_people(rows)
    return ReidTable.from_rows(rows, root=root, name=root.name)


def _compiled(text: str | None) -> re.Pattern[str]:
    groups = "a regular expression with the named groups pid and camid, and optionally seq, frame, split"
    fix = f"--pattern '{EXAMPLE}'"
    if text is None:
        raise ConfigError("--dataset folder needs --pattern.", got="no pattern", allowed=groups, fix=fix)
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(
            "--pattern is no regular expression.", got=f"{text} ({error})", allowed=groups, fix=fix
        ) from error
    missing = [group for group in REQUIRED if group not in pattern.groupindex]
    unknown = [group for group in pattern.groupindex if group not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        given = ", ".join(pattern.groupindex) or "no named group"
        raise ConfigError("--pattern has not the groups that it needs.", got=given, allowed=groups, fix=fix)
    return pattern


def images_below(root: Path, *, option: str = "--root") -> list[str]:
    """Paths of all image files below a folder, relative to it, sorted; hidden ones are left out.

    Args:
        root: The folder.
        option: Where the user gave it.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}.", got="no such folder", allowed="a folder of crops", fix=f"{option} FOLDER"
        )
    paths = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    files = sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    if not files:
        raise DataError(f"{root} holds no images.", got="no file with a known ending", allowed=" ".join(ENDINGS),
                        fix=f"{option} with the folder of the crops")  # fmt: skip
    return files


def _row(file: str, groups: dict[str, str | None], root: Path) -> dict[str, Any]:
    split = SPLITS.get(groups.get("split") or "train")
    if split is None:
        raise DataError(f"{root / file} is in a split that is not known.", got=groups["split"],
                        allowed=", ".join(SPLITS),
                        fix="rename the folder, or leave the group split out of --pattern")  # fmt: skip
    for group in REQUIRED:
        if not groups[group]:
            raise DataError(f"{root / file} has an empty {group}.", got="a group that matched nothing",
                            allowed="a name", fix=f"--pattern with a group {group} that always matches")  # fmt: skip
    numbers = {name: groups.get(name) for name in ("seq", "frame")}
    for name, text in numbers.items():
        if text is not None and not text.isdecimal():
            raise DataError(f"{root / file} has a {name} that is no number.", got=text, allowed="a whole number",
                            fix=f"--pattern with (?P<{name}>\\d+)")  # fmt: skip
    return {
        "file_name": file,
        "pid": groups["pid"],
        "camid": groups["camid"],
        "split": split,
        "seq": int(numbers["seq"] or 1),
        "frame": int(numbers["frame"] or 0),
    }


def _number_cameras(rows: list[dict[str, Any]]) -> None:
    if all(row["camid"].isdecimal() for row in rows):
        numbers = {row["camid"]: int(row["camid"]) for row in rows}
    else:
        numbers = {name: i for i, name in enumerate(_natural(row["camid"] for row in rows), start=1)}
    for row in rows:
        row["source_camid"], row["camid"] = row["camid"], numbers[row["camid"]]


def _number_people(rows: list[dict[str, Any]]) -> None:
    whole = all(re.fullmatch(r"-1|\d+", row["pid"]) for row in rows)
    if whole and not any(int(row["pid"]) == DISTRACTOR and row["split"] != "gallery" for row in rows):
        numbers = {row["pid"]: int(row["pid"]) for row in rows}
    else:
        names = _natural(row["pid"] for row in rows if row["pid"] != str(JUNK))
        numbers = {str(JUNK): JUNK, **{name: i for i, name in enumerate(names, start=1)}}
    for row in rows:
        row["source_pid"], row["pid"] = row["pid"], numbers[row["pid"]]


def _natural(names: Iterable[str]) -> list[str]:
    """Distinct names in the order people expect: a2 before a10."""
    return sorted(
        set(names), key=lambda name: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
    )
