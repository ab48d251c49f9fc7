"""The disk format of a table: a Market-1501 tree and a Hugging Face image folder in one, read and written here."""

import contextlib
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from reidgen.data.disk import parquet
from reidgen.data.disk.inside import check_inside
from reidgen.data.disk.threads import in_order
from reidgen.data.pixels.images import ENDINGS, read_rgb
from reidgen.data.schema import FOLDERS, JUNK, SCHEMA, SHOWN, check_utf8, maps_of, paths_of, shown_of, together, typed
from reidgen.engine.progress import progress
from reidgen.errors import DataError, command, option
from reidgen.files import Crops, link_or_copy, write_bytes, write_text

MARKET_NAME = re.compile(r"(?P<pid>-1|\d{4,})_c(?P<camid>\d+)s\d+_\d+_\d+(?P<ending>\.[a-z]+)")
QUALITY = 95  # of crops that are resized or written as shown, without chroma subsampling
LOOKED_AT, SHOWN_TABLES = 1000, 5  # entries beside a folder that is not there
AS_SHOWN = "as shown"  # the operation of crops that were turned, or laid over white


def read(folder: Path) -> tuple[pl.DataFrame, str]:
    """The rows of a written table, as its three metadata.parquet have them, and its name; see `ReidTable.read`."""
    check_inside(folder, pl.Series([f"{sub}/metadata.parquet" for sub in FOLDERS.values()]))
    parts = [
        _read_part(folder, split, sub)
        for split, sub in FOLDERS.items()
        if (folder / sub / "metadata.parquet").is_file()
    ]
    if not parts:
        raise DataError(
            f"{folder} holds no table.",
            got="no metadata.parquet in " + ", ".join(FOLDERS.values()) if folder.is_dir() else "no such folder",
            allowed="a folder written by reidgen",
            fix=_advice(folder),
        )
    return together(parts), (folder.resolve() if folder.name in ("", "..") else folder).name


def _advice(folder: Path) -> str:
    """What to try in place of a folder that holds no table: those beside it that do, if it is not there at all."""
    tables: list[str] = []
    if not folder.exists():
        with contextlib.suppress(OSError):  # what cannot be looked at is no advice
            beside = itertools.islice(folder.parent.iterdir(), LOOKED_AT)
            tables = sorted(str(one) for one in beside if holds_table(one))[:SHOWN_TABLES]
    if tables:
        return f"{', or '.join(tables)}: there are tables"
    root = folder if folder.exists() else "DATASET"
    return f"{command('reidgen', 'prepare', '--dataset', 'market1501', '--root', root)} --out DIR"


def check_files(folder: Path, rows: pl.DataFrame) -> None:
    """Raise `DataError` unless all files that the rows name are regular ones inside the folder."""
    for column in ("file_name", *maps_of(rows)):
        check_inside(folder, rows[column])


def holds_table(folder: Path) -> bool:
    """Whether a folder was written by reidgen and is read from its metadata.parquet."""
    return any((folder / sub / "metadata.parquet").is_file() for sub in FOLDERS.values())


def _read_part(folder: Path, split: str, sub: str) -> pl.DataFrame:
    path = folder / sub / "metadata.parquet"
    part = typed(parquet.decode(path), where=str(path))
    if "file_name" not in part.columns:
        raise DataError(
            f"{path} lacks columns.", got=", ".join(part.columns), allowed=", ".join(SCHEMA), fix="add file_name"
        )
    return part.with_columns(file_name=pl.lit(f"{sub}/") + pl.col("file_name"), split=pl.lit(split))


def write(
    before: pl.DataFrame, name: str, folder: Path, *, size: tuple[int, int] | None = None, crops: Crops = "link"
) -> pl.DataFrame:
    """Write the tree of a table's rows; see `ReidTable.write`. A call that was cut off is finished by the same call.

    Returns:
        The rows of the written files.
    """
    check_utf8(str(folder.absolute()))
    shown = shown_of(before)
    if size is not None or any(shown):
        _check_no_maps(before)
    rows = before.drop(SHOWN, strict=False).with_columns(
        root=pl.lit(str(folder.absolute())), file_name=_series(market_names(before, size=size))
    )
    rows = rows.with_columns(parent=_series(_parents(before, rows)))
    upright = pl.when(pl.Series(shown, dtype=pl.Boolean)).then(pl.lit(AS_SHOWN))
    resized = pl.lit(None if size is None else f"resize {size[0]}x{size[1]} bicubic", dtype=pl.String)
    done = pl.concat_str([pl.col("operation"), upright, resized], separator="; ", ignore_nulls=True)
    if size is not None or any(shown):
        rows = rows.with_columns(operation=pl.when(done != "").then(done))
    for sub in FOLDERS.values():
        (folder / sub).mkdir(parents=True, exist_ok=True)
    _check_only_own_crops(folder, rows["file_name"].to_list())
    _write_crops(before, paths_of(rows), size, crops)
    rows = _write_maps(before, rows, folder, crops)
    moved = (before["root"] != rows["root"]).any()
    write_metadata(rows, name, folder, linked=crops == "link" and size is None and moved)
    return rows


def write_metadata(rows: pl.DataFrame, name: str, folder: Path, *, linked: bool = False) -> None:
    """Write the metadata.parquet of each image folder (column file_name relative to it), and the data card.

    The card says it where files are links to those of another folder (`linked`).

    A folder without crops has none, as Hugging Face's reader stops at an empty one; only a table without any row is an
    empty metadata.parquet of the train folder.
    """
    for split, sub in FOLDERS.items():
        part = rows.filter(pl.col("split") == split).drop("root", "split")
        if not part.height and (rows.height or split != "train"):
            (folder / sub / "metadata.parquet").unlink(missing_ok=True)
            continue
        names = part["file_name"].str.strip_prefix(f"{sub}/")
        write_bytes(folder / sub / "metadata.parquet", parquet.encode(part.with_columns(file_name=names)))
    write_text(folder / "README.md", data_card(rows, name, linked=linked))


def market_names(rows: pl.DataFrame, *, size: tuple[int, int] | None = None) -> list[str]:
    r"""Market-1501 file names, relative to the tree, unique within it.

    A name is `PID_cCsS_FRAME_BB`: at least four digits of pid (-1 for junk), six of frame, and the box number BB that
    tells rows with equal pid, camera, sequence and frame apart. A name that is of this form already and agrees with the
    row's pid and camera is kept. `.jpeg` becomes `.jpg`, as the field's readers ask for `*.jpg`; other endings stay.

    Cameras have one digit while all of the table's are below 10. Otherwise all have two (`c01`, `c12`), as readers with
    the usual pattern `_c(\d)` would take camera 12 for camera 1; at `c01` they find camera 0, and stop.

    Args:
        rows: A table's rows.
        size: Given when crops are resized, which makes all of them `.jpg`, as crops are that are written as shown.
    """
    digits = _camera_digits(rows)
    columns = rows.select("file_name", "split", "pid", "camid", "seq", "frame")
    as_jpeg = [size is not None or bool(shown) for shown in rows.get_column(SHOWN, default=[False] * rows.height)]
    names: list[str | None] = []
    taken: set[str] = set()
    for i, (name, split, pid, camid, _, _) in enumerate(columns.iter_rows()):
        kept = _kept_name(Path(name).name, pid, f"{camid:0{digits}d}", as_jpeg[i])
        kept = None if kept is None or f"{FOLDERS[split]}/{kept}" in taken else f"{FOLDERS[split]}/{kept}"
        names.append(kept)
        taken.update([kept] if kept else [])
    boxes: dict[str, int] = {}
    for i, (name, split, pid, camid, seq, frame) in enumerate(columns.iter_rows()):
        if names[i] is None:
            start = f"{FOLDERS[split]}/{_person(pid)}_c{camid:0{digits}d}s{seq}_{frame:06d}"
            ending = ".jpg" if as_jpeg[i] else _ending(name)
            candidates = ((box, f"{start}_{box:02d}{ending}") for box in range(boxes.get(start, 0), len(names) + 1))
            boxes[start], names[i] = next((box + 1, free) for box, free in candidates if free not in taken)
    return [name for name in names if name is not None]


def data_card(rows: pl.DataFrame, name: str, *, linked: bool = False) -> str:
    """The README.md of a written table: its splits for Hugging Face's loader, its counts and its limits for people."""
    present = [split for split in FOLDERS if (rows["split"] == split).any()]
    configs = "".join(f"  - split: {split}\n    path: {FOLDERS[split]}/**\n" for split in present)
    header = f"configs:\n- config_name: default\n  data_files:\n{configs}" if present else ""
    people = pl.col("pid").filter(pl.col("pid") > 0).n_unique()
    counts = rows.group_by("split", "origin").agg(pl.len(), people, pl.col("camid").n_unique())
    lines = [f"| {s} | {o} | {n:,} | {p:,} | {c} |" for s, o, n, p, c in counts.sort("split", "origin").iter_rows()]
    notes = "".join(f"\n{note}\n" for note in _notes(rows, linked))
    return (
        f"---\n{header}---\n\n# {name or 'crops'}\n\n"
        "Crops of people in Market-1501's layout, written by reidgen. Each image folder has a metadata.parquet beside\n"
        "its images; its columns say who (pid), where (camid), and how each crop came about (origin, parent,\n"
        "generator, seed, operation).\n\n"
        "| split | origin | crops | people | cameras |\n|---|---|---|---|---|\n" + "\n".join(lines) + f"\n{notes}"
    )


def _notes(rows: pl.DataFrame, linked: bool) -> Iterator[str]:
    if linked:
        yield (
            "Crops and maps are hard links to the files that they were made from, where the disk allows it. A program\n"
            "that changes one in place changes the original too; the option crops, set to copy, writes copies."
        )
    if _camera_digits(rows) > 1:
        yield (
            "Cameras have two digits. A reader with the pattern `([-\\d]+)_c(\\d)` reads one digit; its pattern has\n"
            "to be `([-\\d]+)_c(\\d+)`."
        )
    others = sorted({Path(name).suffix for name in rows["file_name"]} - {".jpg"})
    if others:
        yield (
            f"Some crops are {', '.join(others)} files, kept as they were. Readers that ask for `*.jpg` do not see\n"
            "them; `reidgen prepare --size HEIGHT WIDTH` writes all crops as JPEG."
        )


def _kept_name(name: str, pid: int, camera: str, as_jpeg: bool) -> str | None:
    if as_jpeg:
        name = str(Path(name).with_suffix(".jpg"))
    found = MARKET_NAME.fullmatch(name)
    agrees = found and int(found["pid"]) == pid and found["camid"] == camera and found["ending"] == _ending(name)
    return name if agrees else None


def _camera_digits(rows: pl.DataFrame) -> int:
    return 2 if (rows["camid"] > 9).any() else 1


def _person(pid: int) -> str:
    return str(JUNK) if pid == JUNK else f"{pid:04d}"


def _ending(name: str) -> str:
    ending = Path(name).suffix.lower()
    return ".jpg" if ending in ("", ".jpeg") else ending


def _series(values: list[str] | list[str | None]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


def _parents(before: pl.DataFrame, after: pl.DataFrame) -> list[str | None]:
    """The parent of each row by its new name, where the parent is a row of the same folder."""
    old = before.select("root", "file_name").iter_rows()
    renamed = dict(zip(old, after["file_name"], strict=True))
    return [renamed.get((root, parent), parent) for root, parent in before.select("root", "parent").iter_rows()]


def _check_only_own_crops(folder: Path, names: list[str]) -> None:
    present = (f"{sub}/{path.name}" for sub in FOLDERS.values() for path in (folder / sub).iterdir())
    strangers = sorted({name for name in present if Path(name).suffix.lower() in ENDINGS} - set(names))
    if strangers:
        raise DataError(
            f"{folder} holds crops that are not of this table.",
            got=strangers[0] + (f", and {len(strangers) - 1:,} more" if len(strangers) > 1 else ""),
            allowed="a new folder, or one that the same table was written to",
            fix="another folder",
        )


def _check_no_maps(rows: pl.DataFrame) -> None:
    present = [
        column
        for column in (*maps_of(rows), "keypoints", "body")
        if column in rows.columns and rows[column].null_count() < rows.height
    ]
    if present:
        raise DataError(
            "Crops with maps or key points cannot be resized or turned.",
            got=", ".join(present),
            allowed="crops alone",
            fix=f"leave the size and {option('pictures')} out, or render the crops in that size",
        )


def _write_crops(rows: pl.DataFrame, targets: list[Path], size: tuple[int, int] | None, crops: Crops) -> None:
    files = list(zip(paths_of(rows), targets, shown_of(rows), strict=True))
    done = in_order(lambda one: _write_crop(*one[:2], size, crops, shown=one[2]), files)
    if size is None and crops == "link":  # links are made in no time
        for _ in done:
            pass
        return
    with progress("write crops" if size is None else "resize crops", len(files)) as bar:
        for _ in done:
            bar.advance()


def _write_crop(
    source: Path, target: Path, size: tuple[int, int] | None, crops: Crops = "link", *, shown: bool = False
) -> None:
    as_is = size is None and not shown
    if source == target and as_is:
        return
    if not source.is_file():
        raise DataError(
            f"{source} is missing." if not source.exists() else f"{source} is not a regular file.",
            got="no such file" if not source.exists() else "a folder, a pipe, a socket or a device",
            allowed="the file that the table names",
            fix="copy the file there again, or write the table anew",
        )
    if as_is:
        link_or_copy(source, target, crops=crops)
        return
    stream = io.BytesIO()
    read_rgb(source, size=size, shown=shown).save(stream, "JPEG", quality=QUALITY, subsampling=0)
    write_bytes(target, stream.getvalue())


def _write_maps(before: pl.DataFrame, after: pl.DataFrame, folder: Path, crops: Crops) -> pl.DataFrame:
    """Place the maps of crops from other folders at `maps/COLUMN/NAME-OF-THE-CROP`; returns the rows with new paths."""
    for column in maps_of(before):
        taken: set[str] = set()
        paths: list[str | None] = []
        for root, path, crop in zip(before["root"], before[column], after["file_name"], strict=True):
            target = path
            if path is not None and Path(root) != folder.absolute():
                target = free_map(column, crop, Path(path).suffix, taken)
                (folder / target).parent.mkdir(parents=True, exist_ok=True)
                _write_crop(Path(root) / path, folder / target, None, crops)
            taken.update([target] if target else [])
            paths.append(target)
        after = after.with_columns(pl.Series(column, paths, dtype=pl.String))
    return after


def free_map(column: str, crop: str, ending: str, taken: set[str]) -> str:
    """Where the map of a crop is written, `maps/COLUMN/NAME-OF-THE-CROP`, numbered where that is taken."""
    start = f"maps/{column}/{Path(crop).stem}"
    number = next(i for i in range(len(taken) + 1) if _numbered(start, i, ending) not in taken)
    return _numbered(start, number, ending)


def _numbered(start: str, number: int, ending: str) -> str:
    return f"{start}{f'_{number}' if number else ''}{ending}"
