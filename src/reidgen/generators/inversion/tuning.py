"""Generators tuned around w+ of real crops, as files: one a person, or one for all."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from reidgen.config import SearchConfig
from reidgen.engine.progress import progress
from reidgen.errors import ConfigError, option, say
from reidgen.generators.inversion.inversion import tune, write_tuned
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.trained import TrainedGenerator

ALL, FOLDER = "all", "tuned"


@dataclass(frozen=True, eq=False)
class Pivots:
    """Real crops and their w+.

    Attributes:
        pixels: uint8 (N, H, W, 3) of the generator's size.
        ws: (N, num_ws, w_dim) on the CPU.
        pids: (N,).
        names: Of the files.
        noise: (N, H, W) a layer on the CPU, the maps that belong to these w+; None: the noise of reconstructions.
    """

    pixels: np.ndarray
    ws: Tensor
    pids: np.ndarray
    names: Sequence[str]
    noise: Sequence[Tensor] | None = None

    def noise_of(self, rows: np.ndarray) -> list[Tensor] | None:
        """The noise maps of some rows."""
        return None if self.noise is None else [layer[rows] for layer in self.noise]


def tuned_path(folder: Path, pid: int, config: SearchConfig) -> Path:
    """Where the generator of a person is, below the folder of all of them."""
    return folder / f"{ALL if config.tune_for == ALL else f'{pid:04d}'}.safetensors"


def tune_to_files(
    gan: TrainedGenerator, pivots: Pivots, *, likeness: Likeness, config: SearchConfig, folder: Path, batch: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Tune the generator of each person, or of all, and write it; one that is written is kept.

    How much room they take is said before the first.

    Args:
        gan: The generator to start from.
        pivots: Crops and w+.
        likeness: What is minimised.
        config: Steps, step size, and for whom one is tuned.
        folder: Where the files shall be.
        batch: Crops a step at most.

    Yields:
        Each file, when it is there, and the rows that are its own.

    Raises:
        ConfigError: The disk has no room for them.
        TrainingError: A loss stopped being a number.
    """
    files: dict[Path, list[int]] = {}
    for row, pid in enumerate(pivots.pids.tolist()):
        files.setdefault(tuned_path(folder, pid, config), []).append(row)
    _check_room(gan, [file for file in files if not file.is_file()], folder)
    with progress("tune the generator (files)", len(files)) as bar:
        for file, numbers in files.items():
            rows = np.array(numbers)
            if not file.is_file():
                own = pivots.noise_of(rows)
                crops, ws = pivots.pixels[rows], pivots.ws[rows]
                network = tune(gan, crops, ws, likeness=likeness, config=config, noise=own, batch=batch)
                people = sorted(set(pivots.pids[rows].tolist()))
                facts = {"people": people, "crops": [pivots.names[row] for row in numbers]}
                write_tuned(file, network, gan, facts)
            yield file, rows
            bar.advance()


def _check_room(gan: TrainedGenerator, missing: Sequence[Path], folder: Path) -> None:
    """Say how much room the files that are still to be written will take; an error where there is less."""
    if not missing:
        return
    each = 4 * sum(value.numel() for value in gan.network.state_dict().values())
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = each * len(missing), shutil.disk_usage(folder).free
    what = f"{len(missing):,} tuned generators of {each / 2**20:,.1f} MiB, {needed / 2**20:,.1f} MiB in all"
    if needed > free:
        raise ConfigError(
            f"There is no room in {folder} for the tuned generators.",
            got=f"{what}; {free / 2**20:,.1f} MiB are free",
            allowed="a disk with room for them, or one generator for all people",
            fix=f"{option(tune_for='all')}, or fewer people",
        )
    say(f"{folder} will hold {what}")
