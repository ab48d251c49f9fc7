"""Work on many files in a few threads, results in order: Pillow, hashing and links let go of the interpreter."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 2
AHEAD = 8  # items worked on before their results are asked for, so that memory stays bounded

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The results of `work` on each item, in order. An error of one ends the iteration and cancels the rest."""
    with ThreadPoolExecutor(THREADS) as threads:
        ahead = deque(threads.submit(work, item) for item in items[:AHEAD])
        try:
            for number in range(len(items)):
                result = ahead.popleft().result()
                if number + AHEAD < len(items):
                    ahead.append(threads.submit(work, items[number + AHEAD]))
                yield result
        finally:
            threads.shutdown(cancel_futures=True)


def chunks(items: Sequence[Item], length: int) -> list[Sequence[Item]]:
    """Consecutive parts of a sequence, of `length` items each but the last."""
    return [items[i : i + length] for i in range(0, len(items), length)]
