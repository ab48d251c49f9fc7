"""Handing orders to workers, wherever these are, and going on when one dies."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from reidgen.sweep.launching.full import full_disk
from reidgen.sweep.point import Order

POLL_SEC = 0.5


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        name: The run.
        how: "done"; "failed", which another try would repeat; "lost" with its worker; "full", the disk.
        found: Its figures, where it is done.
        text: What went wrong.
    """

    name: str
    how: Literal["done", "failed", "lost", "full"]
    found: dict[str, Any] | None = None
    text: str = ""


class Workers(Protocol):
    """Processes that work on orders."""

    def free(self) -> int:
        """How many more orders can be taken on now."""

    def start(self, order: Order) -> None:
        """Take on an order."""

    def wait(self, timeout_sec: float) -> list[Ended]:
        """What has ended, after at most this time."""

    def close(self) -> None:
        """Stop all work at once."""


class Watch(Protocol):
    """Who is told of the progress."""

    def started(self, name: str) -> None:
        """A run began, or goes on."""

    def ended(self, ended: Ended) -> None:
        """A run ended for good."""

    def lost(self, ended: Ended, tries_left: int) -> None:
        """A worker died; its run is taken up again if tries are left."""

    def tick(self) -> None:
        """Time has passed."""


def work_off(orders: Sequence[Order], workers: Workers, watch: Watch, *, retries: int) -> dict[str, Ended]:
    """Work off all orders, as many at once as there are workers; how each ended.

    A run whose worker died is taken up again from its checkpoint, behind the others. One that fails does not stop the
    others.

    Args:
        orders: What is to be done, in this order.
        workers: Who does it; closed at the end.
        watch: Who is told.
        retries: How often a run is taken up again.

    Raises:
        RunError: The disk is full.
    """
    waiting, running, losses = deque(orders), dict[str, Order](), Counter[str]()
    results: dict[str, Ended] = {}
    try:
        while waiting or running:
            while waiting and workers.free() > 0:
                order = waiting.popleft()
                workers.start(order)
                running[order["name"]] = order
                watch.started(order["name"])
            for ended in workers.wait(POLL_SEC):
                order = running.pop(ended.name)
                if ended.how == "full":
                    raise full_disk(f"{ended.name}: {ended.text.splitlines()[0]}")
                losses[ended.name] += ended.how == "lost"
                if ended.how == "lost":
                    watch.lost(ended, retries + 1 - losses[ended.name])
                if ended.how == "lost" and losses[ended.name] <= retries:
                    waiting.append(order)
                else:
                    results[ended.name] = ended
                    watch.ended(ended)
            watch.tick()
    finally:
        workers.close()
    return results
