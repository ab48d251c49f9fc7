"""The w+ of real crops, in a file beside the crops that were made from them, named by its own hash."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.errors import WeightsError
from reidgen.files import file_sha256
from reidgen.generators.operation import Operation

DIGITS = 16  # of the SHA-256 in the file's name
NAME = "latents-{}.safetensors"


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


def read_inverted(operations: Iterable[tuple[Operation, str]]) -> dict[str, Tensor]:
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
    return load_weights(file)[0]["ws"]
