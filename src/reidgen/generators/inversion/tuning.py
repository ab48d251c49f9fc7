"""Generators tuned around w+ of real crops, as files: one a person, or one for all."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from reidgen.config import SearchConfig
from reidgen.engine.progress import progress
from reidgen.errors import ConfigError, RunError, command, option, say
from reidgen.files import sha256
from reidgen.generators.inversion.inversion import tune, write_tuned
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.trained import TrainedGenerator
from reidgen.generators.weights import read_generator

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

    def at(self, rows: np.ndarray) -> "Pivots":
        """Some rows."""
        noise = None if self.noise is None else [layer[rows] for layer in self.noise]
        return Pivots(self.pixels[rows], self.ws[rows], self.pids[rows], [self.names[row] for row in rows], noise)


def tuned_path(folder: Path, pid: int, config: SearchConfig) -> Path:
    """Where the generator of a person is, below the folder of all of them."""
    return folder / f"{ALL if config.tune_for == ALL else f'{pid:04d}'}.safetensors"


def tune_to_files(
    gan: TrainedGenerator, pivots: Pivots, *, likeness: Likeness, config: SearchConfig, folder: Path, batch: int
) -> Iterator[tuple[Path, np.ndarray]]:
    """Tune the generator of each person, or of all, and write it; one that is written of the same is kept.

    How much room they take is said before the first.

    Args:
        gan: The generator to start from.
        pivots: Crops and w+.
        likeness: What is minimised.
        config: Steps, learning rate, and for whom one is tuned.
        folder: Where the files shall be.
        batch: Crops a step at most.

    Yields:
        Each file, when it is there, and the rows that are its own.

    Raises:
        ConfigError: The disk has no room for them.
        RunError: A file there was tuned from another generator, or for other crops, w+ or options.
        TrainingError: A loss stopped being a number.
    """
    files: dict[Path, list[int]] = {}
    for row, pid in enumerate(pivots.pids.tolist()):
        files.setdefault(tuned_path(folder, pid, config), []).append(row)
    _check_room(gan, [file for file in files if not file.is_file()], folder)
    with progress("tune the generator (files)", len(files)) as bar:
        for file, numbers in files.items():
            rows = np.array(numbers)
            own, each = pivots.at(rows), min(batch, len(rows))
            facts = _facts(gan, own, likeness, config, each)
            if file.is_file():
                _check_same(file, facts)
            else:
                network = tune(gan, own.pixels, own.ws, likeness=likeness, config=config, noise=own.noise, batch=each)
                write_tuned(file, network, gan, facts)
            yield file, rows
            bar.advance()


def _facts(
    gan: TrainedGenerator, pivots: Pivots, likeness: Likeness, config: SearchConfig, batch: int
) -> dict[str, Any]:
    """All that a tuned generator depends on, for its file."""
    options = {name: getattr(config, name) for name in ("tune_steps", "tune_lr", "tune_stop")}
    arrays = (pivots.pixels, *(part.numpy() for part in (pivots.ws, *(pivots.noise or ()))))
    return {
        "tuned_from": gan.hash,
        "people": sorted(set(pivots.pids.tolist())),
        "crops": list(pivots.names),
        "pivots": sha256(array.tobytes() for array in arrays),
        "options": {**options, **config.loss_weights, "batch": batch},
        "likeness": likeness.facts,
    }


def _check_same(file: Path, facts: dict[str, Any]) -> None:
    """An error unless a tuned generator is of these facts."""
    found = read_generator(file).training.get("pivotal_tuning")
    found = found if isinstance(found, dict) else {}
    other = [name for name, value in facts.items() if found.get(name) != value]
    if other:
        raise RunError(
            f"{file} is another run's tuned generator.",
            got=f"another {', '.join(other)}",
            allowed="one that was tuned from this run's generator, for its crops and w+, with its options",
            fix=f"put the run's own file back; or {command('rm', file)}, and the same command makes it anew",
        )


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
