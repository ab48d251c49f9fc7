"""Run folders that somebody has damaged: the same command again, and the commands that read what is there."""

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reidgen.engine.runs.run import RunFolder
from tests.factories import make_table
from tests.hostile.damage import BYTES, edited
from tests.hostile.guard import Case, verb
from tests.kill import OF_16X8, content, differences

REID = ["--backbone", "resnet18", "--weights", "random", "--size", "32", "16", "--bottleneck", "8", "--batch", "4"]
GAN = [*OF_16X8, "--batch", "4"]
SHORT = ["--device", "cpu", "--checkpoint-sec", "0"]

FACTS = (".json", ".jsonl", ".parquet", ".safetensors")

ASKED = ("status", "stage", "inputs", "summary")  # a config that differs in more than nulls is refused


class Cases:
    """Finished runs of a small chain, and two that were stopped half way; one of them is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.whole, self.out = folder, folder / "whole", folder / "run"
        self.whole.mkdir(parents=True)
        self.commands: dict[str, list[Any]] = {}
        pids, splits = [1, 2, 3, 4] * 3 + [5, 5, 6, 6], ["train"] * 12 + ["query", "gallery"] * 2
        make_table(pids, splits=splits, root=folder / "crops").write_metadata(folder / "crops")
        at = self.whole
        train = ["train-reid", "--data", at / "table", *REID, *SHORT, "--steps", "6"]
        gan = ["train-generator", "--data", at / "table", *GAN, *SHORT, "--kimg", "0.024", "--snapshot-kimg", "0.012"]
        self._make("table", ["prepare", "--dataset", "reidgen", "--root", folder / "crops"])
        self._make("reid", train, stops=True)
        self._make("gan", gan, stops=True)
        self._make("people", ["generate", "people", "--generator", at / "gan", "--people", "2", "--variants", "2"])
        self._make("filtered", ["filter", "--data", at / "people", "--reference", at / "table", "--calibrate"])
        self._make("extended", ["extend", "--real", at / "table", "--generated", at / "filtered"])
        self._make("result", ["evaluate", "--model", at / "reid", "--data", at / "table", "--device", "cpu"])
        self.contents = {name: content(at / name) for name in self.commands if "," not in name}

    def _make(self, name: str, command: list[Any], *, stops: bool = False) -> None:
        """A finished run, and as "NAME, stopped" what a kill after its second checkpoint would leave."""
        with _copied_at_a_checkpoint(self.whole / f"{name}, stopped") if stops else contextlib.nullcontext():
            verb(*command, "--out", self.out)
        self.out.rename(self.whole / name)
        self.commands[name] = command
        if stops:
            self.commands[f"{name}, stopped"] = command

    def case(self, seed: int) -> Case:
        """The run folder of a seed; the next takes its place."""
        rng = random.Random(seed)
        shutil.rmtree(self.out, ignore_errors=True)
        run = rng.choice([*self.commands, *(name for name in self.commands if name.endswith("stopped"))])
        shutil.copytree(self.whole / run, self.out)
        files = [path for path in sorted(self.out.rglob("*")) if path.suffix in FACTS]
        path = rng.choice(files)
        kinds = [self._bytes, self._special] + [self._json] * 3 * (path.suffix in (".json", ".jsonl"))
        what = rng.choice(kinds)(path, rng)
        ways = {"again": self._again} if run.endswith("stopped") else {"again": self._again, "read": self._read}
        way = rng.choice(list(ways))
        places = (self.out, self.folder / "next")
        name = f"{seed}: {run}, {path.relative_to(self.out)}, {what}, {way}"
        return Case(name, lambda: ways[way](run), places, self.folder)

    def _bytes(self, path: Path, rng: random.Random) -> str:
        change, data = rng.choice(BYTES), path.read_bytes()
        path.unlink()
        path.write_bytes(change(data, rng))
        return change.__name__

    def _json(self, path: Path, rng: random.Random) -> str:
        """A value is another, or the text is of another encoding or too deep."""
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        at = rng.randrange(len(lines))
        lines[at] = json.dumps(edited(json.loads(lines[at]), rng))
        text = "[" * 100_000 if rng.random() < 0.05 else "\n".join(lines) + "\n"
        path.write_bytes(text.encode("utf-16" if rng.random() < 0.05 else "utf-8", "backslashreplace"))
        return "json"

    def _special(self, path: Path, rng: random.Random) -> str:
        path.unlink()
        makers: dict[str, Callable[[], object]] = {
            "fifo": lambda: os.mkfifo(path),
            "folder": path.mkdir,
            "dangling": lambda: path.symlink_to("nowhere"),
            "zero": lambda: path.symlink_to("/dev/zero"),
            "gone": lambda: None,
        }
        kind = rng.choice(list(makers))
        makers[kind]()
        return kind

    def _again(self, run: str) -> None:
        """A stopped run ends with the bytes of the undisturbed one; a finished one is left as it is."""
        before = _bytes(self.out)
        verb(*self.commands[run], "--out", self.out)
        whole = self.contents[run.partition(",")[0]]
        if _bytes(self.out) != before or "," in run:
            found = content(self.out)
            found["run.json"] = {
                key: found["run.json"][key] for key in ASKED
            }  # what a damaged one said besides may stay
            assert not differences({**whole, "run.json": {key: whole["run.json"][key] for key in ASKED}}, found)

    def _read(self, run: str) -> None:
        """What the next stages make of it."""
        after = self.folder / "next"
        shutil.rmtree(after, ignore_errors=True)
        ways: dict[str, list[Any]] = {
            "table": ["evaluate", "--model", self.whole / "reid", "--data", self.out, "--device", "cpu"],
            "reid": ["evaluate", "--model", self.out, "--data", self.whole / "table", "--device", "cpu"],
            "gan": ["generate", "people", "--generator", self.out, "--people", "1", "--variants", "1"],
            "people": ["filter", "--data", self.out],
            "filtered": ["extend", "--real", self.whole / "table", "--generated", self.out],
            "extended": ["train-reid", "--data", self.out, *REID, *SHORT, "--steps", "1"],
            "result": ["report", "--baseline", self.out, "--runs", self.whole / "table"],
        }
        verb(*ways[run], "--out", after)


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@contextlib.contextmanager
def _copied_at_a_checkpoint(copy: Path) -> Iterator[None]:
    note, seen = RunFolder.note_cost, [0]

    def noted(run: RunFolder, **more: float) -> None:
        note(run, **more)
        seen[0] += 1
        if seen[0] == 2:
            shutil.copytree(run.path, copy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "note_cost", noted)
        yield
