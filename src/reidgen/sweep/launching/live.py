"""What a person sees of a running sweep: a table on a terminal; elsewhere a line an event, and one a minute."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reidgen.engine.runs.metrics_log import MetricsLog
from reidgen.sweep.launching.launch import Ended, Watch
from reidgen.sweep.point import TRAIN, Order

REFRESH_SEC = 2.0
LINE_EVERY_SEC = 60.0
LAST = 12  # ended runs that the table shows
AT_WORK = 8  # runs at work that a line names


class Lines:
    """Counts what ends, and prints a line an event, and once a minute how far it is.

    Args:
        orders: All runs of this call.
        done: How many runs were done before.
        write_points: Called after each run that ended, with all that have.
    """

    def __init__(
        self, orders: Sequence[Order], done: Mapping[str, Ended], write_points: Callable[[Mapping[str, Ended]], None]
    ) -> None:
        self.orders = {order["name"]: order for order in orders}
        self.results: dict[str, Ended] = dict(done)
        self.running: dict[str, float] = {}
        self.messages: list[str] = []
        self._before, self._total, self._write_points = len(done), len(done) + len(orders), write_points
        self._began_sec, self._told_sec = time.monotonic(), -LINE_EVERY_SEC
        if done:
            self.say(f"{len(done):,} of {self._total:,} runs are done already.")

    def started(self, name: str) -> None:
        """Note the time."""
        self.running[name] = time.monotonic()

    def ended(self, ended: Ended) -> None:
        """Count it, and write the points anew."""
        spent = time.monotonic() - self.running.pop(ended.name, time.monotonic())
        self.results[ended.name] = ended
        self._write_points(self.results)
        self.say(f"[{len(self.results)}/{self._total}] {ended.name}: {figures(ended)}, {clock(spent)}")
        self._tell_point(ended.name.rpartition("/")[0])

    def _tell_point(self, point: str) -> None:
        """Of a point whose seeds have all ended, the mean of those that have figures."""
        seeds = [name for name in {*self.orders, *self.results} if point and name.rpartition("/")[0] == point]
        found = [self.results[name].found for name in seeds if name in self.results]
        known = [one for one in found if one is not None]
        if len(found) == len(seeds) and len(known) > 1:
            means = (sum(one[key] for one in known) / len(known) for key in ("mAP", "rank1"))
            self.say("{}: mAP {:.2%}, rank-1 {:.2%}, means of {} seeds".format(point, *means, len(known)))

    def lost(self, ended: Ended, tries_left: int) -> None:
        """Say that a worker died."""
        self.running.pop(ended.name, None)
        again = "its run is taken up again" if tries_left > 0 else "its run is given up"
        self.say(f"{ended.name}: {ended.text}\n{again}.")

    def tick(self) -> None:
        """Say at the start, and then once a minute, how far all is and how far each training."""
        if time.monotonic() - self._told_sec < LINE_EVERY_SEC:
            return
        self._told_sec = time.monotonic()
        trainings = [f"{name} step {self._step(name)}" for name in list(self.running)[:AT_WORK]]
        more = len(self.running) - len(trainings)
        self.say("; ".join([self.summary(), *trainings, *([f"and {more} more"] if more else [])]))

    def say(self, text: str) -> None:
        """Print a line."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def summary(self) -> str:
        """Counts and times in one line."""
        failed = sum(ended.how != "done" for ended in self.results.values())
        new, left = len(self.results) - self._before, self._total - len(self.results)
        spent = time.monotonic() - self._began_sec
        about = f", about {clock(spent * left / new)} left" if new and left else ""
        bad = f", {failed} failed" if failed else ""
        return f"{len(self.results)} of {self._total} runs{bad}, {len(self.running)} at work, {clock(spent)}{about}"

    def _step(self, name: str) -> str:
        """How far a training is, by its last epoch."""
        order = self.orders[name]
        steps = order["steps"]
        records = MetricsLog(Path(order["folder"]) / TRAIN / "metrics.jsonl").read()
        at = records[-1]["step"] if records else 0
        return f"{at}/{steps}" if steps else str(at)


class Screen(Lines):
    """The same as a live table."""

    def __init__(
        self,
        orders: Sequence[Order],
        done: Mapping[str, Ended],
        write_points: Callable[[Mapping[str, Ended]], None],
        console: Console,
    ) -> None:
        self._live, self._console, self._shown_sec = Live(console=console, auto_refresh=False), console, 0.0
        super().__init__(orders, done, write_points)

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._show()
        self._live.stop()

    def ended(self, ended: Ended) -> None:
        """As a row of the table, not a line; a failure is a line too, which stays."""
        if ended.how != "done":
            super().ended(ended)
            return
        self.running.pop(ended.name, None)
        self.results[ended.name] = ended
        self._write_points(self.results)

    def say(self, text: str) -> None:
        """Print above the table."""
        self._console.print(Text(text))

    def tick(self) -> None:
        """Draw the table anew, now and then."""
        if time.monotonic() - self._shown_sec > REFRESH_SEC:
            self._show()

    def _show(self) -> None:
        self._shown_sec = time.monotonic()
        self._live.update(Group(self._table(), self.summary()), refresh=True)

    def _table(self) -> Table:
        table = Table("run", "state", "step", "mAP, %", "rank-1, %", "rank-5, %", box=None, pad_edge=False)
        room = max(3, self._console.height - len(self.running) - 6)
        for name in list(self.results)[-min(LAST, room) :]:
            ended = self.results[name]
            found = ended.found or {}
            cells = [f"{100 * found[key]:.2f}" if key in found else "" for key in ("mAP", "rank1", "rank5")]
            table.add_row(name, "done" if found else "failed", str(found.get("steps", "")), *cells)
        for name, since in self.running.items():
            table.add_row(name, clock(time.monotonic() - since), self._step(name), "", "", "")
        return table


@contextmanager
def watching(
    orders: Sequence[Order], done: Mapping[str, Ended], write_points: Callable[[Mapping[str, Ended]], None]
) -> Iterator[Watch]:
    """A live table on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        lines = Lines(orders, done, write_points)
        yield lines
        lines.say(lines.summary())
        return
    with Screen(orders, done, write_points, console) as screen:
        yield screen


def figures(ended: Ended) -> str:
    """The figures of a run in a few words, or why there are none."""
    if ended.found is None:
        return f"failed: {ended.text.splitlines()[0] if ended.text else 'no reason given'}"
    return f"mAP {ended.found['mAP']:.2%}, rank-1 {ended.found['rank1']:.2%}"


def clock(seconds: float) -> str:
    """`31 s`, `12 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
