"""Which crops are translated to which cameras, and how each is made, before anything is computed."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidgen.config.generators.translation import TranslateConfig
from reidgen.data.pairs import camera_pair
from reidgen.data.pixels.maps import mask_paths
from reidgen.data.provenance.text import DIGITS
from reidgen.data.provenance.translation import Translation
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import derive_seed
from reidgen.errors import ConfigError, DataError, option
from reidgen.files import file_sha256
from reidgen.generators.translation.translator import TrainedTranslator

Way = tuple[int, int]  # source and target camera


@dataclass(frozen=True)
class Planned:
    """One crop to be made: which translator makes it, the row of its parent, that of its pose, and how it is made."""

    translator: int
    parent: int
    pose: int | None
    operation: Translation


def planned_ways(translators: Sequence[TrainedTranslator], config: TranslateConfig) -> list[tuple[int, Way]]:
    """The ways that were asked for, each with the number of the translator that goes it.

    Raises:
        ConfigError: The translators were trained for other cameras.
    """
    known = [(number, way) for number, one in enumerate(translators) for way in one.ways]
    ways = [(n, (a, b)) for n, (a, b) in known if config.source in (None, a) and config.target in (None, b)]
    if not ways:
        raise ConfigError(
            f"{translators[0].path} was trained for other cameras.",
            got=f"{option(source=config.source)} {option(target=config.target)}",
            allowed=", ".join(f"{a} to {b}" for _, (a, b) in known),
            fix="a translator for these cameras: reidgen train-translator",
        )
    return ways


def plan_translations(
    translators: Sequence[TrainedTranslator], crops: ReidTable, config: TranslateConfig
) -> list[Planned]:
    """All crops that shall be made, in order; each one's draws depend on the names of its parent and its target alone.

    Raises:
        ConfigError: The translators were trained for other cameras.
        DataError: There is no crop to translate.
    """
    ways = planned_ways(translators, config)
    files = fingerprints(crops, masks=any(one.config.needs_masks for one in translators))
    names = crops.rows["file_name"].to_list()
    planned = []
    for which, (source, target) in ways:
        needs = translators[which].config
        there = np.flatnonzero(crops.camids == target)
        for row in _chosen(crops, (source, target), config).tolist():
            for number in range(config.outputs):
                key = (config.seed, names[row], target, number)
                content, mask = files[names[row]]
                noise = derive_seed("translation noise", *key)
                one = Translation(source, target, content, noise, config.quality, mask if needs.needs_masks else None)
                pose = _pose(there, row, config, key) if needs.needs_pose else None
                if pose is not None:
                    one = dataclasses.replace(one, pose=names[pose], posed=files[names[pose]][1])
                planned.append(Planned(which, row, pose, one))
    if not planned:
        raise DataError(
            f"{crops.name or 'The table'} has no crop to translate.",
            got=f"{config.crops} crops, ways {', '.join(f'{a} to {b}' for _, (a, b) in ways)}",
            allowed="at least one crop",
            fix=f"{option(crops='all')}, or other cameras (reidgen pairs shows how many crops are new)",
        )
    return planned


def fingerprints(crops: ReidTable, *, masks: bool) -> dict[str, tuple[str, str | None]]:
    """Of each crop's file, by name, and with `masks` of its mask's, the first digits of SHA-256.

    Raises:
        DataError: A file is missing.
    """
    names, contents = crops.rows["file_name"], (content[:DIGITS] for content in crops.contents())
    paths: Sequence[Path | None] = mask_paths(crops) if masks else [None] * len(crops)
    hashes = (None if path is None else file_sha256(path)[:DIGITS] for path in paths)
    return dict(zip(names, zip(contents, hashes, strict=True), strict=True))


def _chosen(crops: ReidTable, way: Way, config: TranslateConfig) -> np.ndarray:
    """The rows that are moved one way."""
    rows = np.flatnonzero(crops.camids == way[0])
    if config.crops == "all" or not len(rows) or not (crops.camids == way[1]).any():
        return rows  # without a crop of the target nobody has a partner there
    pair = camera_pair(crops, *way)
    return pair.test if config.crops == "test" else pair.new


def _pose(there: np.ndarray, row: int, config: TranslateConfig, key: tuple[int | str, ...]) -> int:
    """The row whose mask a person is given: of any crop of the target, or its own."""
    if config.pose == "own" or not len(there):
        return row
    return int(there[derive_seed("translation pose", *key) % len(there)])
