import io

from rich.console import Console

from reidgen.engine.runs.metrics_log import MetricsLog
from reidgen.sweep.launching import live
from reidgen.sweep.launching.launch import Ended

FOUND = {"mAP": 0.3, "rank1": 0.4, "rank5": 0.5, "steps": 100}


def orders(root, count=3):
    return [{"name": f"run-{i}", "folder": str(root / f"run-{i}"), "asked": {}, "steps": 100} for i in range(count)]


def told(watch):
    """A run that ends, one that is lost and fails, and one that is at work."""
    watch.started("run-0")
    watch.ended(Ended("run-0", "done", FOUND))
    watch.started("run-1")
    watch.lost(Ended("run-1", "lost", text="the worker died by SIGKILL"), 1)
    watch.started("run-1")
    watch.ended(Ended("run-1", "failed", text="The training loss is not a number any more.\n  got: nan"))
    watch.started("run-2")
    watch.tick()


def test_lines_for_events(tmp_path, capsys):
    written = []
    lines = live.Lines(orders(tmp_path), {"before": Ended("before", "done", FOUND)}, lambda r: written.append(len(r)))
    told(lines)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "1 of 4 runs are done already."
    assert said[1].startswith("[2/4] run-0: mAP 30.00%, rank-1 40.00%, ")
    assert said[2:4] == ["run-1: the worker died by SIGKILL", "its run is taken up again."]
    assert said[4].startswith("[3/4] run-1: failed: The training loss is not a number any more., ")
    assert written == [2, 3]
    assert lines.summary().startswith("3 of 4 runs, 1 failed, 1 at work, ") and lines.summary().endswith(" left")


def test_a_line_a_minute_says_how_far_it_is(tmp_path, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    log = MetricsLog(tmp_path / "run-1" / "train" / "metrics.jsonl")
    log.path.parent.mkdir(parents=True)
    lines = live.Lines(orders(tmp_path, 20), {}, lambda _: None)
    for number in range(10):
        lines.started(f"run-{number}")
    said = []
    for second in range(0, 131, 10):
        now[0] = float(second)
        if second == 30:
            log.write(step=40, train_loss=1.0)
        lines.tick()
        said += [(second, line) for line in capsys.readouterr().err.splitlines()]
    assert [second for second, _ in said] == [0, 60, 120]
    assert said[0][1].startswith("0 of 20 runs, 10 at work, 0 s; run-0 step 0/100; run-1 step 0/100; ")
    assert said[1][1].startswith("0 of 20 runs, 10 at work, 60 s; run-0 step 0/100; run-1 step 40/100; ")
    assert said[2][1].endswith("; run-7 step 0/100; and 2 more")


def test_a_point_whose_seeds_have_ended_is_told(tmp_path, capsys):
    def ended(name, mean):
        return Ended(name, "done", {"mAP": mean, "rank1": mean + 0.1})

    asked = [{"name": name} for name in ("a/seed-1", "b/seed-0", "a/seed-2")]
    lines = live.Lines(asked, {"a/seed-0": ended("a/seed-0", 0.2)}, lambda _: None)
    lines.ended(ended("a/seed-1", 0.4))
    lines.ended(ended("b/seed-0", 0.5))  # its only seed
    assert "means" not in capsys.readouterr().err
    lines.ended(Ended("a/seed-2", "failed", text="not a number"))
    assert capsys.readouterr().err.splitlines()[-1] == "a: mAP 30.00%, rank-1 40.00%, means of 2 seeds"


def test_a_live_table_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "REFRESH_SEC", 0.0)
    log = MetricsLog(tmp_path / "run-2" / "train" / "metrics.jsonl")
    log.path.parent.mkdir(parents=True)
    log.write(step=40, train_loss=1.0)
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, height=30, color_system=None)
    with live.Screen(orders(tmp_path), {}, lambda _: None, screen) as watch:
        told(watch)
        drawn = io.StringIO()
        Console(file=drawn, width=100).print(watch._table())
    rows = [line.split() for line in drawn.getvalue().splitlines()]
    assert rows[0][:3] == ["run", "state", "step"]
    assert rows[1] == ["run-0", "done", "100", "30.00", "40.00", "50.00"]
    assert rows[2] == ["run-1", "failed"]
    assert rows[3][0] == "run-2" and rows[3][-1] == "40/100"
    text = screen.file.getvalue()
    assert "SIGKILL" in text and "not a number" in text and "2 of 3 runs, 1 failed, 1 at work" in text


def test_many_rows_fit_the_screen(tmp_path):
    screen = Console(file=io.StringIO(), force_terminal=True, width=80, height=12)
    watch = live.Screen(orders(tmp_path, 99), {}, lambda _: None, screen)
    for i in range(50):
        watch.started(f"run-{i}")
        watch.ended(Ended(f"run-{i}", "done", FOUND))
    assert watch._table().row_count <= 12 - 6


def test_times_for_people():
    assert [live.clock(seconds) for seconds in (31, 720, 7500)] == ["31 s", "12 min", "2 h 05 min"]
