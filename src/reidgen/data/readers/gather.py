"""Crops from wherever they lie: a table, any folder of images, or one image; whether they say who is on them or not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from reidgen.data.disk.notes import as_asked, passed_over, tell
from reidgen.data.pixels.images import ENDINGS
from reidgen.data.readers.folder import images_below
from reidgen.data.readers.market1501 import PATTERN
from reidgen.data.table import DISTRACTOR, ReidTable
from reidgen.data.tree import holds_table
from reidgen.errors import DataError, option


@dataclass(frozen=True, eq=False)
class Gathered:
    """Crops, of which some may be of nobody knows whom.

    Attributes:
        table: The crops; pid and camid are 0 where nobody knows.
        known: bool (N,), whether pid and camid of a crop say who is on it and which camera saw it.
    """

    table: ReidTable
    known: np.ndarray


def gather_crops(
    path: Path | str, split: Literal["query", "gallery"], *, pictures: Literal["as-shown"] | None = None
) -> Gathered:
    """The crops at a path.

    Of a folder that reidgen wrote, the given split, or all crops where that split is empty. Of any other folder all
    images below it, of a file that one image; people and cameras are known where a file's name is like Market-1501's.

    Args:
        path: A folder or an image file.
        split: What the crops are for.
        pictures: "as-shown" for pixels as a viewer shows them, None for pixels as they are stored. Which of them that
            concerns is told on the error stream.

    Raises:
        DataError: There is nothing at the path, no image in it, or a table that cannot be read.
    """
    path = Path(path)
    if holds_table(path):
        table = ReidTable.read(path)
        part = table.query if split == "query" else table.gallery
        chosen = part if len(part) else table
        chosen = as_asked(chosen, pictures) if pictures else chosen  # prepare has told of them
        return Gathered(chosen, np.ones(len(chosen), dtype=bool))
    if path.is_file() and path.suffix.lower() in ENDINGS:
        return _named(path.parent, [path.name], split, pictures)
    if not path.is_dir():
        raise DataError(
            f"There are no crops at {path}.",
            got="a file that is not an image" if path.exists() else "no such file or folder",
            allowed=f"a folder of images, a folder written by reidgen, or an image ({' '.join(ENDINGS)})",
        )
    found = _named(path, images_below(path, field=split), split, pictures)
    tell(passed_over(path, found.table))
    return found


def _named(root: Path, files: list[str], split: str, pictures: str | None) -> Gathered:
    found = [PATTERN.fullmatch(Path(file).name) for file in files]
    people = [(int(match["pid"]), int(match["camid"])) if match else (DISTRACTOR, 0) for match in found]
    rows = [
        {"file_name": file, "pid": pid, "camid": camid, "split": split}
        for file, (pid, camid) in zip(files, people, strict=True)
    ]
    known = np.array([match is not None for match in found], dtype=bool)
    table = ReidTable.from_rows(rows, root=root, name=root.name)
    return Gathered(as_asked(table, pictures, otherwise=f"; {option(pictures='as-shown')} otherwise"), known)
