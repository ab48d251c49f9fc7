"""The w+ of real crops in files: beside the crops that were made from them, and in the run of an inversion."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from reidgen.data.provenance import Style
from reidgen.engine.checkpoint import load_state, load_weights, save_weights
from reidgen.engine.opening import check_numbers
from reidgen.engine.runs.records import check_fields, read_json
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, RunError, WeightsError, option
from reidgen.files import file_sha256

DIGITS = 16  # of the SHA-256 in the file's name
NAME = "latents-{}.safetensors"
RESULT = "inversion.json"
TuneFor = Literal["person", "all"]
NOISE, PIVOTAL = "+noise", "+pivotal"


@dataclass(frozen=True, eq=False)
class InvertedCrops:
    """What one way of an inversion found.

    Attributes:
        names: File names of the crops.
        ws: Their w+, (N, num_ws, w_dim).
        tuned: The folder of its tuned generators; None without pivotal tuning.
        tune_for: "person" or "all".
        way: Its name.
        hash: SHA-256 of the file of its w+.
    """

    names: list[str]
    ws: Tensor
    tuned: Path | None
    tune_for: TuneFor
    way: str
    hash: str


def way_name(method: str) -> str:
    """A way's name as a part of file names."""
    return method.replace(":", "-").replace("+", "-")


def way_file(folder: Path, method: str) -> Path:
    """Where the w+ and pixels of a way are in the run folder of an inversion."""
    return folder / f"way-{way_name(method)}.safetensors"


def read_inversion(folder: Path | str, *, way: str | None, generator: str) -> InvertedCrops:
    """What a way of a finished `invert` found.

    Args:
        folder: Its run folder.
        way: Name of the way; None takes the last.
        generator: Hash of the generator that it has to be of.

    Raises:
        RunError: It is not a finished run of invert, or a damaged one.
        WeightsError: It is of another generator, its tuned generators were not kept, or its w+ are not finite.
        ConfigError: It has no such way, or one with noise maps of its own, for which a crop's row has no place.
    """
    folder = Path(folder)
    record = read_run(folder)
    if record["stage"] != "invert":
        raise RunError(
            f"{folder} is not an inversion.",
            got=f"a run of {record['stage']}",
            allowed=f"the {option('out')} of invert",
        )
    for part, field in (("inputs", "generator"), ("config", "tune_for")):
        check_fields(folder / "run.json", record[part], {field: str}, f"{part}.")
    if record["inputs"]["generator"] != generator:
        raise WeightsError(
            f"{folder} is an inversion by another generator.",
            got=f"generator {record['inputs']['generator']}",
            allowed=f"generator {generator}",
            fix=f"{option('generator')} with the one that was inverted",
        )
    found = inversion_facts(folder)
    ways = [entry["method"] for entry in found["methods"]]
    way = ways[-1] if way is None else way
    usable = [one for one in ways if NOISE not in one]
    if way not in usable:
        raise ConfigError(
            f"{folder} has no way {way} that variants can be made of.",
            got=option(way=way),
            allowed=", ".join(usable) or "a run of invert with a way without +noise",
            fix=option(way=usable[-1]) if usable else "reidgen invert --methods optimise+pivotal",
        )
    tuned = folder / "tuned" / way_name(way) if way.endswith(PIVOTAL) else None
    if tuned is not None and not tuned.is_dir():
        raise WeightsError(
            f"The generators tuned by {way} are not in {folder}.",
            got=f"a run with {option(tuned='drop')}",
            allowed="a run that kept them",
            fix=f"reidgen invert --tuned keep in another {option('out')}",
        )
    file = way_file(folder, way)
    tune_for = record["config"]["tune_for"]
    return InvertedCrops(found["crops"], _ws_of(load_state(file), file), tuned, tune_for, way, file_sha256(file))


def inversion_facts(folder: Path) -> dict[str, Any]:
    """The inversion.json of a run of invert: `crops`, `likeness`, and `methods`, each with its `method`.

    Raises:
        RunError: It is missing or damaged.
    """
    found = read_json(folder / RESULT, {"crops": list, "likeness": dict, "methods": list})
    for number, entry in enumerate(found["methods"]):
        check_fields(folder / RESULT, entry, {"method": str}, f"methods.{number}.")
    return found


def write_inverted(folder: Path, ws: Tensor, facts: dict[str, Any]) -> str:
    """Write the w+ (N, num_ws, w_dim) of real crops; returns the digits of their file's hash."""
    passing = folder / NAME.format("new")
    save_weights(passing, {"ws": ws}, config={"kind": "latents", **facts})
    digits = file_sha256(passing)[:DIGITS]
    passing.replace(folder / NAME.format(digits))
    return digits


def find_inverted(folder: Path) -> str | None:
    """The digits of the file that is in a run folder, or None while there is none."""
    names = [path.stem.removeprefix("latents-") for path in folder.glob(NAME.format("*"))]
    return next((name for name in names if name != "new"), None)


def read_inverted(operations: Iterable[tuple[Style, str]]) -> dict[str, Tensor]:
    """The w+ that operations are made of, by the name of their file.

    Args:
        operations: Each with the folder where its files are.

    Raises:
        WeightsError: A file is not there, has another content than its name says, or has fewer rows.
    """
    found: dict[str, Tensor] = {}
    for operation, root in operations:
        for digits, row in ((operation.latents, operation.w), (operation.donors, operation.donor)):
            if digits is None or row is None:
                continue
            if digits not in found:
                found[digits] = load_inverted(Path(root), digits)
            if row >= len(found[digits]):
                raise WeightsError(
                    f"The w+ that a crop was made of are not in {Path(root) / NAME.format(digits)}.",
                    got=f"row {row} of {len(found[digits])}",
                    allowed="the table and the file of one run of generate variants",
                )
    return found


def load_inverted(folder: Path, digits: str) -> Tensor:
    """The w+ (N, num_ws, w_dim) of a file, which must have the content that its name says.

    Raises:
        WeightsError: It is not there, or has another content.
    """
    file = folder / NAME.format(digits)
    if not file.is_file():
        raise WeightsError(
            f"There is no {file}, from which crops of real people were made.",
            allowed="the run folder of generate variants",
            fix="regenerate(..., latents=FOLDER) with that folder",
        )
    if (hash_ := file_sha256(file))[:DIGITS] != digits:
        raise WeightsError(
            f"{file} is not what its name says.", got=f"SHA-256 {hash_[:DIGITS]}...", allowed=f"SHA-256 {digits}..."
        )
    return _ws_of(load_weights(file)[0], file)


def _ws_of(found: Any, file: Path) -> Tensor:
    """The w+ of what a file holds, which have to be there and finite."""
    check_fields(file, found, {"ws": Tensor})
    check_numbers({"ws": found["ws"]}, file)
    return found["ws"]
