"""The folder of a run: what was asked, whether it is done, what it cost, and its metrics."""

import dataclasses
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reidgen.config import as_dict
from reidgen.config.base import GivenBy
from reidgen.engine.devices.machine import peak_memory_gib
from reidgen.engine.runs import tensorboard
from reidgen.engine.runs.lock import lock_of
from reidgen.engine.runs.metrics_log import MetricsLog
from reidgen.engine.runs.records import NUMBER, Fields, check_fields, read_json, write_checked
from reidgen.errors import ReidgenError, RunError, command, option
from reidgen.files import remove_leftovers, sha256

SCHEMA_VERSION = 1
OBJECTS = ("config", "inputs", "summary", "cost", "versions")
RECORD: Fields = {**dict.fromkeys(("status", "stage", "command", "machine"), str), **dict.fromkeys(OBJECTS, dict)}
COST: Fields = {"wall_sec": NUMBER, "peak_memory_gib": NUMBER, "starts": int}


class RunFolder:
    """One stage's `out`: the same command again resumes it or finds it done.

    Use `with RunFolder.begin(...) as run`. Everything about time and machine is in run.json alone, so that all other
    files of a run that was killed and resumed have the bytes of one that was never killed.

    Attributes:
        path: The folder.
        done: Whether the run finished earlier; the caller then returns what is there.
        metrics: The run's metrics.jsonl.
        findings: Names of files that say what is wrong with the inputs. A run that ends with a user's error and has
            written no others is forgotten; they stay.
        identity: SHA-256 of stage, config and inputs, without what may change while the run goes on: what its
            checkpoints know it by.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _lock(path)  # let go when nobody has this object any more, also when a stage ends with an error
        self.identity = ""
        self.findings: frozenset[str] = frozenset()
        self.record: dict[str, Any] = {}
        self.metrics = MetricsLog(path / "metrics.jsonl")
        self._began_sec, self._spent_sec = time.monotonic(), 0.0

    @classmethod
    def begin(
        cls,
        out: Path | str,
        *,
        stage: str,
        config: Any,
        inputs: dict[str, Any] | None = None,
        adjustable: Collection[str] = (),
        growing: Collection[str] = (),
        reopening: Collection[str] = (),
    ) -> "RunFolder":
        """Make or reopen a run folder.

        Args:
            out: The folder.
            stage: The verb, such as "train-reid".
            config: The frozen dataclass with every knob.
            inputs: What the run reads, as name -> hash or text; a change of it makes another run.
            adjustable: Fields of the config that a run that is not done may change when it is taken up again.
            growing: Fields, numbers, that such a run may raise.
            reopening: Fields that may always change; a run that was done is then taken up again.

        Raises:
            RunError: The folder belongs to a run with another stage, config or input, or another process is writing it.
        """
        path = Path(out)
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file.", allowed="a folder that is new, empty, or of the same command")
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise RunError(
                f"{path} cannot be written.",
                got=reason,
                allowed="a folder that can be made",
                fix=f"another {option('out')}",
            ) from error
        asked = json.loads(json.dumps({"stage": stage, "config": as_dict(config), "inputs": inputs or {}}))
        if (before := read_record(path)) is not None:
            _forget_new_options(before["config"], asked["config"], config)
        try:
            run._open(asked, adjustable, growing, reopening)
        except BaseException:
            run.close()
            raise
        return run

    def _open(
        self, asked: dict[str, Any], adjustable: Collection[str], growing: Collection[str], reopening: Collection[str]
    ) -> None:
        """Take up the record that is there, or begin one."""
        record = read_record(self.path)
        if record is None:
            record = {
                "schema_version": SCHEMA_VERSION,
                "status": "running",
                **asked,
                "summary": {},
                "cost": {"wall_sec": 0.0, "peak_memory_gib": 0.0, "starts": 0},
            }
        else:
            if record["status"] != "done":
                kept, now = record["config"], asked["config"]
                kept.update({name: now[name] for name in adjustable if name in now})
                kept.update({name: now[name] for name in growing if name in kept and _more(now[name], kept[name])})
            _reopen(record, asked, reopening)
            _check_same(self.path, record, asked)
        if record["status"] != "done":
            record["command"] = command(Path(sys.argv[0]).name, *sys.argv[1:])
            record["versions"], record["machine"] = _versions(), platform.machine()
        self.record, self._spent_sec = record, float(record["cost"]["wall_sec"])
        self.identity = _identity(asked, {*adjustable, *growing, *reopening})
        if self.done:
            sys.stderr.write(f"{self.path} is done already.\n")
            if tensorboard.is_on():
                self.metrics.follow()
            self.close()
        else:
            remove_leftovers(self.path)
            record["cost"]["starts"] += 1
            write_checked(self.path / "run.json", record)

    @property
    def done(self) -> bool:
        """Whether the run has finished."""
        return self.record["status"] == "done"

    @property
    def summary(self) -> dict[str, Any]:
        """What the finished run said of itself."""
        return self.record["summary"]

    def note_cost(self, **more: float) -> None:
        """Write the time and memory used so far, and what else is named, to run.json; called with each checkpoint."""
        cost = self.record["cost"]
        cost["wall_sec"] = round(self._spent_sec + time.monotonic() - self._began_sec, 3)
        cost["peak_memory_gib"] = round(max(cost["peak_memory_gib"], peak_memory_gib()), 3)
        cost.update(more)
        write_checked(self.path / "run.json", self.record)

    def finish(self, summary: dict[str, Any]) -> None:
        """Mark the run as done with a few facts for people and for the report."""
        self.record["status"], self.record["summary"] = "done", summary
        self.note_cost()
        self.close()

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.release()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Close. After a user's error that came before anything was written, forget the run, so that a mended command
        may take the same folder.
        """
        passing = {"run.json", ".lock", *self.findings}
        if isinstance(error, ReidgenError) and {path.name for path in self.path.iterdir()} <= passing:
            (self.path / "run.json").unlink(missing_ok=True)
        self.close()


@dataclass(frozen=True)
class RunFiles:
    """What a process that works for a run may touch, while the process that began the run holds its folder.

    Attributes:
        path: The folder.
        identity: As of the run.
        done: Likewise.
    """

    path: Path
    identity: str
    done: bool = False

    @property
    def metrics(self) -> MetricsLog:
        """The run's metrics.jsonl."""
        return MetricsLog(self.path / "metrics.jsonl")

    def note_cost(self, **more: float) -> None:
        """Nothing: time and memory are noted by the process that began the run, when it ends."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Nothing: the process that began the run finishes it."""


def read_run(path: Path | str) -> dict[str, Any]:
    """The run.json of a finished run.

    Raises:
        RunError: There is none, or the run has not finished.
    """
    record = read_record(Path(path))
    if record is None:
        raise RunError(
            f"{path} is not a run folder.", got="no run.json", allowed=f"the {option('out')} of an earlier command"
        )
    if record["status"] != "done":
        raise RunError(
            f"The run in {path} is not finished.",
            got=f"status {record['status']}",
            allowed="status done",
            fix=record.get("command", "the same command again"),
        )
    return record


def read_record(path: Path) -> dict[str, Any] | None:
    """The run.json of a run, finished or not; None where there is none.

    Raises:
        RunError: It is damaged.
    """
    file = path / "run.json"
    if not file.is_file():
        return None
    record = read_json(file, RECORD)
    check_fields(file, record["cost"], COST, "cost.")
    check_fields(file, record["versions"], dict.fromkeys(("reidgen", *record["versions"]), str), "versions.")
    return record


def _forget_new_options(before: dict[str, Any], asked: dict[str, Any], config: Any) -> None:
    """Of options that a run of an earlier version did not know, leave out those that have their defaults.

    Every new option has a default under which a run is what it was without the option, so such a run goes on.
    """
    for field in dataclasses.fields(config):
        name, value = field.name, getattr(config, field.name)
        if name in before:
            if dataclasses.is_dataclass(value) and isinstance(before[name], dict):
                _forget_new_options(before[name], asked[name], value)
        elif field.default is not dataclasses.MISSING and asked[name] == _usual(config, field):
            del asked[name]


def _usual(config: Any, field: "dataclasses.Field[Any]") -> Any:
    """The default of a field as JSON has it, or what the config's own recipe or preset gives it."""
    usual = field.default
    if isinstance(usual, GivenBy):
        usual = getattr(dataclasses.replace(config, **{field.name: usual}), field.name)
    return json.loads(json.dumps(usual, default=as_dict))


def _identity(asked: dict[str, Any], changing: Collection[str]) -> str:
    config = {name: value for name, value in asked["config"].items() if name not in changing}
    return sha256([json.dumps({**asked, "config": config}, sort_keys=True).encode()])


def _more(now: Any, before: Any) -> bool:
    """Whether a number has grown; what is none, in a file that somebody has edited, is told as another config."""
    return isinstance(before, (int, float)) and now > before


def _reopen(record: dict[str, Any], asked: dict[str, Any], names: Collection[str]) -> None:
    """Take up a finished run again if one of the named fields is new, and only such."""
    if record["stage"] != asked["stage"]:
        return
    changed = {name: asked["config"][name] for name in names if record["config"].get(name) != asked["config"][name]}
    if changed and {**record["config"], **changed} == asked["config"]:
        record["config"].update(changed)
        record["status"] = "running"


def _check_same(path: Path, record: dict[str, Any], asked: dict[str, Any]) -> None:
    before, now = _flat({k: record.get(k) for k in asked}), _flat(asked)
    changed = [
        f"{key}: {before.get(key, 'not set')} -> {now.get(key, 'not set')}"
        for key in dict.fromkeys((*before, *now))
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise RunError(
            f"{path} holds another run.",
            got="; ".join(changed[:6]),
            allowed="the same command as before, to resume it",
            fix=f"another {option('out')}, or the old options",
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}.{key}" if prefix else key).items()}


def _lock(path: Path) -> FileLock:
    lock = lock_of(path / ".lock", waits=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(f"Another process is writing {path}.", fix=f"wait for it, or another {option('out')}") from error
    return lock


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("reidgen", "torch", "numpy", "polars", "pillow"):
        versions[package] = importlib.metadata.version(package)
    return versions
