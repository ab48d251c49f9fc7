"""The records of metrics.jsonl as TensorBoard's event files, beside it; off unless asked for."""

import atexit
import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidgen.errors import importing, option

SWITCH = "REIDGEN_TENSORBOARD"  # an environment variable, so that worker processes have it too
EVENTS = "events.out.tfevents.*"
Record = dict[str, Any]


@dataclass
class _Mirror:
    writer: Any
    position: int = 0  # length of metrics.jsonl, in bytes, that the event file has
    records: int = 0  # and how many


_open: dict[Path, _Mirror] = {}


def turn_on() -> None:
    """Write event files from now on, in this process and those that it starts.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        ConfigError: It is there and cannot be imported.
    """
    for module in ("tensorboard", "torch.utils.tensorboard"):
        with importing("tensorboard", extra="tensorboard", purpose=option("tensorboard")):
            importlib.import_module(module)
    os.environ[SWITCH] = "1"


def is_on() -> bool:
    """Whether event files are written."""
    return os.environ.get(SWITCH, "0") not in ("", "0")


def has_events(folder: Path) -> bool:
    """Whether an event file is there."""
    return any(folder.glob(EVENTS))


def mirror(path: Path, last: Record, read: Callable[[], Sequence[Record]], *, before: int, after: int) -> None:
    """Bring the event file beside a metrics.jsonl up to date after its last record was written.

    The file is continued where it has all that stood before. Otherwise (the run was taken up again, or cut back to a
    checkpoint) it is written anew from all records, so that no record is in it twice; a TensorBoard that is looking on
    is told to forget what it has seen.

    Args:
        path: The metrics.jsonl.
        last: Its last record.
        read: Gives all its records; called only where the file is written anew.
        before: Its length in bytes before the last record.
        after: And now.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    path = path.absolute()
    known = _open.get(path)
    new: Sequence[Record] = [last]
    if known is None or known.position != before:
        known, new = _Mirror(_new_writer(path, known)), read()
        _open[path] = known
    for record in new:
        for name, value in record.items():
            if isinstance(value, (int, float)) and name != "step":
                known.writer.add_scalar(name, value, record.get("step", known.records))
        known.records += 1
    known.writer.flush()
    known.position = after


def _new_writer(path: Path, known: _Mirror | None) -> Any:
    """An empty event file in place of all that there are."""
    turn_on()  # an environment variable may be set where the extra is not
    from torch.utils.tensorboard import SummaryWriter

    if known is not None:
        known.writer.close()
    for old in path.parent.glob(EVENTS):
        old.unlink()
    return SummaryWriter(log_dir=str(path.parent), purge_step=0)


@atexit.register
def close_all() -> None:
    """Close all event files."""
    while _open:
        _open.popitem()[1].writer.close()
