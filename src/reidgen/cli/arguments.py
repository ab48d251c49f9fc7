"""What several verbs take, in words, and reading a table. Imports no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, arg

from reidgen.files import Crops

if TYPE_CHECKING:
    from reidgen.data.table import ReidTable

Out = Annotated[Path, arg(help="Folder of this run. The same command again resumes it, or says that it is done.")]
Data = Annotated[Path, arg(help="Folder of a table, as written by render, prepare, generate, filter or extend.")]
Real = Annotated[Path, arg(help="Table of real (or rendered) crops with train, query and gallery.")]
Generator = Annotated[Path, arg(help="Run folder of train-generator, or a generator's .safetensors file.")]
Translator = Annotated[Path, arg(help="Run folder of train-translator, a folder of several, or a .safetensors file.")]
Rotator = Annotated[Path, arg(help="Run folder of train-rotator, or a rotator's .safetensors file.")]
Encoder = Annotated[Path | None, arg(help="Run folder of train-encoder; it has to be one for this generator.")]
Judge = Annotated[Path | None, arg(help="Run folder of another train-reid, which judges and has no part in the loss.")]
Inverted = Annotated[Path | None, arg(help="Run folder of invert, for --invert given.")]
Reid = Annotated[Path | None, arg(help="Run folder of train-reid, for the re-ID distance (--reid-weight).")]
Model = Annotated[Path, arg(help="Run folder of train-reid; or of train-encoder, whose w+ are then compared.")]
CropFiles = Annotated[
    Crops,
    arg(help="Hard links to the crops' files, so that an edit in place changes both, or copies."),
]
READ = ("root", "data", "real", "generated", "fake", "reference", "query", "gallery")  # inputs: folders of crops
DRY_RUN = "Print what would be run, and stop."
Tensorboard = Annotated[FlagCreatePairsOff[bool], arg(help="Write event files too (extra: tensorboard).")]


def read_table(folder: Path) -> "ReidTable":
    """The table of a folder.

    Raises:
        RunError: The stage that writes it is not finished: only a part of it may be there.
        DataError: The folder holds no table.
    """
    from reidgen.data.table import ReidTable
    from reidgen.engine.runs.run import read_run

    if (folder / "run.json").is_file():
        read_run(folder)
    return ReidTable.read(folder)


def crops_of_people(table: "ReidTable", out: Path) -> str:
    """How many crops of how many people a verb wrote, for its answer."""
    return f"{len(table):,} crops of {table.rows['pid'].n_unique():,} people in {out}"
