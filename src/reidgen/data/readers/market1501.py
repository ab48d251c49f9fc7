"""Market-1501 (Zheng et al. 2015) and any other folder in its layout."""

import re
from pathlib import Path

from reidgen.config import PrepareConfig
from reidgen.data.readers.counts import check
from reidgen.data.readers.names import crop_names, find_folder, parse
from reidgen.data.table import FOLDERS, ReidTable
from reidgen.data.tree import holds_table
from reidgen.errors import DataError, option

PATTERN = re.compile(
    r"(?P<pid>-1|\d{1,18})_c(?P<camid>\d{1,18})(?:s(?P<seq>\d{1,18}))?(?:_(?P<frame>\d{1,18}))?(?:[_.].*)?\.\w+",
    re.ASCII,
)
EXAMPLE = "PID_cCsS_FRAME_BB.jpg, such as 0002_c1s1_000451_03.jpg"
FIX = f"rename or remove it, or describe the names: {option(dataset='folder')} {option(pattern='REGEX')}"
INNER = ("Market-1501-v15.09.15", "Market-1501", "market1501", "market1501/Market-1501-v15.09.15")
PUBLISHED = {
    "train": {"crops": 12_936, "people": 751, "distractors": 0, "junk": 0},
    "query": {"crops": 3_368, "people": 750, "distractors": 0, "junk": 0},
    "gallery": {"crops": 13_115, "people": 750, "distractors": 2_798, "junk": 3_819},
}


def read(root: Path, config: PrepareConfig) -> ReidTable:
    """Read `bounding_box_train`, `query` and `bounding_box_test`; pid 0 marks distractors, -1 junk.

    A folder that reidgen wrote is read from its tables, whatever its counts.

    Raises:
        DataError: The folder, a name or the counts are not those of Market-1501.
    """
    folder = find_folder(root, INNER, holds=tuple(FOLDERS.values()), dataset="Market-1501")
    if holds_table(folder):
        return ReidTable.read(folder)
    name = "Market-1501" if config.expect_counts == "check" else folder.absolute().name
    return check(read_tree(folder, name=name), PUBLISHED, config.expect_counts)


def read_crops(folder: Path) -> ReidTable:
    """Read one folder of crops whose file names say person and camera, such as gt_bbox, as gallery crops.

    Raises:
        DataError: There is no such folder, no image in it, or a name does not parse.
    """
    names = crop_names(folder)
    if not names:
        got = "no file with the ending of an image" if folder.is_dir() else "no such folder"
        raise DataError(f"{folder} holds no crops.", got=got, allowed=f"images named {EXAMPLE}")
    found = parse(PATTERN, names, folder=folder, example=EXAMPLE, fix="rename or remove it")
    people = [{"pid": int(match["pid"]), "camid": int(match["camid"])} for match in found]
    rows = [{"file_name": name, **who, "split": "gallery"} for name, who in zip(names, people, strict=True)]
    return ReidTable.from_rows(rows, root=folder, name=folder.name)


def read_tree(folder: Path, *, name: str) -> ReidTable:
    """Read a tree of three image folders whose file names say person and camera."""
    rows = []
    for split, sub in FOLDERS.items():
        names = crop_names(folder / sub)
        for file, found in zip(
            names, parse(PATTERN, names, folder=folder / sub, example=EXAMPLE, fix=FIX), strict=True
        ):
            rows.append(
                {
                    "file_name": f"{sub}/{file}",
                    "pid": int(found["pid"]),
                    "camid": int(found["camid"]),
                    "split": split,
                    "seq": int(found["seq"] or 1),
                    "frame": int(found["frame"] or 0),
                }
            )
    return ReidTable.from_rows(rows, root=folder, name=name)
