import threading

from filelock import Timeout

from reidgen.engine.runs.lock import alone, lock_of


def test_one_after_the_other_and_nothing_stays(tmp_path):
    path, order = tmp_path / "new" / "x.lock", []

    def second():
        with alone(path):
            order.append("second")

    with alone(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.15)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_process_left_is_no_lock(tmp_path):
    (tmp_path / "x.lock").write_text("")
    with alone(tmp_path / "x.lock"):
        pass


def test_who_does_not_wait_is_told(tmp_path):
    lock = lock_of(tmp_path / "x.lock", waits=False)
    with alone(tmp_path / "x.lock"):
        try:
            lock.acquire()
        except Timeout:
            return
    raise AssertionError("two have the lock")
