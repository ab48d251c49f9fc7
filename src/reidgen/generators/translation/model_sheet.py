"""The picture of a translation: crops, what was made of them, and real crops of the targets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from reidgen.data.pixels.images import read_rgb
from reidgen.data.schema import paths_of
from reidgen.data.table import ReidTable
from reidgen.generators.pictures.grids import Block, stack

PEOPLE = 16  # at most


def model_sheet(made: ReidTable, crops: ReidTable, presets: Mapping[str, str], size: tuple[int, int]) -> np.ndarray:
    """A row a person, and below a row a target camera: uint8 (H, W, 3), as in Kolbeinsson 2019, figure 17.

    A camera's row has real crops of anybody.

    Args:
        made: Translated crops.
        crops: The real ones that they were made of, and those of the targets.
        presets: That of each translator, by its hash.
        size: (height, width) of the cells.
    """
    labels, rows = people_rows(made, crops, presets)
    targets = made.rows["target_camid"].unique().sort().to_list()
    cameras = [_spread(crops.where(pl.col("camid") == target).paths, len(labels)) for target in targets]
    title = "crops; what was made of them: preset, camera; the person there"
    return stack(
        [
            Block(_cells(list(rows.values()), size), title, [f"person {pid}" for pid in rows], labels),
            Block(_cells(cameras, size), "real crops", [f"camera {one}" for one in targets], [""] * len(labels)),
        ]
    )


def people_rows(
    made: ReidTable, crops: ReidTable, presets: Mapping[str, str]
) -> tuple[list[str], dict[int, list[Path | None]]]:
    """Labels of the columns, and the files of each person's row, None where there is none.

    Columns: a crop, all that was made of it, by preset and target, and a real crop of the person by each target.

    Args:
        made: As `model_sheet`.
        crops: Likewise.
        presets: Likewise.
    """
    labelled = made.rows.with_columns(preset=pl.col("generator").replace_strict(presets))
    keys = ["preset", "target_camid"]
    most = labelled.group_by("parent", *keys).len().group_by(keys).agg(pl.max("len")).sort(keys).rows()
    targets = made.rows["target_camid"].unique().sort().to_list()
    labels = ["crop"]
    for preset, target, count in most:
        labels += [f"{preset}, {target}"] * count
    labels += [f"real, {target}" for target in targets]
    rows: dict[int, list[Path | None]] = {}
    for pid, parent in made.rows.unique("pid", keep="first", maintain_order=True).head(PEOPLE)["pid", "parent"].rows():
        row: list[Path | None] = [*crops.where(pl.col("file_name") == parent).paths]
        for preset, target, count in most:
            paths = paths_of(labelled.filter(parent=parent, preset=preset, target_camid=target))
            row += [*paths, *[None] * (count - len(paths))]
        person = crops.where(pl.col("pid") == pid)
        row += [next(iter(person.where(pl.col("camid") == target).paths), None) for target in targets]
        rows[pid] = row
    return labels, rows


def _spread(paths: Sequence[Path], count: int) -> list[Path | None]:
    """So many of the files, from first to last."""
    if not paths:
        return [None] * count
    return [paths[place] for place in np.linspace(0, len(paths) - 1, count).astype(int)]


def _cells(rows: Sequence[Sequence[Path | None]], size: tuple[int, int]) -> np.ndarray:
    """The pictures, uint8 (R, C, H, W, 3); white where there is none."""
    cells = np.full((len(rows), len(rows[0]), *size, 3), 255, np.uint8)
    for row, paths in enumerate(rows):
        for column, path in enumerate(paths):
            if path is not None:
                cells[row, column] = np.asarray(read_rgb(path, size=size))
    return cells
