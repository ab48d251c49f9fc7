"""From numbers of crops to the columns of their table, and to what is told of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reidgen.annotate.bodies.columns import bodies_in_words
from reidgen.annotate.keypoints import as_column
from reidgen.annotate.truth import measured, point_error, yaw_error
from reidgen.annotate.wanted import Wanted
from reidgen.config.annotate import WHAT, AnnotateConfig, What
from reidgen.data.pixels.images import read_size
from reidgen.data.schema import OPTIONAL
from reidgen.data.table import ReidTable
from reidgen.data.tree import free_map
from reidgen.models.detector.movenet import POINTS

# Places in a crop's row of numbers, which are not a number where nothing was asked: x, y and score of each point; 1
# where a mask was written; IoU with the truth; degrees; how much of somebody else is there.
POINTS_AT = slice(0, 3 * POINTS)
MASKED, OVERLAP, YAW, OTHERS = range(3 * POINTS, 3 * POINTS + 4)
NUMBERS = 3 * POINTS + 4


def mask_targets(table: ReidTable, wanted: Wanted) -> dict[int, Path]:
    """Where the masks that are made are written, by the rows of a written table."""
    kept = table.rows["mask"].to_list() if "mask" in table.rows.columns else [None] * len(table)
    taken = {path for path, made in zip(kept, wanted.made["mask"], strict=True) if path is not None and not made}
    targets: dict[int, Path] = {}
    for row in np.flatnonzero(wanted.made["mask"]):
        root, crop = table.rows.select("root", "file_name").row(int(row))
        name = free_map("mask", crop, ".png", taken)
        taken.add(name)
        targets[int(row)] = Path(root) / name
    return targets


def filled(
    table: ReidTable, wanted: Wanted, values: np.ndarray, targets: dict[int, Path], config: AnnotateConfig
) -> ReidTable:
    """A written table with the columns that were made; those that are the truth stay.

    Args:
        table: The crops.
        wanted: What was asked.
        values: Numbers of the crops of `wanted.rows`, float64 (n, NUMBERS).
        targets: Where masks were written.
        config: Thresholds.
    """
    of_row = dict(zip(wanted.rows.tolist(), values, strict=True))
    rows = table.rows
    if "mask" in config.what:
        root = Path(rows["root"][0])
        masked = {row: path for row, path in targets.items() if of_row[row][MASKED] == 1}
        rows = _set(rows, "mask", wanted, {row: path.relative_to(root).as_posix() for row, path in masked.items()})
        if len(values) and np.isfinite(values[:, OTHERS]).any():
            others = {row: value[OTHERS] for row, value in of_row.items() if np.isfinite(value[OTHERS])}
            rows = rows.with_columns(pl.Series("others", map(others.get, range(len(table))), dtype=pl.Float64))
    found = {row: value[POINTS_AT].reshape(POINTS, 3) for row, value in of_row.items()}
    found = {row: points for row, points in found.items() if points[:, 2].mean() >= config.keypoint_confidence}
    if "keypoints" in config.what:
        made = [row for row in found if wanted.made["keypoints"][row]]
        sizes = {row: read_size(table.paths[row]) for row in made}
        columns = {row: as_column(found[row], sizes[row], visible_score=config.visible_score) for row in made}
        rows = _set(rows, "keypoints", wanted, columns)
        scores = [found[row][:, 2].tolist() if row in sizes else None for row in range(len(table))]
        rows = rows.with_columns(pl.Series("keypoint_scores", scores, dtype=pl.List(pl.Float64)))
    if "yaw" in config.what:
        rows = _set(rows, "yaw", wanted, {row: float(of_row[row][YAW]) for row in found if wanted.made["yaw"][row]})
    return dataclasses.replace(table, rows=rows)


def summary(table: ReidTable, wanted: Wanted, values: np.ndarray, config: AnnotateConfig) -> dict[str, Any]:
    """What is told of a run: of each column how many crops were known, made, or could not be; errors against the truth.

    Args:
        table: The crops with their columns.
        wanted: What was asked.
        values: Numbers of the crops of `wanted.rows`.
        config: Thresholds.
    """
    told: dict[str, Any] = {"crops": len(table)}
    if len(values) and np.isfinite(values[:, OTHERS]).any():
        told["others"] = int((values[:, OTHERS] >= config.others_share).sum())
    for what, made in wanted.made.items():
        if made.any() or wanted.checked[what].any():
            empty = table.rows[what].is_null().to_numpy()
            told[what] = {
                "known": int((~made & ~empty).sum()),
                "made": int((made & ~empty).sum()),
                "without": int((made & empty).sum()),
            }
    errors: dict[str, np.ndarray] = {what: np.full(len(values), np.nan) for what in ERRORS}
    for i, (row, value) in enumerate(zip(wanted.rows.tolist(), values, strict=True)):
        errors["mask"][i] = value[OVERLAP]
        if wanted.checked["keypoints"][row]:
            truth = np.array(table.rows["keypoints"][row]).reshape(POINTS, 3)
            errors["keypoints"][i] = point_error(value[POINTS_AT].reshape(POINTS, 3), truth)
        if wanted.checked["yaw"][row]:
            errors["yaw"][i] = yaw_error(value[YAW], table.rows["yaw"][row])
    if wanted.made["yaw"].any() and "asked_yaw" in table.rows.columns:
        known = table.rows.filter(pl.col("asked_yaw").is_not_null() & pl.col("yaw").is_not_null())
        off = [yaw_error(*pair) for pair in known.select("yaw", "asked_yaw").iter_rows()]
        told["against_what_was_asked"] = measured({"yaw": np.array(off)})
    return {**told, "against_the_renderer": measured(errors)}


ERRORS = {
    "mask": "IoU {mean:.3f} (median {median:.3f})",
    "keypoints": "{mean:.2f} pixels (median {median:.2f})",
    "yaw": "median {median:.1f} degrees, {within_30:.1%} within 30, {above_90:.1%} above 90",
}


def in_words(told: dict[str, Any]) -> str:
    """A summary, one line a column."""
    lines = [f"{told['crops']:,} crops"]
    for what in WHAT:
        if "made" in told.get(what, {}):
            counts = told[what]
            lines.append(f"{what}: {counts['made']:,} made")
            lines[-1] += f", {counts['known']:,} the renderer's" if what in ERRORS else ""
            if counts["without"]:
                lines[-1] += f", {counts['without']:,} without, as nobody was found with confidence"
        if what == "mask" and "others" in told:
            lines.append(f"  in {told['others']:,} crops somebody else is seen (column others)")
        if what in told["against_the_renderer"]:
            one = told["against_the_renderer"][what]
            lines.append(f"  against the renderer's, {one['crops']:,} crops: {ERRORS[what].format(**one)}")
        if what == "yaw" and (one := told.get("against_what_was_asked", {}).get("yaw")):
            lines.append(f"  against what was asked, {one['crops']:,} crops: {ERRORS[what].format(**one)}")
    return "\n".join([*lines, *bodies_in_words(told)])


def _set(rows: pl.DataFrame, column: What, wanted: Wanted, values: dict[int, Any]) -> pl.DataFrame:
    """The rows with a column, in which what was made takes the place of what was there, and the rest stays."""
    before = rows[column].to_list() if column in rows.columns else [None] * rows.height
    made = wanted.made[column]
    whole = [values.get(row) if made[row] else value for row, value in enumerate(before)]
    return rows.with_columns(pl.Series(column, whole, dtype=OPTIONAL[column].type))
