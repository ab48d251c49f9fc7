"""Any folder of crops whose paths say who and where, described by a regular expression."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidgen.config import PrepareConfig
from reidgen.config.folders import named
from reidgen.data.pixels.images import ENDINGS
from reidgen.data.readers.labels import labelled
from reidgen.data.readers.names import images_in, unparsed
from reidgen.data.readers.splitting import split
from reidgen.data.table import DISTRACTOR, JUNK, ReidTable
from reidgen.errors import ConfigError, DataError, option

REQUIRED, OPTIONAL = ("pid",), ("camid", "seq", "frame", "split")
SPLITS = {
    "train": "train",
    "bounding_box_train": "train",
    "query": "query",
    "gallery": "gallery",
    "test": "gallery",
    "bounding_box_test": "gallery",
}
NO_CAMERAS = {"train": 1, "query": 1, "gallery": 2}  # so that the query's camera removes nothing from its gallery
EXAMPLE = r"(?P<pid>\d+)_c(?P<camid>\d+)"
Said = list[tuple[str, dict[str, str | None]]]  # each image, and what its path or a table says of it


def read(root: Path, config: PrepareConfig) -> ReidTable:
    """Read all images below `root` by a pattern, or those that a CSV file names.

    The pattern is searched in each path relative to `root`, with "/" between folders. Its group, or the file's column,
    pid is required; camid, seq and frame, whole numbers, and split (train, query, gallery or test, Market-1501's folder
    names, or those of `config.split_names`) are optional. Without camid, gallery crops are of camera 2 and all others
    of camera 1. Without split every crop is in the train split. `config.split` makes another one.

    Whole numbers of people are kept as they are, -1 (also as 00-1) for junk and 0 for distractors as in Market-1501.
    Other names, and a person 0 of train or query, who cannot be a distractor, are numbered after the largest number,
    in natural order; cameras likewise, or by `config.camera_map`. `source_pid` and `source_camid` keep the names.

    Raises:
        ConfigError: The pattern is missing, no regular expression, or lacks a group.
        DataError: There are no images, a folder may not be read, or a path does not match.
    """
    said = _by_pattern(root, config) if config.labels is None else labelled(root, Path(config.labels))
    splits = SPLITS | named("split_names", config.split_names)
    rows = [_row(file, groups, root, splits) for file, groups in said]
    _number_cameras(rows, config.cameras())
    _number_people(rows)
    if config.split is not None:
        rows = split(rows, config, own=any(groups.get("split") for _, groups in said))
    without = all(row["source_camid"] is None for row in rows)
    for row in rows:
        row["camid"] = NO_CAMERAS[row["split"]] if without else row["camid"]
    return ReidTable.from_rows(rows, root=root, name=root.name)


def _by_pattern(root: Path, config: PrepareConfig) -> Said:
    pattern = _compiled(config.pattern)
    found = [(file, pattern.search(file)) for file in images_below(root)]
    wrong = [file for file, match in found if match is None]
    if wrong and (not config.skip_unmatched or len(wrong) == len(found)):
        raise unparsed(wrong, pattern, folder=root, example="paths in which the pattern is found",
                       fix=f"widen {option('pattern')}, or {option(skip_unmatched=True)}")  # fmt: skip
    return [(file, match.groupdict()) for file, match in found if match is not None]


def whole(name: str) -> int | None:
    """The number that a name is: -1 for junk (in MARS 00-1), or a whole number that a table can hold."""
    if re.fullmatch(r"0*-1", name):
        return JUNK
    return int(name) if re.fullmatch(r"\d{1,18}", name) else None


def _compiled(text: str | None) -> re.Pattern[str]:
    groups = (
        "a regular expression with the named group pid, and camid unless nobody knows the cameras; optionally seq, "
        "frame, split"
    )
    fix = option(pattern=EXAMPLE)
    if text is None:
        raise ConfigError(
            f"{option(dataset='folder')} needs {option('pattern')} or {option('labels')}.",
            got="neither",
            allowed=groups,
            fix=fix,
        )
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{option('pattern')} must be a regular expression.", got=f"{text} ({error})", allowed=groups, fix=fix
        ) from error
    missing = [group for group in REQUIRED if group not in pattern.groupindex]
    unknown = [group for group in pattern.groupindex if group not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        given = ", ".join(pattern.groupindex) or "no named group"
        raise ConfigError(f"{option('pattern')} has not the groups that it needs.", got=given, allowed=groups, fix=fix)
    return pattern


def images_below(root: Path, *, field: str = "root") -> list[str]:
    """Paths of all image files below a folder, relative to it, sorted; hidden ones and linked folders are left out.

    Args:
        root: The folder.
        field: The argument with which the user gave it.

    Raises:
        DataError: There is no such folder, no image in it, or a folder in it that may not be read.
    """
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}.",
            got="no such folder",
            allowed="a folder of crops",
            fix=option(**{field: "FOLDER"}),
        )
    files, folders = [], [Path()]
    while folders:
        folder = folders.pop()
        names, inner = images_in(root / folder)
        files += [(folder / name).as_posix() for name in names]
        folders += [folder / name for name in inner]
    if not files:
        linked = sorted(path.name for path in root.iterdir() if path.is_symlink() and path.is_dir())
        raise DataError(
            f"{root} holds links to folders, which are not followed." if linked else f"{root} holds no images.",
            got=f"{len(linked):,} links: {', '.join(linked[:5])}" if linked else "no file with a known ending",
            allowed=" ".join(ENDINGS),
            fix=f"{option(field)} with the folder of the crops",
        )
    return sorted(files)


def _row(file: str, groups: dict[str, str | None], root: Path, splits: dict[str, str]) -> dict[str, Any]:
    split = splits.get(groups.get("split") or "train")
    if split is None:
        raise DataError(f"{root / file} is in a split that is not known.", got=groups["split"],
                        allowed=", ".join(splits), fix=option(split_names=f"{groups['split']}=train"))  # fmt: skip
    for group in ("pid", "camid"):
        if group in groups and not groups[group]:
            raise DataError(f"{root / file} has an empty {group}.", got="a group that matched nothing",
                            allowed="a name",
                            fix=f"{option('pattern')} with a group {group} that always matches")  # fmt: skip
    numbers = {name: groups.get(name) for name in ("seq", "frame")}
    for name, text in numbers.items():
        if text is not None and not (text.isdecimal() and len(text) <= 18):
            raise DataError(f"{root / file} has a {name} that is not a number.", got=text,
                            allowed="a whole number of 18 digits at the most",
                            fix=f"{option('pattern')} with (?P<{name}>\\d+)")  # fmt: skip
    return {
        "file_name": file,
        "source_pid": groups["pid"],
        "source_camid": groups.get("camid"),
        "split": split,
        "seq": int(numbers["seq"] or 1),
        "frame": int(numbers["frame"] or 0),
    }


def _number_cameras(rows: list[dict[str, Any]], given: dict[str, int]) -> None:
    names = {row["source_camid"] or "1" for row in rows}
    unknown = _natural(names - given.keys())
    if given and unknown:
        raise DataError(f"{option('camera_map')} lacks cameras.", got=", ".join(unknown[:8]),
                        allowed=f"a number for each of the {len(names):,} cameras",
                        fix=option(camera_map=f"{','.join(unknown[:8])}={max(given.values()) + 1}"))  # fmt: skip
    numbers = given or _numbered({name: None if whole(name) == JUNK else whole(name) for name in names})
    for row in rows:
        row["camid"] = numbers[row["source_camid"] or "1"]


def _number_people(rows: list[dict[str, Any]]) -> None:
    asked = any(whole(row["source_pid"]) == DISTRACTOR and row["split"] != "gallery" for row in rows)
    known = {row["source_pid"]: whole(row["source_pid"]) for row in rows}
    numbers = _numbered({name: None if asked and pid == DISTRACTOR else pid for name, pid in known.items()})
    for row in rows:
        row["pid"] = numbers[row["source_pid"]]


def _numbered(numbers: dict[str, int | None]) -> dict[str, int]:
    """A number for each name: its own, or one after the largest of those."""
    first = max([0, *(number for number in numbers.values() if number is not None)]) + 1
    others = _natural(name for name, number in numbers.items() if number is None)
    return {name: number for name, number in numbers.items() if number is not None} | {
        name: number for number, name in enumerate(others, start=first)
    }


def _natural(names: Iterable[str]) -> list[str]:
    """Distinct names in the order people expect: a2 before a10."""
    return sorted(
        set(names), key=lambda name: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
    )
