import threading
import time

import pytest

from reidgen.data.disk.threads import AHEAD, chunks, in_order


def test_results_come_in_order_though_work_ends_in_another():
    def work(i):
        time.sleep(0.01 if i % 2 == 0 else 0)
        return i * i

    assert list(in_order(work, range(25))) == [i * i for i in range(25)]
    assert list(in_order(work, [])) == []


def test_only_a_few_items_are_worked_on_ahead_and_an_error_cancels_the_rest():
    begun: list[int] = []
    lock = threading.Lock()

    def work(i):
        with lock:
            begun.append(i)
        if i == 3:
            raise KeyError(i)
        return i

    results = in_order(work, range(1000))
    assert next(results) == 0
    assert max(begun) <= AHEAD + 1
    with pytest.raises(KeyError):
        list(results)
    assert max(begun) <= 3 + AHEAD


def test_chunks_are_consecutive():
    assert chunks([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
