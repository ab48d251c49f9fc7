"""What the verbs of `reidgen` have in common: their arguments in words, dry runs, and reading a table. No torch."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from reidgen.config import as_dict
from reidgen.files import Crops, check_apart

if TYPE_CHECKING:
    from reidgen.data.table import ReidTable

Out = Annotated[Path, arg(help="Folder of this run. The same command again resumes it, or says that it is done.")]
Data = Annotated[Path, arg(help="Folder of a table, as written by render, prepare, generate, filter or extend.")]
Generator = Annotated[Path, arg(help="Run folder of train-generator, or a generator's .safetensors file.")]
Translator = Annotated[Path, arg(help="Run folder of train-translator, a folder of several, or a .safetensors file.")]
Encoder = Annotated[Path | None, arg(help="Run folder of train-encoder; it has to be one for this generator.")]
Judge = Annotated[Path | None, arg(help="Run folder of another train-reid, which judges and has no part in the loss.")]
Inverted = Annotated[Path | None, arg(help="Run folder of invert, for --invert given.")]
Reid = Annotated[Path | None, arg(help="Run folder of train-reid, for the re-ID distance (--reid-weight).")]
CropFiles = Annotated[
    Crops,
    arg(help="Hard links to the crops' files, so that an edit in place changes both, or copies."),
]
READ = ("root", "data", "real", "generated", "fake", "reference", "query", "gallery")  # inputs: folders of crops
DryRun = Annotated[FlagCreatePairsOff[bool], arg(help="Print what would be run, and stop.")]
Tensorboard = Annotated[FlagCreatePairsOff[bool], arg(help="Write event files too (extra: tensorboard).")]


def say(text: str) -> None:
    """Print a line of a verb's answer."""
    sys.stdout.write(f"{text}\n")


def planned(dry_run: bool, stage: str, config: Any, **inputs: object) -> bool:
    """Print the whole plan of a dry run; whether there is nothing more to do.

    Raises:
        ConfigError: The folder to write is one of the folders of crops that are read, or lies in one.
    """
    check_apart(str(inputs["out"]), [str(inputs[name]) for name in READ if inputs.get(name)])
    if dry_run:
        plan = {"stage": stage, **{k: str(v) for k, v in inputs.items()}, "config": as_dict(config)}
        say(json.dumps(plan, indent=2))
    return dry_run


def follow(tensorboard: bool) -> None:
    """Let event files follow the metrics of what is run now.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    if tensorboard:
        from reidgen.engine.tensorboard import turn_on

        turn_on()


def read_table(folder: Path) -> "ReidTable":
    """The table of a folder.

    Raises:
        RunError: The stage that writes it is not finished: only a part of it may be there.
        DataError: The folder holds no table.
    """
    from reidgen.data.table import ReidTable
    from reidgen.engine.run import read_run

    if (folder / "run.json").is_file():
        read_run(folder)
    return ReidTable.read(folder)
