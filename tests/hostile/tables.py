"""Folders of tables from elsewhere: columns of any type, names that lead away, pipes and devices, damaged Parquet."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.data.disk import parquet
from reidgen.data.table import FOLDERS, ReidTable
from tests.factories import make_table, write_crop
from tests.hostile.damage import BYTES
from tests.hostile.guard import Case, verb

COLUMNS = ("file_name", "pid", "camid", "seq", "frame", "origin", "parent", "generator", "seed", "operation", "mask")
MORE = ("parts", "normals", "keypoints", "yaw", "rejected_by", "identity", "score_ssim", "score_identity", "other")
VALUES: tuple[Any, ...] = (
    *(None, -1, 0, 2**31, 2**62, -(2**63), 0.5, float("nan"), float("inf"), True, b"bytes"),
    *("", "x", "\0", "\x1b[31m", "../../secret.txt", "/etc/passwd", "/dev/zero", ".", "..", "a" * 5000, "日本.jpg"),
    *("bounding_box_train/../../secret.txt", "C:\\secret.txt", "style; mix", "new", "\u202egpj.exe"),
    *([], [1.0], [[1.0, 2.0]], ["a"], {"a": 1}, {"a": {"b": [None]}}),
)
TYPES = (
    *(pl.Int8, pl.UInt64, pl.Float32, pl.String, pl.Categorical, pl.Boolean, pl.Binary, pl.Date, pl.Null),
    *(pl.Duration, pl.Decimal(38, 2), pl.List(pl.Int64), pl.Time),
)


class Cases:
    """The folder of a small table with masks, changed in one place, and a secret beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.out = folder, folder / "data", folder / "out"
        pids, splits = [1, 1, 2, 2, 3, 3], ["train"] * 4 + ["query", "gallery"]
        masks = [f"maps/{number}.png" for number in range(6)]
        table = make_table(pids, splits=splits, root=folder / "made", mask=masks)
        for number, name in enumerate(masks):
            write_crop(folder / "made" / name, seed=number, mode="L")
        table.write(folder / "whole")
        (folder / "secret.txt").write_bytes(b"TOP SECRET")
        fakes = make_table([1, 1, 2], root=folder / "fakes", origin=["generated"] * 3)
        fakes.write_metadata(folder / "fakes")

    def case(self, seed: int) -> Case:
        """The folder of a seed; the next takes its place."""
        rng = random.Random(seed)
        for path in (self.data, self.out):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.folder / "whole", self.data)
        metadata = self.data / rng.choice(list(FOLDERS.values())) / "metadata.parquet"
        kind = rng.choice((self._cells, self._cells, self._column, self._column, self._bytes, self._special))
        name = kind(metadata, rng)
        way = rng.choice((self._read, self._read, self._prepare, self._extend, self._filter))
        return Case(f"{seed}: {name}{way.__name__}", way, (self.out,), self.folder)

    def _cells(self, metadata: Path, rng: random.Random) -> str:
        """One value, or all of a column, is another."""
        column, value, one = rng.choice((*COLUMNS, *MORE)), rng.choice(VALUES), rng.random() < 0.5
        frame = pl.read_parquet(metadata)
        kept = frame[column].to_list() if column in frame.columns else [None] * len(frame)
        try:
            changed = pl.Series(column, [value, *kept[1:]] if one else [value] * len(frame), strict=True)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):  # not beside the others
            changed = pl.Series(column, [value] * len(frame), dtype=pl.String, strict=False)
        _write(metadata, frame.with_columns(changed), rng)
        return f"{column} is {str(value)[:30]!r}"

    def _column(self, metadata: Path, rng: random.Random) -> str:
        """A column is gone, of another type or name; rows are gone, too many or in other order."""
        frame, column = pl.read_parquet(metadata), rng.choice(COLUMNS)
        wanted = rng.choice(TYPES)
        changes: dict[str, Callable[[], pl.DataFrame]] = {
            "gone": lambda: frame.drop(column, strict=False),
            f"cast to {wanted}": lambda: frame.with_columns(pl.col(column).cast(wanted, strict=False)),
            "renamed": lambda: frame.rename({column: rng.choice(("", "root", "split", "x" * 999))}, strict=False),
            "twice": lambda: pl.concat([frame, frame]),
            "no rows": lambda: frame.head(0),
            "no columns": lambda: frame.select(),
            "upside down": lambda: frame.reverse(),
            "many": lambda: pl.concat([frame] * 300),
        }
        name = rng.choice(list(changes))
        try:
            frame = changes[name]()
        except pl.exceptions.PolarsError:  # such types do not go into each other
            frame = frame.drop(column, strict=False)
        _write(metadata, frame, rng)
        return f"{column} {name}"

    def _bytes(self, metadata: Path, rng: random.Random) -> str:
        change = rng.choice(BYTES)
        data = metadata.read_bytes()
        metadata.unlink()
        metadata.write_bytes(change(data, rng))
        return f"bytes, {change.__name__}"

    def _special(self, metadata: Path, rng: random.Random) -> str:
        """A file or a folder is something else."""
        crops = sorted(metadata.parent.glob("*.jpg"))
        path = rng.choice((metadata, metadata.parent, crops[0], self.data / "maps", self.data / "README.md"))
        path = path if path.exists() else crops[0]
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        makers: dict[str, Callable[[], object]] = {
            "fifo": lambda: os.mkfifo(path),
            "folder": path.mkdir,
            "dangling": lambda: path.symlink_to("nowhere"),
            "zero": lambda: path.symlink_to("/dev/zero"),
            "loop": lambda: path.symlink_to(path.name),
            "outside": lambda: path.symlink_to(self.folder / "secret.txt"),
            "gone": lambda: None,
        }
        kind = rng.choice(list(makers))
        makers[kind]()
        return f"{path.relative_to(self.data)}, {kind}"

    def _read(self) -> None:
        """Types are those of the schema, and paths stay inside."""
        table = ReidTable.read(self.data)
        assert {table.rows.schema[name] for name in ("pid", "camid", "seq", "frame")} == {pl.Int64}
        assert all(Path(os.path.realpath(path)).is_relative_to(self.data.resolve()) for path in table.paths)

    def _prepare(self) -> None:
        verb("prepare", "--dataset", "reidgen", "--root", self.data, "--out", self.out)
        self._no_secret()

    def _extend(self) -> None:
        verb("extend", "--real", self.data, "--generated", self.folder / "fakes", "--out", self.out)
        self._no_secret()

    def _filter(self) -> None:
        verb("filter", "--data", self.data, "--out", self.out)
        self._no_secret()

    def _no_secret(self) -> None:
        for path in self.out.rglob("*"):
            assert not path.is_symlink() and (path.is_file() or path.is_dir()), path
            assert not path.is_file() or b"TOP SECRET" not in path.read_bytes(), path
        ReidTable.read(self.out)


def _write(path: Path, frame: pl.DataFrame, rng: random.Random) -> None:
    """With the checksum of a table of ours, which anyone can compute, or as another program writes it."""
    path.unlink()
    if rng.random() < 0.9:
        path.write_bytes(parquet.encode(frame))
    else:
        frame.write_parquet(path)
