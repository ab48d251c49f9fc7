"""CUHK03 (Li et al. 2014) under the new protocol of Zhong et al. 2017: 767 people to train, 700 to test, 2 cameras."""

import json
import re
from pathlib import Path
from typing import Any

from reidgen.config import PrepareConfig
from reidgen.data.readers.counts import check
from reidgen.data.readers.market1501 import read_tree
from reidgen.data.readers.names import find_folder, parse, read_text
from reidgen.data.table import FOLDERS, ReidTable
from reidgen.errors import DataError, option

FIX = (
    f"{option('root')} with CUHK03-NP as it was unpacked, or with what torchreid extracts; the authors' cuhk-03.mat "
    "alone is not read and has to be extracted first"
)
INNER = ("cuhk03-np", "CUHK03-NP", "cuhk03", "CUHK03")
VARIANTS = ("detected", "labeled")
EXTRACTED = re.compile(r"(?P<pair>[1-5])_(?P<person>\d{3})_(?P<view>[12])_(?P<image>\d{2})\.\w+")
EXAMPLE = "PAIR_PERSON_VIEW_IMAGE.png, such as 1_001_1_01.png"
# People in each of the five camera pairs before it: the set's own numbers run through the pairs.
PEOPLE_BEFORE = {1: 0, 2: 843, 3: 1_283, 4: 1_360, 5: 1_418}
PUBLISHED = {
    "detected": {
        "train": {"crops": 7_365, "people": 767},
        "query": {"crops": 1_400, "people": 700},
        "gallery": {"crops": 5_332, "people": 700},
    },
    "labeled": {
        "train": {"crops": 7_368, "people": 767},
        "query": {"crops": 1_400, "people": 700},
        "gallery": {"crops": 5_328, "people": 700},
    },
}


def read(root: Path, config: PrepareConfig) -> ReidTable:
    """Read the boxes of `config.variant` from the CUHK03-NP folders as published, or from torchreid's extracted layout.

    CUHK03-NP: `detected/` or `labeled/` with `bounding_box_train`, `query` and `bounding_box_test`, names such as
    0001_c1_1.png. torchreid: `images_detected/` with 1_001_1_01.png and `splits_new_detected.json`. Both give the set's
    own numbers of people, 1 to 1,467.

    Raises:
        DataError: The folder, a name or the counts are not those of CUHK03.
    """
    variant = config.variant
    splits = f"splits_new_{variant}.json"
    holds, dataset = (variant, splits, *FOLDERS.values()), f"CUHK03 ({variant} boxes)"
    folder = find_folder(root, INNER, holds=holds, dataset=dataset, fix=FIX)
    name = f"CUHK03 {variant}"
    if (folder / splits).is_file():
        table = _read_extracted(folder, variant, name)
    elif (folder / variant).is_dir():
        table = read_tree(folder / variant, name=name)
    else:
        _check_variant(folder, variant)
        table = read_tree(folder, name=name)
    return check(table, PUBLISHED[variant], config.expect_counts)


def _check_variant(folder: Path, variant: str) -> None:
    if folder.name in VARIANTS and folder.name != variant:
        raise DataError(f"{folder} holds other boxes than were asked for.", got=f"the folder {folder.name}",
                        allowed=f"the folder {variant}", fix=option(variant=folder.name))  # fmt: skip


def _read_extracted(folder: Path, variant: str, name: str) -> ReidTable:
    path, sub = folder / f"splits_new_{variant}.json", f"images_{variant}"
    rows = []
    for split, entries in _read_splits(path).items():
        names = [Path(entry[0]).name for entry in entries]
        fix = "let torchreid write the folder again"
        for file, camid, found in zip(
            names,
            (entry[2] for entry in entries),
            parse(EXTRACTED, names, folder=folder / sub, example=EXAMPLE, fix=fix),
            strict=True,
        ):
            row = _row(f"{sub}/{file}", split, found)
            if camid + 1 != row["camid"]:
                raise DataError(f"{path} and the name {file} disagree on the camera.", got=f"{camid} in the file",
                                allowed=f"{row['camid'] - 1}, which is counted from 0", fix=fix)  # fmt: skip
            rows.append(row)
    return ReidTable.from_rows(rows, root=folder, name=name)


def _read_splits(path: Path) -> dict[str, list[tuple[str, int, int]]]:
    """The entries (path, person, camera from 0) of the new protocol's one split; the paths are of another machine."""
    try:
        (split,) = json.loads(read_text(path))
        return {name: [(str(file), int(pid), int(camid)) for file, pid, camid in split[name]] for name in FOLDERS}
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise DataError(
            f"{path} is not torchreid's split file of the new protocol.",
            got=f"{type(error).__name__}: {error}",
            allowed="a list of one split with train, query and gallery, each a list of [path, pid, camid]",
            fix="let torchreid write the folder again",
        ) from error


def _row(file_name: str, split: str, found: re.Match[str]) -> dict[str, Any]:
    pair = int(found["pair"])
    return {
        "file_name": file_name,
        "pid": PEOPLE_BEFORE[pair] + int(found["person"]),
        "camid": int(found["view"]),
        "split": split,
        "seq": pair,
        "frame": int(found["image"]),
    }
