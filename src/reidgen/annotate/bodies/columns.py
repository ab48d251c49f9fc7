"""Bodies as columns of a table, and what is told of them."""

import dataclasses
from typing import Any

import numpy as np
import polars as pl

from reidgen.annotate.bodies.body import LENGTH, points_of
from reidgen.annotate.bodies.fitting import fit_bodies
from reidgen.annotate.bodies.skeleton import skeleton
from reidgen.annotate.truth import measured, point_error, yaw_error
from reidgen.config.annotate import AnnotateConfig
from reidgen.data.schema import MESH, OPTIONAL
from reidgen.data.table import ReidTable
from reidgen.engine.blocks import ScoreFolder
from reidgen.models.detector.movenet import POINTS


def with_bodies(table: ReidTable, points: np.ndarray, config: AnnotateConfig, *, kept: ScoreFolder) -> ReidTable:
    """A table with the columns body and body_error; they are empty where too few points are seen with confidence.

    Args:
        table: The crops.
        points: Their key points (N, 17, 3) with scores.
        config: How many points, and with what scores.
        kept: Where finished blocks are.

    Raises:
        MissingExtraError: anny or warp is not installed.
    """
    scores = points[..., 2]
    enough = (scores >= config.visible_score).sum(1) >= config.body_points
    found = np.flatnonzero(enough & (scores.mean(1) >= config.keypoint_confidence))
    rows = fit_bodies(points[found], table.camids[found], kept=kept)
    bodies: list[list[float] | None] = [None] * len(table)
    errors: list[float | None] = [None] * len(table)
    for row, values in zip(found.tolist(), rows.tolist(), strict=True):
        bodies[row], errors[row] = values[:LENGTH], values[LENGTH]
    columns = [pl.Series(name, one, OPTIONAL[name].type) for name, one in (("body", bodies), ("body_error", errors))]
    return dataclasses.replace(table, rows=table.rows.with_columns(columns))


def told_of_bodies(table: ReidTable, config: AnnotateConfig) -> dict[str, Any]:
    """How well bodies agree with the key points and, where the renderer knows it, with the truth; what was drawn."""
    told: dict[str, Any] = {}
    fitted = table.rows.filter(pl.col("body").is_not_null()) if "body" in table.rows.columns else table.rows.head(0)
    if "body" in config.what:
        told["body_error"] = measured({"body_error": fitted["body_error"].to_numpy()}).get("body_error", {})
        known = fitted.filter(pl.col("origin") == "rendered")
        told["body_against_the_renderer"] = measured(_errors(known)) if known.height else {}
    if "mesh" in config.what:
        columns = [f"{MESH}{angle}" for angle in config.angles]
        told["mesh"] = {column: int(table.rows[column].is_not_null().sum()) for column in columns}
    if "body_overlap" in table.rows.columns:
        told["body_overlap"] = measured({"mask": table.rows["body_overlap"].drop_nulls().to_numpy()}).get("mask", {})
    return told


def _errors(rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """Pixels of seen points and degrees of yaw between bodies and the truth."""
    who = skeleton()
    errors = {}
    if "keypoints" in rows.columns:
        known = rows.filter(pl.col("keypoints").is_not_null())
        truth = np.array(known["keypoints"].to_list(), np.float64).reshape(-1, POINTS, 3)
        places = points_of(np.array(known["body"].to_list(), np.float64).reshape(-1, LENGTH), who)
        errors["keypoints"] = np.array([point_error(*pair) for pair in zip(places, truth, strict=True)])
    if "yaw" in rows.columns:
        known = rows.filter(pl.col("yaw").is_not_null())
        errors["yaw"] = np.array([yaw_error(body[1], yaw) for body, yaw in known.select("body", "yaw").iter_rows()])
    return errors


def bodies_in_words(told: dict[str, Any]) -> list[str]:
    """Lines of a summary."""
    lines = []
    if error := told.get("body_error"):
        lines.append(f"  bodies are {error['median']:.1%} of their height off the key points (median)")
    against = told.get("body_against_the_renderer", {})
    if "keypoints" in against:
        lines.append("  body's points against the renderer's: {mean:.2f} pixels".format(**against["keypoints"]))
    if "yaw" in against:
        lines.append("  body's yaw against the renderer's: median {median:.1f} degrees".format(**against["yaw"]))
    if "mesh" in told:
        lines += [f"{column}: {count:,} pictures" for column, count in told["mesh"].items()]
    if overlap := told.get("body_overlap"):
        lines.append("  silhouettes of bodies and masks: IoU {mean:.3f} (median {median:.3f})".format(**overlap))
    return lines
