"""`reidgen annotate --what mesh`: grey pictures of bodies, turned by some angles, as files of the table."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from PIL import Image

from reidgen.annotate.bodies.body import Body
from reidgen.annotate.bodies.skeleton import mean_body, skeleton
from reidgen.annotate.masks import MaskFolder, read_mask
from reidgen.annotate.truth import overlap
from reidgen.config.annotate import AnnotateConfig
from reidgen.data.pixels.images import read_size
from reidgen.data.schema import MESH
from reidgen.data.table import ReidTable
from reidgen.data.tree import free_map
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import DataError, option
from reidgen.files import Crops, link_or_copy, write_bytes
from reidgen.render.bodies.body import body_model, load_anny

if TYPE_CHECKING:
    from reidgen.render.grey import GreyStudio

BLOCK = 32  # crops whose pictures are told to be there together


class MeshFolders:
    """Pictures of another tool: a folder for each angle, named by it, of pictures with the crops' names.

    Args:
        path: The folder of the folders.
        config: Says which angles, and the pictures' size.

    Raises:
        DataError: An angle has no folder.
    """

    def __init__(self, path: Path, config: AnnotateConfig) -> None:
        missing = [angle for angle in config.angles if not (path / str(angle)).is_dir()]
        if missing:
            raise DataError(
                f"{path} has no pictures of bodies that are turned by {missing[0]} degrees.",
                got="no such folder" if not path.is_dir() else f"no folder {path / str(missing[0])}",
                allowed=f"a folder for each of {option('angles')}, or {option(meshes='anny')}",
                fix=f"add {path / str(missing[0])}, with a picture for each crop by its name",
            )
        self.path, self.size = path, config.mesh_size
        self.folders = {angle: MaskFolder(path / str(angle)) for angle in config.angles}

    def files(self, names: Sequence[str]) -> dict[int, list[Path | None]]:
        """Of each angle the file of each crop, by its `file_name`; None where there is none.

        Raises:
            DataError: No crop has one, or one has another size.
        """
        found = {angle: [folder.file(name) for name in names] for angle, folder in self.folders.items()}
        for angle, files in found.items():
            if not any(files):
                raise DataError(
                    f"{self.path / str(angle)} has no picture with the name of a crop.",
                    got=f"{len(self.folders[angle].all):,} pictures",
                    allowed=f"names of crops, such as {Path(names[0]).with_suffix('.png')}",
                )
            for file in filter(None, files):
                if (size := read_size(file)) != self.size:
                    raise DataError(
                        f"{file} has another size than the others shall have.",
                        got=f"{size[0]}x{size[1]}",
                        allowed=f"{self.size[0]}x{self.size[1]}",
                        fix=option(mesh_size=size),
                    )
        return found


def with_meshes(
    table: ReidTable, config: AnnotateConfig, *, folders: MeshFolders | None, kept: ScoreFolder, crops: Crops
) -> ReidTable:
    """A written table with the columns mesh_N and, where it has masks, body_overlap; the pictures are written.

    Args:
        table: Crops, with the column `body` unless there are folders.
        config: Which angles, how large.
        folders: Pictures of another tool.
        kept: Where it is noted which are written.
        crops: Whether another tool's pictures are linked or copied.
    """
    columns = {angle: f"{MESH}{angle}" for angle in config.angles}
    if folders is not None:
        files = folders.files(table.rows["file_name"].to_list())
        there = {angle: [file is not None for file in found] for angle, found in files.items()}
    else:
        there = dict.fromkeys(config.angles, table.rows["body"].is_not_null().to_list())
    targets = {angle: _targets(table, column, there[angle]) for angle, column in columns.items()}
    if folders is not None:
        for angle, found in files.items():
            for file, target in zip(found, targets[angle], strict=True):
                if file is not None and target is not None:
                    (Path(table.rows["root"][0]) / target).parent.mkdir(parents=True, exist_ok=True)
                    link_or_copy(file, Path(table.rows["root"][0]) / target, crops=crops)
        rows = table.rows
    else:
        rows = table.rows.with_columns(body_overlap=pl.Series(_drawn(table, config, targets, kept)).fill_nan(None))
    added = [pl.Series(column, targets[angle], dtype=pl.String) for angle, column in columns.items()]
    return dataclasses.replace(table, rows=rows.with_columns(added))


def _targets(table: ReidTable, column: str, there: Sequence[bool]) -> list[str | None]:
    taken: set[str] = set()
    out: list[str | None] = []
    for crop, made in zip(table.rows["file_name"], there, strict=True):
        out.append(free_map(column, crop, ".png", taken) if made else None)
        taken.update(filter(None, out[-1:]))
    return out


def _drawn(
    table: ReidTable, config: AnnotateConfig, targets: dict[int, list[str | None]], kept: ScoreFolder
) -> np.ndarray:
    """Write the pictures; IoU of each crop's mask with the body as it stands, or not a number, (N,)."""
    load_anny()
    from reidgen.render.grey import GreyStudio  # needs what has just been looked for

    studio = GreyStudio(body_model(), mean_body())
    known: list[dict[str, Any]] = table.rows.to_dicts()

    def draw(part: slice) -> np.ndarray:
        return np.array(
            [
                _draw(studio, row, {angle: targets[angle][number] for angle in targets}, config.mesh_size)
                for number, row in enumerate(known[part], part.start)
            ]
        )

    return in_blocks("mesh renders (crops)", len(known), draw, kept=kept, block=BLOCK)


def _draw(studio: "GreyStudio", row: dict[str, Any], targets: dict[int, str | None], size: tuple[int, int]) -> float:
    if row["body"] is None:
        return float("nan")
    body = Body.of(row["body"], row["file_name"])
    studio.bend(dict(zip(skeleton().names, np.radians(body.angles), strict=True)))
    own = read_size(Path(row["root"]) / row["file_name"])
    pictures = {angle: shown(studio, body, angle, own, size) for angle in targets}
    for angle, target in targets.items():
        if target is not None:
            stream = io.BytesIO()
            Image.fromarray(pictures[angle]).save(stream, "PNG", compress_level=1)
            write_bytes(Path(row["root"]) / target, stream.getvalue())
    if row.get("mask") is None:
        return float("nan")
    standing = pictures[0] if 0 in pictures and own == size else shown(studio, body, 0, own, own)
    return round(overlap(standing > 0, read_mask(Path(row["root"]) / row["mask"])), 4)


def shown(studio: "GreyStudio", body: Body, angle: int, own: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """A body that has been bent, turned by so many degrees, uint8 (H, W).

    Args:
        studio: With the body's pose.
        body: Where it is on its crop.
        angle: Degrees.
        own: (height, width) of the crop.
        size: (height, width) of the picture.
    """
    down, right = size[0] / own[0], size[1] / own[1]
    scale = body.scale[0] * right, body.scale[1] * down
    return studio.show(body.axes(angle), scale, (body.place[0] * right, body.place[1] * down), size)
