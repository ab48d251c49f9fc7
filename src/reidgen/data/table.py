"""The one type that crosses every arrow: a table whose rows are crops."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from reidgen.errors import DataError
from reidgen.files import file_sha256, link_or_copy, sha256, write_bytes, write_text

DISTRACTOR, JUNK = 0, -1
Split = Literal["train", "query", "gallery"]
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
class ReidTable:
    """Crops of people with who, where, when, and how each came about.

    Attributes:
        rows: One row a crop, columns as in `SCHEMA` and any further ones (mask, keypoints, yaw, score_*, rejected_by).
            pid 0 marks distractors, pid -1 junk, as in Market-1501.
        name: The dataset's name, for people to read.
    """

    rows: pl.DataFrame
    name: str = ""

    @classmethod
    def from_rows(
        cls, rows: Iterable[Mapping[str, Any]] | pl.DataFrame, *, root: Path | str, name: str = ""
    ) -> "ReidTable":
        """Build a table from dicts or a frame with at least file_name, pid, camid and split.

        Raises:
            DataError: A required column is missing or a value has the wrong type.
        """
        try:
            frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows), infer_schema_length=None)
        except (pl.exceptions.PolarsError, TypeError) as error:
            raise DataError(
                "The rows do not form a table.", got=str(error), allowed=f"columns {', '.join(SCHEMA)}"
            ) from error
        if frame.width == 0:
            frame = pl.DataFrame(schema={name: SCHEMA[name] for name in ("file_name", "pid", "camid", "split")})
        missing = [column for column in ("file_name", "pid", "camid", "split") if column not in frame.columns]
        if missing:
            raise DataError(
                "The table lacks columns.",
                got=", ".join(frame.columns),
                allowed=", ".join(SCHEMA),
                fix=f"add {', '.join(missing)}",
            )
        added = {column: value for column, value in DEFAULTS.items() if column not in frame.columns}
        frame = frame.with_columns(root=pl.lit(str(Path(root).absolute())), **{c: pl.lit(v) for c, v in added.items()})
        try:
            frame = frame.cast({column: kind for column, kind in SCHEMA.items()})
        except pl.exceptions.PolarsError as error:
            raise DataError(
                "A column of the table has values of the wrong type.",
                got=str(error).splitlines()[0],
                allowed=str({k: str(v) for k, v in SCHEMA.items()}),
            ) from error
        extra = [column for column in frame.columns if column not in SCHEMA]
        return cls(frame.select(*SCHEMA, *extra), name)

    @classmethod
    def concat(cls, tables: Iterable["ReidTable"], *, name: str | None = None) -> "ReidTable":
        """One table after the other; columns that only some have are null in the others."""
        tables = list(tables)
        rows = pl.concat([table.rows for table in tables], how="diagonal_relaxed")
        return cls(rows, tables[0].name if name is None else name)

    @classmethod
    def read(cls, folder: Path | str) -> "ReidTable":
        """Read the table that a stage wrote: the metadata.parquet of each of the three image folders.

        Raises:
            DataError: The folder holds no table.
        """
        folder = Path(folder)
        parts = []
        for split, sub in FOLDERS.items():
            path = folder / sub / "metadata.parquet"
            if path.is_file():
                try:
                    part = pl.read_parquet(path)
                except (pl.exceptions.PolarsError, OSError) as error:
                    raise DataError(
                        f"{path} is no readable Parquet file.",
                        got=str(error).splitlines()[0],
                        fix="run the command that wrote this folder again",
                    ) from error
                parts.append(part.with_columns(file_name=pl.lit(f"{sub}/") + pl.col("file_name"), split=pl.lit(split)))
        if not parts:
            raise DataError(
                f"{folder} holds no table.",
                got="no metadata.parquet in " + ", ".join(FOLDERS.values()),
                allowed="a folder written by reidgen",
                fix=f"reidgen prepare --dataset market1501 --root {folder} --out DIR",
            )
        return cls.from_rows(pl.concat(parts, how="diagonal_relaxed"), root=folder, name=folder.name)

    def __len__(self) -> int:
        return self.rows.height

    def where(self, predicate: pl.Expr | Iterable[bool]) -> "ReidTable":
        """The rows for which a polars expression or a mask of booleans holds, in order."""
        keep = predicate if isinstance(predicate, pl.Expr) else pl.Series(list(predicate), dtype=pl.Boolean)
        return dataclasses.replace(self, rows=self.rows.filter(keep))

    @property
    def train(self) -> "ReidTable":
        """The rows of the train split."""
        return self.where(pl.col("split") == "train")

    @property
    def query(self) -> "ReidTable":
        """The rows of the query split."""
        return self.where(pl.col("split") == "query")

    @property
    def gallery(self) -> "ReidTable":
        """The rows of the gallery split, distractors and junk included."""
        return self.where(pl.col("split") == "gallery")

    @property
    def kept(self) -> "ReidTable":
        """The rows that no filter has rejected."""
        return self.where(pl.col("rejected_by").is_null()) if "rejected_by" in self.rows.columns else self

    @property
    def pids(self) -> np.ndarray:
        """Person identities, int64 (N,)."""
        return self.rows["pid"].to_numpy()

    @property
    def camids(self) -> np.ndarray:
        """Camera identities, int64 (N,)."""
        return self.rows["camid"].to_numpy()

    @property
    def paths(self) -> list[Path]:
        """Where each crop's file is."""
        return [Path(root) / name for root, name in self.rows.select("root", "file_name").iter_rows()]

    def hash(self) -> str:
        """SHA-256 over every row's identity columns and every file's content: equal for equal crops in equal order."""
        columns = ("pid", "camid", "split")
        keys = (
            f"{Path(row[0]).name}|{'|'.join(map(str, row[1:]))}"
            for row in self.rows.select("file_name", *columns).iter_rows()
        )
        return sha256((f"{key}|{file_sha256(path)}\n".encode() for key, path in zip(keys, self.paths, strict=True)))

    def write(self, folder: Path | str) -> "ReidTable":
        """Write a Market-1501 tree that is a Hugging Face image folder too, and return the table of the written files.

        Files are hard-linked where they are not in place already, and named `PID_cCsS_FRAME_BB.jpg`; a file of another
        format keeps its ending.

        Args:
            folder: Where `bounding_box_train`, `query` and `bounding_box_test` shall be.
        """
        folder = Path(folder)
        table = dataclasses.replace(
            self, rows=self.rows.with_columns(file_name=pl.Series(market_names(self.rows), dtype=pl.String))
        )
        for sub in FOLDERS.values():
            (folder / sub).mkdir(parents=True, exist_ok=True)
        written = ReidTable(table.rows.with_columns(root=pl.lit(str(folder.absolute()))), self.name)
        for source, target in zip(self.paths, written.paths, strict=True):
            if source != target:
                link_or_copy(source, target)
        written.write_metadata(folder)
        return written

    def write_metadata(self, folder: Path | str) -> None:
        """Write only the metadata.parquet of each image folder, and the data card."""
        folder = Path(folder)
        for split, sub in FOLDERS.items():
            rows = self.rows.filter(pl.col("split") == split).drop("root", "split")
            names = rows["file_name"].str.strip_prefix(f"{sub}/")
            write_bytes(folder / sub / "metadata.parquet", _parquet(rows.with_columns(file_name=names)))
        write_text(folder / "README.md", data_card(self))


def market_names(rows: pl.DataFrame) -> list[str]:
    """Market-1501 file names, relative to the tree, unique within it.

    A name is `PID_cCsS_FRAME_BB` with four digits of pid (-1 for junk), six of frame and the box number BB that tells
    rows with equal pid, camera, sequence and frame apart. MSMT17's cameras take two digits as they come.
    """
    seen: dict[tuple[Any, ...], int] = {}
    names = []
    for name, split, pid, camid, seq, frame in rows.select(
        "file_name", "split", "pid", "camid", "seq", "frame"
    ).iter_rows():
        key = (split, pid, camid, seq, frame)
        box = seen[key] = seen.get(key, -1) + 1
        person = f"{pid:04d}" if pid >= 0 else str(pid)
        names.append(
            f"{FOLDERS[split]}/{person}_c{camid}s{seq}_{frame:06d}_{box:02d}{Path(name).suffix.lower() or '.jpg'}"
        )
    return names


def data_card(table: ReidTable) -> str:
    """The README.md of a written table: its splits for Hugging Face's loader and its counts for people."""
    configs = "".join(
        f"  - split: {split}\n    path: {sub}/**\n"
        for split, sub in FOLDERS.items()
        if table.rows.filter(pl.col("split") == split).height
    )
    counts = table.rows.group_by("split", "origin").agg(pl.len(), pl.col("pid").n_unique(), pl.col("camid").n_unique())
    lines = [f"| {s} | {o} | {n:,} | {p:,} | {c} |" for s, o, n, p, c in counts.sort("split", "origin").iter_rows()]
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{configs}---\n\n# {table.name or 'crops'}\n\n"
        "Crops of people in Market-1501's layout, written by reidgen.\n\n"
        "| split | origin | crops | people | cameras |\n|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )


def _parquet(rows: pl.DataFrame) -> bytes:
    import io

    stream = io.BytesIO()
    rows.write_parquet(stream)
    return stream.getvalue()
