"""Command lines of every verb with options that nobody means: refused in words, or a plan; a dry run writes nothing."""

import random
import re
import shutil
from pathlib import Path
from typing import Any

from reidgen.cli import GENERATE, VERBS
from tests.factories import make_table, write_crop
from tests.hostile.guard import Case, verb

NAMES = (*sorted(set(VERBS) - {"generate"}), *(f"generate {name}" for name in GENERATE))
VALUES = (
    *("", "x", "-1", "0", "1", "2", "nan", "inf", "-inf", "0.5", "1e-300", "None", "none", "all", "true", "a=b", "-"),
    *("日本", "\udcff", "a\nb", "'", "$(id)", "%s", "{}", "../..", "/dev/null", "--", "-h", "@x", "cross-entropy:nan"),
)
HUGE = ("9" * 20, "1e309", str(2**31), str(2**63), "-" + "9" * 400, "x" * 5000, "1_000", "٣")  # of dry runs alone
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9.-]*")


class Cases:
    """Inputs of every kind in a folder, and command lines that name them rightly and wrongly."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        pids, splits = [1, 1, 2, 2, 3, 3], ["train"] * 4 + ["query", "gallery"]
        make_table(pids, splits=splits, root=folder / "table").write_metadata(folder / "table")
        fakes = make_table([1, 1, 2], root=folder / "fakes", origin=["generated"] * 3)
        fakes.write_metadata(folder / "fakes")
        write_crop(folder / "market" / "query" / "0001_c1s1_000000_00.jpg")
        (folder / "file.txt").write_text("a file")
        self.inputs: dict[str, list[Any]] = {
            **{f"--{name}": [folder / "table"] for name in ("data", "real", "reference", "query", "gallery")},
            **{f"--{name}": [folder / "fakes"] for name in ("generated", "fake")},
            **{f"--{name}": [folder / "nowhere"] for name in ("model", "generator", "encoder", "reid", "judge")},
            "--root": [folder / "market"],
        }
        self.options = {name: sorted(set(OPTION.findall(verb(*name.split(), "--help")))) for name in NAMES}

    def case(self, seed: int) -> Case:
        """The command line of a seed."""
        rng = random.Random(seed)
        shutil.rmtree(self.out, ignore_errors=True)
        if rng.random() < 0.3:
            return self._small(seed, rng)
        name = rng.choice(NAMES)
        words: list[Any] = [*name.split(), *self._inputs(name)]
        for _ in range(rng.randint(1, 3)):
            words += [rng.choice(self.options[name]), rng.choice((*VALUES, *HUGE))]
        if rng.random() < 0.3:
            at = rng.randrange(len(words))
            words[at : at + 1] = rng.choice(([], [words[at]] * 2, [rng.choice(VALUES)]))
        words.append("--dry-run")
        return Case(f"{seed}: {words}", lambda: verb(*words), (), self.folder)

    def _inputs(self, name: str) -> list[Any]:
        needed = [option for option in self.options[name] if option in self.inputs]
        first = [self.folder / "nowhere"] if name == "convert" else []
        return [*first, *(word for option in needed for word in (option, *self.inputs[option])), "--out", self.out]

    def _small(self, seed: int, rng: random.Random) -> Case:
        """A verb that is quick, in earnest: one value is odd, or a folder is something else."""
        name = rng.choice(("prepare", "extend", "filter", "report", "evaluate", "search", "train-reid", "fidelity"))
        words: list[Any] = [name, *self._inputs(name)]
        words += ["--expect-counts", "any"] if name == "prepare" else []
        words += ["--weights", "random", "--steps", "1"] if name == "train-reid" else []  # not to download
        if rng.random() < 0.5:
            option = rng.choice([one for one in self.options[name] if one not in ("--out", "--help")])
            words += [option, rng.choice(VALUES)]
        else:
            at = rng.choice([at for at, word in enumerate(words) if isinstance(word, Path)])
            words[at] = rng.choice((self.folder / "file.txt", self.folder / "nothing", "/dev/null", "/proc/1"))
        places = (Path(words[words.index("--out") + 1]),)
        return Case(f"{seed}: {words}", lambda: verb(*words), places, self.folder)
