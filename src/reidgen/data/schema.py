"""The columns of a table: their types, their defaults, and what their values may be."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from reidgen.errors import DataError

DISTRACTOR, JUNK = 0, -1
Split = Literal["train", "query", "gallery"]
ORIGINS = ("real", "rendered", "generated")
UNKNOWN = "unknown"  # the generator of crops that another program made
SHOWN = "as_shown"  # a column in memory only: whether a crop's pixels are read as a viewer shows them
MAPS = ("mask", "parts", "normals")  # columns with the path of a map beside the crop, relative to root; and mesh_N
FOLDERS: dict[str, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SCHEMA: dict[str, Any] = {
    "root": pl.String,  # in memory only: the folder that file_name is relative to
    "file_name": pl.String,
    "pid": pl.Int64,
    "camid": pl.Int64,
    "split": pl.String,
    "seq": pl.Int64,
    "frame": pl.Int64,
    "origin": pl.String,  # real, rendered or generated
    "parent": pl.String,  # file_name of the crop that this one was made from
    "generator": pl.String,  # hash of the weights that made it
    "seed": pl.Int64,
    "operation": pl.String,  # what made it, in words and numbers
}
DEFAULTS: dict[str, Any] = {
    "seq": 1,
    "frame": 0,
    "origin": "real",
    "parent": None,
    "generator": None,
    "seed": None,
    "operation": None,
}


@dataclass(frozen=True)
class Column:
    """An optional column of a table.

    Attributes:
        type: The polars type that its readers need; numbers may be of any width.
        meaning: What a value says.
        writers: The verbs that write it.
    """

    type: Any
    meaning: str
    writers: str


# Further columns may be of any type and meaning.
OPTIONAL: dict[str, Column] = {
    "mask": Column(pl.String, "file of the person's mask, of the crop's size, 255 on the person", "render, annotate"),
    "others": Column(
        pl.Float64, "area of somebody else as a share of the person's, times the model's confidence", "annotate"
    ),
    "keypoints": Column(
        pl.List(pl.Float64), "COCO's 17 points: x, y in pixels and 2 seen, 1 hidden, 0 outside", "render, annotate"
    ),
    "keypoint_scores": Column(pl.List(pl.Float64), "score of each point that annotate found, 0 to 1", "annotate"),
    "yaw": Column(
        pl.Float64, "where the person faces, in degrees: 0 the camera, 90 the right of the picture", "render, annotate"
    ),
    "asked_yaw": Column(pl.Float64, "yaw that a turned person shall have", "generate rotate"),
    "body": Column(
        pl.List(pl.Float64),
        "fitted body: pitch and yaw in degrees, pixels a metre (x, y), place of its root (x, y), angles of its bones",
        "annotate",
    ),
    "body_error": Column(
        pl.Float64, "mean distance of the body's points from the key points, as a share of its height", "annotate"
    ),
    "body_overlap": Column(pl.Float64, "IoU of the body's silhouette with the mask", "annotate"),
    "parts": Column(pl.String, "file of the map of body parts", "render"),
    "normals": Column(pl.String, "file of the map of normals", "render"),
    "identity": Column(pl.String, "whether a crop counts as its parent's person: keep or new", "generate variants"),
    "mix": Column(pl.String, "style group that a variant was made with", "generate variants"),
    "parent_origin": Column(pl.String, "origin of the crop that this one was made from", "generate"),
    "target_camid": Column(pl.Int64, "camera that a crop was moved to", "generate translate"),
    "verdict": Column(pl.String, "what a reviewer says: keep, reject or wrong person", "view"),
    "verdict_by": Column(pl.String, "the reviewer", "view"),
    "verdict_at": Column(pl.String, "when, in UTC", "view"),
    "merged_from": Column(pl.Int64, "pid before a reviewer found two people to be one", "view"),
    "rejected_by": Column(pl.String, "the filter that rejects the crop, empty where none does", "filter"),
}
SCORES = Column(pl.Float64, "score by the filter of that name", "filter")  # of every column score_NAME
MESH = "mesh_"  # of every column mesh_N
MESHES = Column(pl.String, "file of the body's grey render, turned by N degrees", "annotate")
OUTSIDE = r"^$|^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)|\x00"  # a path that is absolute, goes up, or is none


def typed(frame: pl.DataFrame, *, where: str) -> pl.DataFrame:
    """The frame with the types of the schema, where its values can have them without a change.

    Args:
        frame: Any columns; what the schema does not name is left as it is, but for the kind of optional columns.
        where: The file or folder, for errors.

    Raises:
        DataError: A column has values of another type; it is named.
    """
    for column in frame.columns:
        wanted = _wanted(column)
        try:
            frame = frame if wanted is None else frame.with_columns(_cast(frame[column], wanted))
        except (pl.exceptions.PolarsError, TypeError) as error:
            raise DataError(
                f"The column {column} of {where} has values of the wrong type.",
                got=str(error).splitlines()[0],
                allowed=str(wanted() if isinstance(wanted, type) else wanted),
                fix=f"correct {column} in the table or its metadata.parquet",
            ) from error
    return frame


def _wanted(column: str) -> Any:
    """The type that a column's readers need; None for any."""
    families = {"score_": SCORES, MESH: MESHES}
    family = next((one for start, one in families.items() if column.startswith(start)), None)
    optional = OPTIONAL.get(column, family)
    return SCHEMA.get(column, None if optional is None else optional.type)


def together(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One frame after the other; columns that only some have are null in the others.

    Raises:
        DataError: A column has types that do not go together.
    """
    frames = list(frames)
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        types: dict[str, set[str]] = {}
        for column, dtype in (item for frame in frames for item in frame.schema.items()):
            types.setdefault(column, set()).add(str(dtype))
        differing = [f"{column}: {' and '.join(sorted(kinds))}" for column, kinds in types.items() if len(kinds) > 1]
        raise DataError(
            "Columns of one name have types that do not go together.",
            got="; ".join(differing),
            allowed="one type in all splits and tables",
            fix="correct the column in one metadata.parquet, or drop it",
        ) from error


def _cast(values: pl.Series, wanted: Any) -> pl.Series:
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    if not _fits(values.dtype, wanted):
        raise TypeError(str(values.dtype))
    if (
        wanted == pl.Int64
        and (values.dtype.is_float() or values.dtype.is_decimal())
        and not (values == values.floor()).all()
    ):
        raise TypeError(f"{values.dtype} with numbers that are not whole")
    return values.cast(wanted) if wanted in (pl.String, pl.Int64) else values


def _fits(dtype: Any, wanted: Any) -> bool:
    """Whether a column of a type can be read as the one that is wanted: numbers as texts can, lists cannot."""
    if isinstance(wanted, pl.List):
        return dtype == pl.Null or (isinstance(dtype, pl.List | pl.Array) and _fits(dtype.inner, wanted.inner))
    if dtype in (pl.String, pl.Null):
        return dtype == pl.Null or wanted != pl.Float64
    return wanted != pl.String and dtype.is_numeric()


def check_values(frame: pl.DataFrame) -> None:
    """Every row must say which file, who, where and in which split; no path may lead out of the table's folder.

    Raises:
        DataError: A row does not; it is named.
    """
    inside = "a path inside the table's folder: relative, without .. and null bytes"
    whole = "whole numbers from 0"
    present = [column for column in ("file_name", "parent") if column in frame.columns] + maps_of(frame)
    rules = {
        "file_name": (pl.col("file_name").is_not_null(), "the path of a file"),
        "pid": (pl.col("pid") >= JUNK, "persons from 1, 0 for distractors, -1 for junk"),
        **{column: (pl.col(column) >= 0, whole) for column in ("camid", "seq", "frame")},
        "split": (pl.col("split").is_in(list(FOLDERS)), ", ".join(FOLDERS)),
        "origin": (pl.col("origin").is_in(list(ORIGINS)), ", ".join(ORIGINS)),
    }
    checks = [(column, rule.fill_null(False), allowed) for column, (rule, allowed) in rules.items()]
    checks += [(column, ~pl.col(column).str.contains(OUTSIDE).fill_null(False), inside) for column in present]
    for column, rule, allowed in checks:
        wrong = frame.filter(~rule)
        if wrong.height:
            name, value = wrong.select(pl.col("file_name").alias("name"), pl.col(column).alias("value")).row(0)
            raise DataError(
                f"The column {column} has a value that is not allowed, at {'a row' if name is None else repr(name)}.",
                got=f"{value!r}{f', and {wrong.height - 1:,} more' if wrong.height > 1 else ''}",
                allowed=allowed,
                fix=f"correct {column} in the table or its metadata.parquet",
            )


def check_utf8(path: str) -> None:
    """Whether a path can be in a table, whose text is UTF-8.

    Raises:
        DataError: It cannot.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"The path {path!a} cannot be in a table.",
            got="a name that is not UTF-8",
            allowed="UTF-8",
            fix="rename the file or folder, such as by convmv -f latin1 -t utf8",
        ) from error


def maps_of(frame: pl.DataFrame) -> list[str]:
    """The columns with paths of maps: those of `MAPS`, and mesh_N."""
    return [column for column in frame.columns if column in MAPS or column.startswith(MESH)]


def paths_of(rows: pl.DataFrame) -> list[Path]:
    """Where each row's crop is."""
    return [Path(root) / name for root, name in rows.select("root", "file_name").iter_rows()]


def shown_of(rows: pl.DataFrame) -> list[bool]:
    """Of each row whether its crop's pixels are read as a viewer shows them, and not as they are stored."""
    return [*map(bool, rows[SHOWN])] if SHOWN in rows.columns else [False] * rows.height
