"""MSMT17 (Wei et al. 2018), versions 1 and 2: crops in a folder a person, splits in text files."""

import re
from pathlib import Path
from typing import Any

from reidgen.config import PrepareConfig
from reidgen.data.readers.counts import check
from reidgen.data.readers.names import find_folder, parse, read_text
from reidgen.data.table import ReidTable
from reidgen.errors import DataError

LINE = re.compile(r"(?P<path>\S+)\s+(?P<pid>\d{1,18})")
NAME = re.compile(r"\d+_\d+_(?P<camid>\d{1,18})(?:_(?P<date>\d{4})(?P<part>[a-z]+)_(?P<frame>\d{1,18}))?(?:_.*)?\.\w+")
EXAMPLE = "PID_INDEX_CAMERA_TIME_FRAME_BOX.jpg, such as 0000_045_12_0303morning_0006_2.jpg"
FIX = "download and unpack the set again"
INNER = ("MSMT17_V1", "MSMT17_V2", "MSMT17", "msmt17", "msmt17/MSMT17_V1", "msmt17/MSMT17_V2")
LISTS = {"list_train.txt": "train", "list_val.txt": "train", "list_query.txt": "query", "list_gallery.txt": "gallery"}
VERSIONS = {"MSMT17 v1": ("train", "test"), "MSMT17 v2": ("mask_train_v2", "mask_test_v2")}
PARTS = {"morning": 1, "noon": 2, "afternoon": 3}
CAMERAS = 15
TRAIN_PEOPLE = 1_041
PUBLISHED = {
    "train": {"crops": 32_621, "people": TRAIN_PEOPLE},
    "query": {"crops": 11_659, "people": 3_060},
    "gallery": {"crops": 82_161, "people": 3_060},
}


def read(root: Path, config: PrepareConfig) -> ReidTable:
    """Read the four lists; the train split is list_train.txt and list_val.txt together, told apart in column `subset`.

    MSMT17 numbers the people of train and test from 0 each. Here train people are 1 to 1,041 and test people follow, as
    0 marks distractors and no two people may share a number; `source_pid` keeps the set's own, such as "test/0000".
    `seq` is the date and 1 to 3 for morning, noon and afternoon: 0303noon is 3032.

    Raises:
        DataError: The folder, a line of a list, a name or the counts are not those of MSMT17.
    """
    folder = find_folder(root, INNER, holds=tuple(LISTS), dataset="MSMT17")
    name, subs = _version(folder)
    lists = {file: _read_list(folder, file, subs[split != "train"]) for file, split in LISTS.items()}
    people = [row["pid"] for file in ("list_train.txt", "list_val.txt") for row in lists[file]]
    first_test = max([TRAIN_PEOPLE, *(pid + 1 for pid in people)])
    rows = [_row(row, file, first_test) for file, rows in lists.items() for row in rows]
    return check(ReidTable.from_rows(rows, root=folder, name=name), PUBLISHED, config.expect_counts)


def _version(folder: Path) -> tuple[str, tuple[str, str]]:
    """Which version lies there, and its two image folders as they are spelt."""
    present = {path.name.lower(): path.name for path in folder.iterdir() if path.is_dir()}
    found = [(version, subs) for version, subs in VERSIONS.items() if set(subs) <= set(present)]
    if len(found) != 1:
        raise DataError(
            f"{folder} has not the image folders of one version of MSMT17.",
            got=", ".join(sorted(present.values())) or "no folders",
            allowed=" or ".join(" and ".join(subs) for subs in VERSIONS.values()),
            fix="unpack one version beside its lists",
        )
    version, (train, test) = found[0]
    return version, (present[train], present[test])


def _read_list(folder: Path, file: str, sub: str) -> list[dict[str, Any]]:
    path = folder / file
    if not path.is_file():
        raise DataError(f"{path} is missing.", got="no such file", allowed=", ".join(LISTS), fix=FIX)
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    found = parse(
        LINE, lines, folder=path, example="PATH PID, such as 0000/0000_000_01_0303morning_0008_0.jpg 0", fix=FIX
    )
    names = parse(NAME, [Path(line["path"]).name for line in found], folder=folder / sub, example=EXAMPLE, fix=FIX)
    if found and not (folder / sub / found[0]["path"]).is_file():
        raise DataError(f"{path} names files that are not there.", got=f"no {folder / sub / found[0]['path']}",
                        allowed=f"paths within {folder / sub}", fix=FIX)  # fmt: skip
    return [_parsed(line, name, path, sub) for line, name in zip(found, names, strict=True)]


def _parsed(line: re.Match[str], name: re.Match[str], path: Path, sub: str) -> dict[str, Any]:
    camid, part = int(name["camid"]), PARTS.get(name["part"] or "")
    if ".." in Path(line["path"]).parts or Path(line["path"]).is_absolute():
        raise DataError(f"{path} names a file outside of its folder.", got=line["path"],
                        allowed=f"paths within {sub}", fix=FIX)  # fmt: skip
    if not 1 <= camid <= CAMERAS:
        raise DataError(f"{path} has a camera that MSMT17 has not.", got=f"camera {camid} in {line['path']}",
                        allowed=f"1 to {CAMERAS}", fix=FIX)  # fmt: skip
    return {
        "file_name": f"{sub}/{line['path']}",
        "pid": int(line["pid"]),
        "camid": camid,
        "seq": int(name["date"]) * 10 + part if part else 1,
        "frame": int(name["frame"] or 0),
    }


def _row(row: dict[str, Any], file: str, first_test: int) -> dict[str, Any]:
    split, subset = LISTS[file], file.removeprefix("list_").removesuffix(".txt")
    side, offset = ("train", 0) if split == "train" else ("test", first_test)
    return row | {
        "split": split,
        "pid": row["pid"] + 1 + offset,
        "source_pid": f"{side}/{row['pid']:04d}",
        "subset": subset,
    }
