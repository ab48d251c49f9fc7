"""Every verb, killed by SIGKILL at random moments again and again, ends with the bytes of a run that nobody disturbed.

`python -m tests.kill --kills 200` (POSIX only): a verb runs once undisturbed, which takes T seconds; then the same
command, under the same path, is killed with its whole process group at moments drawn evenly from (0, T), by time and
not by write, up to four times in a row; then it is left to end, and every file is compared. Torch is imported once,
and each command is forked from the process that has it.
"""

import argparse
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.engine.runs.records import CHECKSUM
from tests.factories import write_crop, write_masks
from tests.foreign_files import golden, module, upstream_pickle
from tests.forked import python

TIMED = ("point.json", "report.json", "index.html", "points.csv", ".lock")  # what says how long something took
LOGS = "logs"  # folder of what a sweep's workers said, of the killed ones too
COSTS = ("wall_sec", "peak_memory_gib", "wall_sec_of_runs")  # columns and fields that do
INPUTS = ("prepare", "gan", "people", "encoder", "variants", "translator", "reid", "evaluate")  # of other verbs
ROW = 4  # kills before a command is left to end
MAIN = "from reidgen.cli import main\nmain()"
NARROW = (
    "from reidgen.models import resnet\nresnet.WIDTHS = (8, 8, 8, 8)\n"  # of networks, so that checkpoints are small
)
OF_16X8 = ["--size", "16", "8", "--z-dim", "8", "--w-dim", "8", "--channel-base", "64", "--channel-max", "8"]
OF_32X16 = ["--size", "32", "16", "--width", "2", "--steps", "6", "--batch", "2", "--snapshot-steps", "3"]
REID = {"backbone": "resnet18", "weights": "random", "size": ["32", "16"], "bottleneck": "8", "batch": "4"}
OFTEN = ["--checkpoint-sec", "0"]


@dataclass
class Counts:
    """What happened to a verb.

    Attributes:
        kills: Commands that were killed.
        early: Of these, before there was any file in `--out`.
        ended: Commands that had ended before the moment came.
        equal: Rows of kills after which every file was as in the undisturbed run.
        differences: What was not.
        failed: Whether it fails undisturbed; it is not killed then.
        sec: T.
    """

    kills: int = 0
    early: int = 0
    ended: int = 0
    equal: int = 0
    differences: list[str] = field(default_factory=list)
    failed: bool = False
    sec: float = 0.0


def chain(root: Path) -> Iterator[tuple[str, list[Any]]]:
    """(name, command without --out) of every verb at toy size; the undisturbed run of each stays at root/NAME/whole."""
    of = {name: root / name / "whole" for name in INPUTS}
    reid = [text for name, value in REID.items() for text in (f"--{name}", *_texts(value))]
    swept = [text for name, value in REID.items() for text in (f"--reid.{name}", *_texts(value))]
    latent = ["--generator", of["gan"], "--data", of["prepare"]]
    plain = ["--perceptual-weight", "0", "--reid-weight", "0"]
    search = ["--search-steps", "3", "--tune-steps", "2"]
    real = ["--real", of["prepare"], "--generated"]
    network = ["--backbone", "resnet18", "--weights", "random", "--width", "8", "--passes", "2", "--batch", "4"]
    two = ["--devices", "2", "--norm-batch", "2", "--device", "cpu"]
    given = {
        "prepare": ["prepare", "--root", root / "market", "--expect-counts", "any"],
        "annotate": ["annotate", "--data", of["prepare"], "--masks", root / "masks"],
        "gan": ["train-generator", "--data", of["prepare"], *OF_16X8, "--batch", "4", "--kimg", "0.08", *OFTEN],
        "people": ["generate", "people", "--generator", of["gan"], "--people", "4", "--variants", "5", "--batch", "3"],
        "encoder": ["train-encoder", *latent, *plain, *network, "--steps", "6", "--test-steps", "3", *OFTEN],
        "invert": ["invert", *latent, "--encoder", of["encoder"], *plain, *search, "--crops", "2"],
        "variants": ["generate", "variants", *latent, "--crops", "2", "--variants", "3", "--encoder", of["encoder"]],
        "pairs": ["pairs", "--data", of["prepare"]],
        "translator": ["train-translator", "--data", of["prepare"], "--preset", "camstyle", *OF_32X16, *OFTEN],
        "translated": ["generate", "translate", "--translator", of["translator"], "--data", of["prepare"]],
        "grid": ["generate", "grid", "--generator", of["gan"], "--rows", "2", "--columns", "3", "--scale", "1"],
        "video": ["generate", "video", "--generator", of["gan"], "--rows", "1", "--columns", "2", "--scale", "1"],
        "reid": ["train-reid", "--data", of["prepare"], *reid, "--epochs", "4", *OFTEN],
        "convert": ["convert", root / "network.pkl"],
        "export": ["export", "--model", of["reid"]],
        "reid-2": ["train-reid", "--data", of["prepare"], *reid, *two, "--steps", "2", *OFTEN],
        "filter": ["filter", "--data", of["people"], "--reference", of["prepare"], "--calibrate"],
        "judge": ["filter", "--data", of["variants"], "--filters", "identity", "copies", "--reid", of["reid"]],
        "extend": ["extend", *real, of["people"], "--people", "3"],
        "evaluate": ["evaluate", "--model", of["reid"], "--data", of["prepare"]],
        "search": ["search", "--model", of["reid"], "--query", of["prepare"], "--gallery", of["prepare"]],
        "fidelity": ["fidelity", "--real", of["prepare"], "--generator", of["gan"], "--features", f"reid:{of['reid']}"],
        "sweep": ["sweep", *real, of["people"], *swept, "--reid.steps", "4", "--reid.checkpoint-sec", "0"],
        "report": ["report", "--baseline", of["evaluate"], "--runs", of["prepare"], of["gan"]],
        "quickstart": ["quickstart", "--people", "3", "--variants", "2", "--steps", "2"],
        "render": ["render", "--people", "2", "--cameras", "2", "--images-per-camera", "1", "--size", "64", "32"],
    }
    given["gan"] += ["--snapshot-kimg", "0.04"]
    given["video"] += ["--keyframes", "2", "--segment-frames", "3"]
    given["judge"] += ["--reference", of["prepare"]]
    given["search"] += ["--rerank", "k-reciprocal", "--rerank-k1", "3", "--maps", "match"]
    given["fidelity"] += ["--fakes", "6", "--neighbours", "2", "--kid-size", "4", "--batch", "3"]
    given["sweep"] += ["--reid.device", "cpu", "--axis", "people=0,3", "--seeds", "1", "--workers", "1"]
    given["quickstart"] += ["--seeds", "1"]
    needs = {"render": "anny", "export": "onnxruntime"}
    yield from ((n, c) for n, c in given.items() if n not in needs or importlib.util.find_spec(needs[n]))


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def run(command: list[Any], out: Path, *, until_sec: float | None = None) -> int:
    """Run a command, kill its process group after so many seconds; its exit status."""
    wide = command[0] == "sweep" or "--devices" in command  # their processes know nothing of narrow networks
    program = [python(), "-c", MAIN if wide else NARROW + MAIN, *map(str, command), "--out", str(out)]
    with (out.parent / "heard.txt").open("w") as heard:
        process = subprocess.Popen(program, stdout=heard, stderr=heard, cwd=out.parent, start_new_session=True)
    try:
        return process.wait(until_sec)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def content(folder: Path) -> dict[str, Any]:
    """Every file of a run by name, but for what is about time and machine."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "run.json":
            found[name] = _asked(json.loads(path.read_bytes()))
        elif path.name == "points.parquet":
            found[name] = _rows(path)
        elif path.is_file() and path.name not in TIMED and path.parent.name != LOGS:
            found[name] = path.read_bytes()
    return found


def _asked(record: dict[str, Any]) -> dict[str, Any]:
    """A run.json without what the run cost; a page shows costs, so its inputs are other ones each time."""
    kept = {key: value for key, value in record.items() if key not in ("cost", CHECKSUM)}
    if isinstance(record.get("summary"), dict):
        kept["summary"] = {key: value for key, value in record["summary"].items() if key not in COSTS}
    return {**kept, "inputs": None} if record.get("stage") == "report" else kept


def _rows(path: Path) -> bytes:
    """Rows without costs."""
    return repr(pl.read_parquet(path).drop(*COSTS, strict=False).rows()).encode()


def differences(whole: dict[str, Any], again: dict[str, Any]) -> list[str]:
    """Names of files that are missing, too many, or other."""
    names = sorted(whole.keys() | again.keys())
    return [
        f"{name} {'is missing' if name not in again else 'is too many' if name not in whole else 'is another'}"
        for name in names
        if whole.get(name) != again.get(name)
    ]


class Campaign:
    """The chain of runs in a folder, and what killing them did."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        self.counts: dict[str, Counts] = {}
        self._whole: dict[str, dict[str, Any]] = {}
        for pid in range(1, 10):
            for camid in range(1, 4):
                split = "bounding_box_train" if pid < 7 else "query" if camid == 1 else "bounding_box_test"
                for frame in range(2):
                    name = f"{pid:04d}_c{camid}s1_{frame:06d}_00.jpg"
                    write_crop(root / "market" / split / name, seed=100 * pid + 10 * camid + frame)
        write_masks(root / "masks", root / "market")
        weights, _ = golden("stylegan3_t_32")
        network = upstream_pickle({"G_ema": module(weights, buffers=("w_avg",))})
        (root / "network.pkl").write_bytes(network)

    def undisturbed(self, name: str, command: list[Any]) -> None:
        """Run a verb whole, and keep what it wrote, or that it fails."""
        out = self._fresh(name)
        began_sec = time.monotonic()
        status = run(command, out)
        self.counts[name] = Counts(sec=time.monotonic() - began_sec, failed=status != 0)
        sys.stderr.write(f"{name}: {self.counts[name].sec:.1f} s\n")
        if status:
            heard = (out.parent / "heard.txt").read_text(errors="replace")
            sys.stdout.write(f"{name} ends undisturbed with {status}, and is not killed:\n{heard[-1500:]}\n")
            return
        out.rename(out.with_name("whole"))
        self._whole[name] = content(out.with_name("whole"))

    def row(self, name: str, command: list[Any], kills: int) -> None:
        """Kill a verb up to so many times, let it end, and compare."""
        out, counts, moments = self._fresh(name), self.counts[name], []
        for _ in range(kills):
            moments.append(self.random.uniform(0, counts.sec))
            began_sec = time.monotonic()
            if run(command, out, until_sec=moments[-1]) != -signal.SIGKILL:
                counts.ended += 1
                if len(moments) == 1:  # a whole run: the machine has become quicker
                    counts.sec = min(counts.sec, time.monotonic() - began_sec)
                break
            counts.kills += 1
            counts.early += not content(out)
        status = run(command, out)
        found = [f"ends with {status}"] if status else differences(self._whole[name], content(out))
        counts.equal += not found
        sys.stderr.write(f"{name}: killed {counts.kills} times in all, {counts.equal} rows equal\n")
        if found:
            told = f"killed after {', '.join(f'{sec:.3f}' for sec in moments)} s: {'; '.join(found[:5])}"
            counts.differences.append(told)
            heard = (out.parent / "heard.txt").read_text(errors="replace")
            sys.stdout.write(f"{name}: {told}\n{heard[-1500:]}\n")

    def inputs_changed(self) -> list[str]:
        """What differs in the undisturbed runs from what they wrote."""
        return [
            f"{name}/{one}"
            for name, whole in self._whole.items()
            for one in differences(whole, content(self.root / name / "whole"))
        ]

    def _fresh(self, name: str) -> Path:
        out = self.root / name / "run"
        out.parent.mkdir(parents=True, exist_ok=True)
        for path in (out, self.root / "cache"):
            shutil.rmtree(path, ignore_errors=True)
        return out


def campaign(root: Path, kills: int, seed: int, verbs: list[str]) -> int:
    """Print what so many kills over the verbs do; how many verbs, rows and inputs are not as they should be."""
    os.environ["REIDGEN_CACHE"] = str(root / "cache")
    told, commands = Campaign(root, seed), dict(chain(root))
    for name, command in commands.items():
        if not verbs or name in {*verbs, *INPUTS}:
            told.undisturbed(name, command)
    chosen = [name for name, one in told.counts.items() if not one.failed and name in (verbs or commands)]
    while chosen and (left := kills - sum(one.kills for one in told.counts.values())) > 0:
        name = min(chosen, key=lambda one: told.counts[one].kills)
        told.row(name, commands[name], min(ROW, left))
        if told.counts[name].ended > 3 * kills:
            break
    failed, changed = [name for name, one in told.counts.items() if one.failed], told.inputs_changed()
    sys.stdout.write(table(told.counts))
    sys.stdout.write("".join(f"fails undisturbed: {name}\n" for name in failed))
    sys.stdout.write("".join(f"an input has changed: {name}\n" for name in changed))
    return sum(len(one.differences) for one in told.counts.values()) + len(failed) + len(changed)


def table(counts: dict[str, Counts]) -> str:
    """A line for each verb, and one for all."""
    text = f"{'verb':12}{'T':>8}{'kills':>7}{'early':>7}{'ended':>7}{'equal':>7}{'other':>7}\n"
    total = [0] * 5
    for name, one in counts.items():
        numbers = (one.kills, one.early, one.ended, one.equal, len(one.differences))
        total = [sum(pair) for pair in zip(total, numbers, strict=True)]
        text += f"{name:12}{one.sec:7.1f}s" + "".join(f"{number:7d}" for number in numbers) + "\n"
    return text + f"{'all':12}{'':8}" + "".join(f"{number:7d}" for number in total) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--verbs", nargs="*", default=[], help="only these, by the names that are printed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        sys.exit(min(campaign(Path(folder), given.kills, given.seed, given.verbs), 1))


if __name__ == "__main__":
    main()
