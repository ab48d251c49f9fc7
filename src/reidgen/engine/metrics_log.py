"""metrics.jsonl: one JSON object a line, the same bytes whether or not the run was interrupted."""

import json
import math
import os
from pathlib import Path
from typing import Any

from reidgen.engine import tensorboard
from reidgen.files import naming


class MetricsLog:
    """Append-only log of a run's numbers.

    A checkpoint stores `position`; on resume `rewind` cuts off what was written after it. Where TensorBoard's event
    files are asked for, they follow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def position(self) -> int:
        """Length of the file in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

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
        """All records, in order."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
