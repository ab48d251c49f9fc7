"""People from other sides, as a table."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reidgen.config.generators.views import RotateConfig
from reidgen.data.disk.threads import chunks
from reidgen.data.pixels.images import read_rgb
from reidgen.data.provenance.text import DIGITS
from reidgen.data.provenance.view import View
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.device import derive_seed
from reidgen.errors import DataError, option
from reidgen.files import sha256
from reidgen.generators.crops import check_maker, real_people, with_new_names, write_made
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.views.structures import shapes_of, with_structures
from reidgen.generators.views.trained_rotator import TrainedRotator
from reidgen.generators.views.views_training import OWN, ViewCrops

BATCH = 64  # crops regenerated at once
SHEET, SHEET_PEOPLE = "turned.png", 16


@dataclass(frozen=True)
class Planned:
    """One crop to be made: the rows of its parent and of the crop whose structure it gets, and how it is made."""

    parent: int
    donor: int
    operation: View


def rotate(
    rotator: TrainedRotator, table: ReidTable, config: RotateConfig | None = None, *, out: Path | str, **options: Any
) -> ReidTable:
    """Show people from other sides, as a Market-1501 tree of JPEG files.

    The same call again keeps the files that are there and makes the missing ones. Writes also turned.png: some people
    by all angles.

    Args:
        rotator: A trained rotator.
        table: Real or rendered people with the structures that it needs; generated and rejected crops, distractors and
            junk are left out.
        config: Every knob; None takes the defaults.
        out: The run folder.
        options: Fields of `RotateConfig`.

    Returns:
        The table: pid and camid of the crop that was turned, whose file name is the `parent`; `asked_yaw`, where its
        yaw was known, is that plus the angle. `regenerate_turned` makes it again.

    Raises:
        ConfigError: An option is out of range.
        DataError: There is no such crop, or structures or headings are missing.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or RotateConfig(), **options)
    crops = real_people(table, config.split)
    if not len(crops):
        raise DataError(
            f"{table.name or 'The table'} has nobody to turn.",
            got="no real or rendered crop",
            allowed="at least one",
            fix=f"a table with people, or {option(split='all')}",
        )
    crops = with_structures(crops, rotator.config.structure, config.angles, whose=f"the rotator {rotator.path}")
    plan = plan_views(rotator, crops, config)
    shapes = sha256(one.operation.shape.encode() for one in plan)
    inputs = {"rotator": rotator.hash, "crops": crops.hash(), "structures": shapes}
    with RunFolder.begin(out, stage="generate rotate", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_generate(rotator.on(config.device), crops, table, plan, config, run.path))
    return ReidTable.read(run.path)


def regenerate_turned(rotator: TrainedRotator, table: ReidTable, sources: ReidTable) -> np.ndarray:
    """The pixels of turned crops, before JPEG, from what their rows say of them: uint8 (N, H, W, 3).

    Args:
        rotator: The rotator that the rows name.
        table: Rows of `rotate`.
        sources: The table that the crops were made from.

    Raises:
        WeightsError: The crops were made with other weights.
        DataError: A row is not one of `rotate`, or its parent or its structure is not there any more as it was.
    """
    check_maker(table, rotator.hash, rotator.path)
    operations = [View.parse(text) for text in table.rows["operation"]]
    kind, angles = rotator.config.structure, sorted({one.angle for one in operations})
    named = {*table.rows["parent"], *(one.donor for one in operations)}
    known = sources.where(pl.col("file_name").is_in([name for name in named if name is not None]))
    known = with_structures(known, kind, angles, whose="the rotator")
    place = {name: row for row, name in enumerate(known.rows["file_name"])}
    contents = [content[:DIGITS] for content in known.contents()]
    shapes = {angle: shapes_of(known, kind, angle) for angle in angles}
    planned = []
    for parent, one in zip(table.rows["parent"], operations, strict=True):
        own, donor = place.get(parent), place.get(one.donor or parent)
        as_it_was = own is not None and donor is not None and contents[own] == one.crop
        if own is None or donor is None or not as_it_was or shapes[one.angle][donor] != one.shape:
            raise DataError(
                f"{parent if not as_it_was else one.donor or parent} is not as it was when the crop was made.",
                got="another file, another structure, or none",
                allowed="the table that generate rotate had",
                fix="sources=load_dataset('reidgen', root=...) with that table's folder",
            )
        planned.append(Planned(own, donor, one))
    made = _made(rotator, known, planned, range(len(planned)), batch=BATCH)
    return np.concatenate([pixels for _, pixels in made])


def plan_views(rotator: TrainedRotator, crops: ReidTable, config: RotateConfig) -> list[Planned]:
    """All crops that shall be made, in order; each one's draws depend on the name of its parent and its angle alone.

    Raises:
        DataError: There is no heading, which other structures than meshes need.
    """
    kind = rotator.config.structure
    contents = [content[:DIGITS] for content in crops.contents()]
    names = crops.rows["file_name"].to_list()
    yaws = None if kind == "mesh" else _headings(crops)
    shapes = {angle: shapes_of(crops, kind, angle) for angle in (config.angles if kind == "mesh" else (OWN,))}
    planned = []
    for row, name in enumerate(names):
        for angle in config.angles:
            donor = row if yaws is None else _donor(yaws, row, angle, config, name)
            shape = shapes[angle if yaws is None else OWN][donor]
            given = None if yaws is None else names[donor]
            planned.append(Planned(row, donor, View(angle, kind, contents[row], shape, config.quality, given)))
    return planned


def _headings(crops: ReidTable) -> np.ndarray:
    """Yaw of each crop in degrees; not a number where none is known."""
    missing = "yaw" not in crops.rows.columns or crops.rows["yaw"].is_null().all()
    if missing:
        raise DataError(
            f"{crops.name or 'The table'} does not say where people look.",
            got=f"{len(crops):,} crops without yaw",
            allowed="the column yaw, by which a crop is found that shows somebody from the wanted side",
            fix="reidgen annotate --data DIR --what keypoints yaw --out DIR",
        )
    yaws: np.ndarray = crops.rows["yaw"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return yaws


def _donor(yaws: np.ndarray, row: int, angle: int, config: RotateConfig, name: str) -> int:
    """One of the crops whose heading is nearest to that of a turned person; from anywhere if its own is not known."""
    own = yaws[row] if np.isfinite(yaws[row]) else derive_seed("heading", config.seed, name) % 360
    apart = np.abs((yaws - own - angle + 180) % 360 - 180)
    order = np.argsort(np.where(np.isfinite(apart), apart, np.inf), kind="stable")
    nearest = order[: min(config.nearest, int(np.isfinite(yaws).sum()))]
    return int(nearest[derive_seed("structure", config.seed, name, angle) % len(nearest)])


def _generate(
    rotator: TrainedRotator,
    crops: ReidTable,
    table: ReidTable,
    planned: Sequence[Planned],
    config: RotateConfig,
    folder: Path,
) -> dict[str, Any]:
    """Write all crops and the table, and return the run's summary."""
    rows = _rows(rotator, crops, table, planned)
    made = write_made(
        rows,
        lambda missing: _made(rotator, crops, planned, missing, batch=config.batch),
        folder,
        stage="generate rotate",
        name="turned people",
        quality=config.quality,
    )
    _write_sheet(made, crops, rotator.config.size, folder)
    return {
        "people": rows["pid"].n_unique(),
        "crops": len(made),
        "angles": list(config.angles),
        "structure": rotator.config.structure,
        "split": config.split,
        "origins": sorted(crops.rows["origin"].unique()),
        "rotator": rotator.hash,
        "rotator_training": rotator.training,
    }


def _rows(rotator: TrainedRotator, crops: ReidTable, table: ReidTable, planned: Sequence[Planned]) -> pl.DataFrame:
    """The rows of all crops that are made."""
    parents = crops.rows[[one.parent for one in planned]]
    yaw = parents["yaw"] if "yaw" in parents.columns else pl.Series([None] * len(planned), dtype=pl.Float64)
    rows = parents.select("pid", "camid", "seq", "frame", parent="file_name", parent_origin="origin").with_columns(
        pl.Series("operation", [str(one.operation) for one in planned]),
        ((yaw + pl.Series([one.operation.angle for one in planned]) + 180) % 360 - 180).alias("asked_yaw"),
        generator=pl.lit(rotator.hash),
    )
    return with_new_names(rows, table)


def _made(
    rotator: TrainedRotator, crops: ReidTable, planned: Sequence[Planned], places: Sequence[int], *, batch: int
) -> Iterator[tuple[Sequence[int], np.ndarray]]:
    """Places of the plan by parts, with pixels uint8 (N, H, W, 3)."""
    if not places:
        return
    angles = sorted({planned[place].operation.angle for place in places})
    known = ViewCrops.open(crops, rotator.config, angles)
    for part in chunks(places, batch):
        chosen = [planned[number] for number in part]
        people = known.pictures.batch(np.array([one.parent for one in chosen])).permute(0, 2, 3, 1).numpy()
        donors, turned = (np.array(one) for one in zip(*((p.donor, p.operation.angle) for p in chosen), strict=True))
        yield part, rotator.rotate(people, known.structures.batch(donors, turned))


def _write_sheet(made: ReidTable, crops: ReidTable, size: tuple[int, int], folder: Path) -> None:
    """A row a crop of some people: it, and it by all angles."""
    firsts = made.rows.unique("pid", keep="first", maintain_order=True).head(SHEET_PEOPLE)["parent"]
    shown = [
        [*crops.where(pl.col("file_name") == name).paths, *made.where(pl.col("parent") == name).paths]
        for name in firsts
    ]
    cells = np.stack([np.asarray(read_rgb(path, size=size)) for paths in shown for path in paths])
    write_sheet(folder / SHEET, cells, columns=len(shown[0]))
