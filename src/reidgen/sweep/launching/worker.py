"""Work on a sweep's runs in a process of its own: it reads one order a line from stdin.

Prints one line of JSON for each: how it ended, and what was found. It ends at once when stdin is closed, so that a
sweep that was killed leaves no worker behind.
"""

import contextlib
import traceback
from typing import Any

from reidgen.engine.devices.workers import serve
from reidgen.errors import ReidgenError
from reidgen.sweep.launching.full import disk_is_full
from reidgen.sweep.point import Order, run_point


def report_of(order: Order) -> dict[str, Any]:
    """Do the work of a run of a sweep and say how it ended: `done`, `failed`, or `full` where the disk is.

    A failure is the run's own, such as a loss that is not a number; the worker goes on with other runs.
    """
    try:
        return {"ended": "done", "found": run_point(order), "text": ""}
    except Exception as error:
        with contextlib.suppress(OSError):  # the log may be on the very disk that is full; the answer is not
            traceback.print_exc()
        known = isinstance(error, (ReidgenError, OSError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        return {"ended": "full" if disk_is_full(error) else "failed", "found": None, "text": text}


if __name__ == "__main__":
    serve(report_of)
