"""What a sweep found: one row a point and seed, in one table that everything else is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.config import SweepConfig, from_dict
from reidgen.config.sweep.axes import Axis, shown
from reidgen.data.disk import parquet
from reidgen.engine.runs.run import read_record
from reidgen.errors import ConfigError, RunError, command, option
from reidgen.files import write_bytes
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.plan import Point
from reidgen.sweep.point import FIGURES

POINTS, CSV, RUN = "points.parquet", "points.csv", "run.json"
COLUMNS: dict[str, Any] = {
    "seed": pl.Int64,
    "status": pl.String,
    "error": pl.String,
    "run": pl.String,
    **dict.fromkeys(FIGURES, pl.Float64),
    "steps": pl.Int64,
    "epochs": pl.Float64,
    "images": pl.Int64,
    "people_trained_on": pl.Int64,
    "generated_images": pl.Int64,
    "generated_people": pl.Int64,
    "generated_share": pl.Float64,
    "clusters": pl.Int64,
    "outliers": pl.Int64,
    "purity": pl.Float64,
    "nmi": pl.Float64,
    "queries": pl.Int64,
    "gallery": pl.Int64,
    "protocol": pl.String,
    "train_hash": pl.String,
    "test_hash": pl.String,
    "weights_hash": pl.String,
    "wall_sec": pl.Float64,
    "peak_memory_gib": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The points of a sweep.

    Attributes:
        folder: The sweep's run folder.
        config: Its description.
        points: One row a point and seed: `axis_NAME` for each axis (a number, or text as it is typed), seed, status
            (done, failed, missing), error, run (folder below `runs`), the figures as shares, steps, epochs, counts of
            crops and people, of trainings without labels the clusters of the last epoch, protocol, hashes of the crops
            trained on, of the test and of the weights, time and memory.
    """

    folder: Path
    config: SweepConfig
    points: pl.DataFrame

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What was varied."""
        return self.config.axes

    @property
    def failed(self) -> pl.DataFrame:
        """Rows of runs that failed."""
        return self.points.filter(pl.col("status") == "failed")

    def __str__(self) -> str:
        counts = dict(self.points["status"].value_counts().iter_rows())
        told = ", ".join(f"{counts[status]:,} {status}" for status in ("done", "failed", "missing") if status in counts)
        return f"{self.points.height:,} points ({told}) in {self.folder}"

    @classmethod
    def read(cls, folder: Path | str) -> "SweepResult":
        """Read what `sweep` wrote, also of a sweep that is not finished.

        Raises:
            RunError: The folder holds no sweep, one without points yet, one of another version, or a damaged one.
        """
        folder = Path(folder)
        record = read_record(folder)
        if record is None or not (folder / POINTS).is_file():
            raise RunError(
                f"{folder} holds no sweep.",
                got=f"no {RUN} and {POINTS}",
                allowed=f"the {option('out')} of reidgen sweep",
                fix=f"reidgen sweep --real DIR --generated DIR --preset people {command('--out', folder)}",
            )
        try:
            config = from_dict(SweepConfig, record["config"])
        except (TypeError, ConfigError) as error:
            raise RunError(
                f"{folder} has options that this version of reidgen does not know.",
                got=str(error).splitlines()[0],
                allowed=f"a sweep of this version; it was made by {record['versions']['reidgen']}",
                fix=f"{folder / CSV} has its figures",
            ) from error
        axes = {column_of(axis.name): None for axis in config.axes}
        return cls(folder, config, parquet.decode_of_run(folder / POINTS, {**axes, **COLUMNS}))


def points_table(points: Sequence[Point], found: Mapping[str, Ended], axes: Sequence[Axis]) -> pl.DataFrame:
    """One row a point and seed, in the order of the grid; those that have not ended are `missing`."""
    schema = {**{column_of(axis.name): _kind(axis) for axis in axes}, **COLUMNS}
    rows = [_row(point, found.get(point.job.name), schema) for point in points]
    return pl.DataFrame(rows, schema=schema)


def write_points(folder: Path, points: pl.DataFrame) -> None:
    """Write points.parquet and points.csv."""
    write_bytes(folder / CSV, points.write_csv().encode())
    write_bytes(folder / POINTS, parquet.encode(points))


def column_of(axis: str) -> str:
    """The column with the values of an axis."""
    return f"axis_{axis}"


def _kind(axis: Axis) -> Any:
    """Numbers where all values are, text otherwise."""
    kinds = {type(value) for value in axis.values}
    return pl.Int64 if kinds == {int} else pl.Float64 if kinds <= {int, float} else pl.String


def _row(point: Point, ended: Ended | None, schema: dict[str, Any]) -> dict[str, Any]:
    how = "missing" if ended is None else "done" if ended.how == "done" else "failed"
    found = dict(ended.found) if ended is not None and ended.found is not None else {}
    if found:
        found["people_trained_on"] = found.pop("people")
    return {
        **{
            column_of(name): shown(value) if schema[column_of(name)] is pl.String else value
            for name, value in point.values.items()
        },
        "seed": point.job.seed,
        "status": how,
        "error": ended.text if ended is not None and how == "failed" else None,
        "run": point.job.name,
        **{name: found.get(name) for name in COLUMNS if name in found},
    }
