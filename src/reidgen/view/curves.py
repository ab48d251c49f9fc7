"""Figures of trainings as they grow: metrics.jsonl, and the fidelity of a training's snapshots file by file."""

import json
import math
import re
from pathlib import Path
from typing import Any

from reidgen.engine.runs.records import NUMBER, damaged, read_json
from reidgen.engine.runs.run import read_record
from reidgen.files import read_regular

METRICS, FIGURES = "metrics.jsonl", "figures"
SNAPSHOT = re.compile(r"snapshot-(\d+(?:\.\d+)?)\.json")
MEASURED = ("fid", "precision", "recall", "density", "coverage")


def has_curves(folder: Path) -> bool:
    """Whether a folder is of a training, or of the fidelity of snapshots."""
    return (folder / METRICS).is_file() or bool(_snapshots(folder))


def curves(folder: Path, known: int) -> dict[str, Any]:
    """What a run has written so far: stage, status, size, and records (name -> number or None).

    Args:
        folder: One that `has_curves`.
        known: The size that an earlier answer had. If it is the same still, records is None.

    Raises:
        RunError: A file is damaged.
    """
    run = read_record(folder) or {"stage": "training", "status": "unknown"}
    lines = (folder / METRICS).is_file()
    found: Any = read_regular(folder / METRICS) if lines else _snapshots(folder)
    records = None if len(found) == known else _lines(folder / METRICS, found) if lines else [*map(_measured, found)]
    return {"stage": run["stage"], "status": run["status"], "size": len(found), "records": records}


def _lines(path: Path, content: bytes) -> list[dict[str, Any]]:
    """The whole lines; the last one may be half written."""
    try:
        return [_numbers(json.loads(line)) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    except (ValueError, AttributeError, RecursionError) as error:
        raise damaged(path, "a line that is no record") from error


def _numbers(record: dict[str, Any]) -> dict[str, float | None]:
    plain = {name: value for name, value in record.items() if type(value) in (int, float)}
    return {name: value if math.isfinite(value) else None for name, value in plain.items()}


def _snapshots(folder: Path) -> list[tuple[float, Path]]:
    """The measured snapshots of a training, by thousands of images."""
    files = (folder / FIGURES).iterdir() if (folder / FIGURES).is_dir() else ()
    return sorted((float(found[1]), file) for file in files if (found := SNAPSHOT.fullmatch(file.name)))


def _measured(snapshot: tuple[float, Path]) -> dict[str, float | None]:
    figures = read_json(snapshot[1], {"fid": NUMBER})
    return _numbers({"kimg": snapshot[0], **{name: figures.get(name) for name in MEASURED}})
