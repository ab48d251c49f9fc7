import importlib.util
import subprocess
import sys

import pytest

from reidgen.config import RenderConfig
from reidgen.engine.runs import tensorboard
from reidgen.engine.runs.metrics_log import MetricsLog
from reidgen.engine.runs.run import RunFolder
from reidgen.errors import ConfigError, MissingExtraError

needs_tensorboard = pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard"), reason="the extra `tensorboard` is not installed"
)


@pytest.fixture
def on(monkeypatch):
    monkeypatch.setenv(tensorboard.SWITCH, "1")
    yield
    tensorboard.close_all()


def events(folder):
    """tag -> [(step, value)], and how many files there are."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    files = list(folder.glob(tensorboard.EVENTS))
    found = {}
    for file in files:
        for event in LegacyEventFileLoader(str(file)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, pytest.approx(value.simple_value)))
    return found, len(files)


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv(tensorboard.SWITCH, raising=False)
    MetricsLog(tmp_path / "metrics.jsonl").write(step=1, loss=2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@needs_tensorboard
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_number_is_an_event(tmp_path, on):
    for step in (10, 20):
        MetricsLog(tmp_path / "metrics.jsonl").write(step=step, loss=1 / step, lr=0.1, what="word", error=float("nan"))
    found, count = events(tmp_path)
    assert found == {"loss": [(10, 0.1), (20, 0.05)], "lr": [(10, 0.1), (20, 0.1)]}
    assert count == 1


@needs_tensorboard
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_log_is_read_once_and_not_for_each_record(tmp_path, on, monkeypatch):
    log, reads, read = MetricsLog(tmp_path / "metrics.jsonl"), [], MetricsLog.read
    monkeypatch.setattr(MetricsLog, "read", lambda self: (reads.append(1), read(self))[1])
    for value in range(5):
        log.write(loss=value)  # without a step, records are counted
    assert len(reads) == 1
    assert events(tmp_path)[0] == {"loss": [(value, value) for value in range(5)]}


@needs_tensorboard
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_resumed_run_has_no_event_twice(tmp_path, on):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write(step=10, loss=1.0)
    kept = log.position
    log.write(step=20, loss=2.0)
    log.write(step=30, loss=3.0)
    log.rewind(kept)
    log.write(step=20, loss=2.5)  # the same process goes on
    assert events(tmp_path) == ({"loss": [(10, 1.0), (20, 2.5)]}, 1)
    tensorboard.close_all()  # another process goes on
    log.write(step=30, loss=3.5)
    assert events(tmp_path) == ({"loss": [(10, 1.0), (20, 2.5), (30, 3.5)]}, 1)


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'reidgen\[tensorboard\]'"):
        tensorboard.turn_on()
    assert not tensorboard.is_on()
    monkeypatch.setenv(tensorboard.SWITCH, "1")
    with pytest.raises(MissingExtraError):
        MetricsLog(tmp_path / "metrics.jsonl").write(step=1, loss=2.0)


def test_importing_it_loads_no_torch():
    code = "import sys, reidgen.engine.runs.tensorboard\nprint('torch' in sys.modules, 'tensorboard' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


@needs_tensorboard
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_that_is_done_without_gets_one(tmp_path, monkeypatch):
    monkeypatch.delenv(tensorboard.SWITCH, raising=False)
    with RunFolder.begin(tmp_path, stage="toy", config=RenderConfig()) as run:
        run.metrics.write(step=1, loss=2.0)
        run.finish({})
    monkeypatch.setenv(tensorboard.SWITCH, "1")
    RunFolder.begin(tmp_path, stage="toy", config=RenderConfig())
    tensorboard.close_all()
    assert events(tmp_path) == ({"loss": [(1, 2.0)]}, 1)
    before = [path.name for path in tmp_path.glob(tensorboard.EVENTS)]
    RunFolder.begin(tmp_path, stage="toy", config=RenderConfig())
    assert [path.name for path in tmp_path.glob(tensorboard.EVENTS)] == before


def test_a_broken_extra_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    (tmp_path / "tensorboard.py").write_text("raise ImportError('no symbol x')")
    monkeypatch.delitem(sys.modules, "tensorboard", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="installed and cannot be imported"):
        tensorboard.turn_on()
    assert not tensorboard.is_on()
