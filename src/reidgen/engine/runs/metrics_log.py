"""metrics.jsonl: one JSON object a line, the same bytes whether or not the run was interrupted."""

import json
import math
import os
from pathlib import Path
from typing import Any

from reidgen.engine.runs import tensorboard
from reidgen.errors import RunError, command, option
from reidgen.files import naming, read_regular, sha256


class MetricsLog:
    """Append-only log of a run's numbers.

    A checkpoint stores its `mark`; on resume `go_back` cuts off what was written after it. Where TensorBoard's event
    files are asked for, they follow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def position(self) -> int:
        """Length of the file in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def mark(self) -> dict[str, Any]:
        """What a checkpoint keeps of the log: its length in bytes and its hash."""
        return {"bytes": self.position, "sha256": self._hash(self.position)}

    def go_back(self, mark: dict[str, Any] | int, checkpoint: Path) -> None:
        """Cut the file back to a `mark`; a checkpoint of an earlier version has the length alone.

        Raises:
            RunError: The log is shorter than it was, or has other records.
        """
        known = {"bytes": mark} if isinstance(mark, int) else mark
        length = known["bytes"]
        shorter = self.position < length
        if shorter or self._hash(length) != known.get("sha256", self._hash(length)):
            raise RunError(
                f"{self.path} is not the log that {checkpoint.name} goes on from.",
                got=f"{self.position:,} bytes" if shorter else f"other records in the first {length:,} bytes",
                allowed=f"the {length:,} bytes that were there, and any after them",
                fix=f"put the file back as it was; or {command('rm', checkpoint)}, and the same command begins anew",
            )
        self.rewind(length)

    def _hash(self, length: int) -> str:
        """SHA-256 of the first so many bytes."""
        if not length:
            return sha256([])
        with self.path.open("rb") as stream:
            return sha256([stream.read(length)])

    def rewind(self, position: int) -> None:
        """Cut the file back to a length that `position` gave earlier."""
        if self.position > position:
            os.truncate(self.path, position)

    def write(self, **values: Any) -> None:
        """Append one record; floats that are not finite become null."""
        clean = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}
        before = self.position
        with naming(self.path), self.path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(json.dumps(clean) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if tensorboard.is_on():
            tensorboard.mirror(self.path, clean, self.read, before=before, after=self.position)

    def follow(self) -> None:
        """Give a run that was finished without one its event file."""
        if self.path.exists() and not tensorboard.has_events(self.path.parent):
            tensorboard.mirror(self.path, {}, self.read, before=0, after=self.position)

    def read(self) -> list[dict[str, Any]]:
        """All records, in order; none where there is no file.

        Raises:
            RunError: A line is not a record.
        """
        if not self.path.exists():
            return []
        records = []
        for number, line in enumerate(read_regular(self.path).splitlines(), start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise RunError(
                    f"{self.path} is damaged in line {number:,}.",
                    got=f"{len(line):,} bytes that are not a record",
                    allowed="a JSON object a line, as it was written",
                    fix=f"put the file back as it was, or make the run again in another {option('out')}",
                )
            records.append(record)
        return records
