"""The one type that crosses every arrow: a table whose rows are crops."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reidgen.data import tree
from reidgen.data.schema import (
    DEFAULTS,
    DISTRACTOR,
    FOLDERS,
    JUNK,
    SCHEMA,
    Split,
    check_utf8,
    check_values,
    paths_of,
    shown_of,
    together,
    typed,
)
from reidgen.errors import DataError
from reidgen.files import Crops, file_sha256, sha256

__all__ = ["DISTRACTOR", "FOLDERS", "JUNK", "ReidTable", "Split"]


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
            DataError: A required column is missing, a value has the wrong type, or a path is not UTF-8.
        """
        check_utf8(str(root))
        try:
            frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows), infer_schema_length=None)
        except UnicodeEncodeError as error:
            check_utf8(error.object)
            raise
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
        frame = typed(frame, where=str(root))
        check_values(frame)
        extra = [column for column in frame.columns if column not in SCHEMA]
        return cls(frame.select(*SCHEMA, *extra), name)

    @classmethod
    def concat(cls, tables: Iterable["ReidTable"], *, name: str | None = None) -> "ReidTable":
        """One table after the other; columns that only some have are null in the others."""
        tables = list(tables)
        return cls(together(table.rows for table in tables), tables[0].name if name is None else name)

    @classmethod
    def read(cls, folder: Path | str) -> "ReidTable":
        """Read the table that a stage wrote: the metadata.parquet of each of the three image folders.

        Raises:
            DataError: The folder holds no table, or a damaged one; or a file that it names is not a regular file inside
                the folder, links resolved.
        """
        rows, name = tree.read(Path(folder))
        table = cls.from_rows(rows, root=folder, name=name)
        tree.check_files(Path(folder), table.rows)
        return table

    def __len__(self) -> int:
        return self.rows.height

    def where(self, predicate: pl.Expr | Iterable[bool]) -> "ReidTable":
        """The rows for which a polars expression or a mask of booleans holds, in order."""
        keep = predicate if isinstance(predicate, pl.Expr) else pl.Series(list(predicate), dtype=pl.Boolean)
        return dataclasses.replace(self, rows=self.rows.filter(keep))

    def take(self, rows: Sequence[int] | np.ndarray) -> "ReidTable":
        """The rows of these numbers, in this order; a number may come twice.

        >>> table = ReidTable.from_rows(
        ...     [{"file_name": f"{pid}.jpg", "pid": pid, "camid": 1, "split": "train"} for pid in (3, 5, 8)], root="."
        ... )
        >>> table.take([2, 0]).people
        [3, 8]
        """
        return dataclasses.replace(self, rows=self.rows[np.asarray(rows, dtype=np.int64)])

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
    def people(self) -> list[int]:
        """The people, ascending: every pid above 0 once."""
        return sorted({pid for pid in self.rows["pid"].unique() if pid > DISTRACTOR})

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
        return paths_of(self.rows)

    @property
    def shown(self) -> list[bool]:
        """Of each crop whether its pixels are read as a viewer shows them, and not as they are stored."""
        return shown_of(self.rows)

    def hash(self) -> str:
        """SHA-256 over every row's pid, camid and split and every file's content: equal for equal crops in equal order.

        File names and folders do not count, so that a table and its written copy have the same hash.

        Raises:
            DataError: A file is missing or cannot be read.
        """
        keys = self.rows.select("pid", "camid", "split").iter_rows()
        rows = zip(keys, self.contents(), self.shown, strict=True)
        return sha256(f"{key}|{content}{'|shown' if shown else ''}\n".encode() for key, content, shown in rows)

    def contents(self) -> Iterator[str]:
        """SHA-256 of each crop's file.

        Raises:
            DataError: A file is missing or cannot be read.
        """
        return (_content(path) for path in self.paths)

    def write(self, folder: Path | str, *, size: tuple[int, int] | None = None, crops: Crops = "link") -> "ReidTable":
        """Write a Market-1501 tree that is a Hugging Face image folder too, and return the table of the written files.

        Files that are not in place already are hard-linked, so their bytes never change, and named as
        `tree.market_names` says. Maps beside the crops go to `maps/`. The names in `parent` follow their crops.

        Args:
            folder: Where `bounding_box_train`, `query` and `bounding_box_test` shall be.
            size: (height, width) that every crop is resized to, and saved as JPEG; None leaves the files as they are.
            crops: "link" makes hard links where the disk allows it: a program that changes a written file in place
                changes the file that it was made from. "copy" makes copies.

        Raises:
            DataError: A file is missing or no regular file, or the folder holds crops that are not of this table.
        """
        return dataclasses.replace(self, rows=tree.write(self.rows, self.name, Path(folder), size=size, crops=crops))

    def write_metadata(self, folder: Path | str) -> None:
        """Write only the metadata.parquet of each image folder, and the data card."""
        tree.write_metadata(self.rows, self.name, Path(folder))


def _content(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read.",
            got=(error.strerror or type(error).__name__).lower(),
            allowed="the file that the table names",
            fix="copy the file there again, or write the table anew",
        ) from error
