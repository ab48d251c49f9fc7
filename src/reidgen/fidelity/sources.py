"""Sets of generated crops to measure: a folder of files, weights, or all snapshots of a training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.config.fidelity import FidelityConfig
from reidgen.data.table import ReidTable
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, DataError, WeightsError, option
from reidgen.fidelity.crops import Crops, Files, Sampled, sizes_of
from reidgen.fidelity.figures import draw
from reidgen.files import file_sha256
from reidgen.generators.trained import load_generator
from reidgen.generators.weights import find_generator, read_generator

FAKES = 50_000  # sampled crops unless another number is asked for, as in "fid50k_full"


@dataclass(frozen=True)
class Source:
    """One set of generated crops.

    Attributes:
        name: Unique among the sets.
        hash: Of the weights or of the table.
        size: (height, width) of its crops.
        origin: The weight file, or the table of crops in files.
        trainings: Facts of the generator's training, after those of the trainings it was transferred from; empty where
            nobody knows.
    """

    name: str
    hash: str
    size: tuple[int, int]
    origin: Path | ReidTable
    trainings: list[dict[str, Any]]

    @property
    def of_weights(self) -> bool:
        """Whether the crops are sampled from weights."""
        return isinstance(self.origin, Path)

    @property
    def kimg(self) -> float | None:
        """Length of the training up to these weights; None for files."""
        return self.trainings[-1].get("kimg") if self.trainings and self.of_weights else None

    def count(self, config: FidelityConfig) -> int:
        """How many crops are measured.

        Raises:
            ConfigError: More are asked for than there are files.
        """
        if isinstance(self.origin, Path):
            return config.fakes or FAKES
        if config.fakes is not None and config.fakes > len(self.origin):
            there = len(self.origin)
            raise ConfigError(
                f"{option('fakes')} is more than there are.",
                got=config.fakes,
                allowed=f"up to {there}, all of them",
                fix=option(fakes=there),
            )
        return config.fakes or len(self.origin)

    def crops(self, size: tuple[int, int], config: FidelityConfig) -> Crops:
        """The crops, at a size; of files a random choice where fewer than all are asked for."""
        count, quality = self.count(config), quality_of(config)
        if isinstance(self.origin, Path):
            gan = load_generator(self.origin, device=config.device)
            return Sampled(gan, count, size, quality, config.psi, config.seed)
        paths = self.origin.paths
        return Files([paths[row] for row in draw(count, len(paths), "files", config.seed)], size, quality)


def quality_of(config: FidelityConfig) -> int | None:
    """JPEG quality, or None where pixels are left as they are."""
    return config.quality if config.file_format == "jpeg" else None


def of_camera(table: ReidTable, camera: int | None) -> ReidTable:
    """The crops of a camera; None: all."""
    return table if camera is None else table.where(pl.col("camid") == camera)


def from_files(folder: Path, camera: int | None = None) -> Source:
    """The crops of a table, or of one of its cameras, without those that a filter rejected.

    Raises:
        DataError: The folder holds no table, too few crops, or crops of several sizes.
    """
    table = of_camera(ReidTable.read(folder).kept, camera)
    if len(table) < 2:
        where = "" if camera is None else f" of camera {camera}"
        what = f"{folder} has too few crops{where}."
        raise DataError(what, got=len(table), allowed="two or more, thousands for a result")
    sizes = sorted(set(sizes_of(table.paths)))
    return Source("files", table.hash(), sizes[0], table, _trainings_of(folder))


def check_sizes(source: Source, config: FidelityConfig) -> None:
    """Raise `DataError` where crops in files differ in size and no size is asked for."""
    if isinstance(source.origin, Path) or config.size is not None:
        return
    sizes = sorted(set(sizes_of(source.origin.paths)))
    if len(sizes) > 1:
        told = ", ".join(f"{height}x{width}" for height, width in sizes[:4])
        raise DataError("The generated crops differ in size.", got=told, allowed="one size", fix=option(size=(128, 64)))


def _trainings_of(folder: Path) -> list[dict[str, Any]]:
    """What the run that made the crops knows of the generator's training."""
    if not (folder / "run.json").is_file():
        return []
    made = read_run(folder)["summary"]
    facts = made.get("generator_training")
    if not facts:
        return [{**one, "translator": True} for one in made.get("translator_training", [])]
    return [*facts.get("ancestors", []), facts]


def from_weights(path: Path, config: FidelityConfig) -> list[Source]:
    """The final weights of a training, a weight file, or all snapshots of a training in order.

    Raises:
        WeightsError: There is no such file or no snapshot, or one is damaged.
        RunError: The final weights of a training are asked for that is not finished.
    """
    if config.snapshots == "last":
        return [_of_file(find_generator(path))]
    found = sorted(path.glob("snapshot-*.safetensors"))
    if not found:
        raise WeightsError(
            f"{path} holds no snapshots.",
            got="a file" if path.is_file() else "no snapshot-*.safetensors",
            allowed=f"the {option('out')} of reidgen train-generator",
            fix=option(snapshots="last"),
        )
    return [_of_file(file) for file in found]


def _of_file(file: Path) -> Source:
    known = read_generator(file)
    training = known.training
    return Source(file.stem, file_sha256(file), known.config.size, file, [*training.get("ancestors", []), training])
