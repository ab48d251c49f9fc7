"""Measuring generated crops against real ones: features once, figures for every set, all of it resumable."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from reidgen.config import as_dict
from reidgen.config.base import require
from reidgen.config.fidelity import FidelityConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.cache import cache_folder
from reidgen.engine.runs.records import read_json, write_checked
from reidgen.errors import ConfigError, DataError, option
from reidgen.fidelity.crops import Files, sizes_of
from reidgen.fidelity.extractors import Extractor, load_extractor
from reidgen.fidelity.features import extract
from reidgen.fidelity.figures import beside_floor, compare, floor
from reidgen.fidelity.result import Fidelity
from reidgen.fidelity.sources import Source, check_sizes, from_files, from_weights, of_camera, quality_of
from reidgen.fidelity.words import protocol_in_words, seen_in_words
from reidgen.files import sha256


def measure_fidelity(
    real: ReidTable,
    config: FidelityConfig = FidelityConfig(),
    *,
    fake: Path | str | None = None,
    generator: Path | str | None = None,
    out: Path | str,
    extractor: Extractor | None = None,
) -> Fidelity:
    """FID, KID, precision and recall of generated crops against real ones, with the floor between real ones.

    Features of the real crops are kept in the cache folder, so that further measurements with the same protocol start
    from them. The same call again resumes to the same bytes, or returns what is there.

    Args:
        real: Table of real (or rendered) crops; the split is of `config`, and what a filter rejected is left out.
        config: What is compared with what.
        fake: Folder of a table of generated crops; what a filter rejected is left out.
        generator: Run folder of train-generator, or a weight file; crops are sampled from it.
        out: The run folder.
        extractor: The feature network; None takes the one that the config names.

    Raises:
        ConfigError: Not exactly one of `fake` and `generator` is given, or more crops are asked for than there are.
        DataError: There are too few crops, they differ in size, or one cannot be decoded.
        MissingExtraError: The packaged Inception is asked for and the extra `fid` is not installed.
        WeightsError: A weight file is missing, damaged or of another network.
        RunError: The folder belongs to another run.
    """
    sources, crops = _sources(fake, generator, config), _real(real, config)
    extractor = extractor or load_extractor(config)
    Console(stderr=True, highlight=False).print(f"features: {extractor.words}", soft_wrap=True)
    inputs = {"real": crops.hash(), "features": extractor.hash, **{source.name: source.hash for source in sources}}
    with RunFolder.begin(out, stage="fidelity", config=config, inputs=inputs) as run:
        if not run.done:
            result = _measure(run.path, crops, sources, config, extractor, inputs["real"])
            result.write(run.path)
            run.finish({"measure": result.measure, result.key: result.distance, "floor": result.floor[result.key]})
        return Fidelity.read(run.path)


def _sources(fake: Path | str | None, generator: Path | str | None, config: FidelityConfig) -> list[Source]:
    if fake is not None and generator is None:
        source = from_files(Path(fake), config.camera)
        check_sizes(source, config)
        source.count(config)  # before anything is computed
        return [source]
    if generator is not None and fake is None:
        require(
            config.camera is None,
            "Crops that are sampled from weights have no camera.",
            got=option(camera=config.camera),
            allowed=f"{option('camera')} with {option(fake='DIR')}",
            fix=f"leave {option('camera')} out",
        )
        return from_weights(Path(generator), config)
    raise ConfigError(
        "It is not clear which generated crops are meant.",
        got=f"{option('fake')} and {option('generator')}"
        if fake
        else f"neither {option('fake')} nor {option('generator')}",
        allowed=f"{option(fake='DIR')} for crops in files, or {option(generator='DIR')} to sample from weights",
        fix=f"{option(generator='DIR')}, with the {option('out')} of a train-generator",
    )


def _real(table: ReidTable, config: FidelityConfig) -> ReidTable:
    rows = of_camera((table if config.split == "all" else getattr(table, config.split)).kept, config.camera)
    if len(rows) < 4:
        where = "" if config.camera is None else f" of camera {config.camera}"
        raise DataError(
            f"{table.name or 'The table'} has too few crops{where} in split {config.split}.",
            got=len(rows),
            allowed="four or more, thousands for a result",
            fix=f"{option('split')}, or another {option('real')}",
        )
    return rows


def _measure(
    folder: Path, real: ReidTable, sources: list[Source], config: FidelityConfig, extractor: Extractor, real_hash: str
) -> Fidelity:
    size = config.size or sources[0].size
    features = _real_features(real, real_hash, size, config, extractor)
    fakes = sources[0].count(config)
    count = min(fakes, len(real) // 2)
    under = _kept(folder / "figures" / "floor.json", lambda: floor(features, count, config, extractor))
    points = [_point(folder, source, features, size, config, extractor) for source in sources]
    origin = sources[0].origin
    facts = {
        "dataset": real.name,
        "split": config.split,
        "size": list(size),
        "source": "files" if isinstance(origin, ReidTable) else "weights",
        "real": real_hash,
        "features": extractor.hash,
        "fake": sources[-1].hash,
        "real_crops": len(real),
        "fake_crops": fakes,
        "floor_crops": count,
        "real_resized": sum(one != size for one in sizes_of(real.paths)),
        "fake_resized": sum(one != size for one in sizes_of(origin.paths))
        if isinstance(origin, ReidTable)
        else fakes * (sources[0].size != size),
        "trainings": sources[-1].trainings,
    }
    words = protocol_in_words(config, extractor, facts)
    seen = seen_in_words(sources[-1].trainings, real_hash, config.split)
    return Fidelity(extractor.measure, points, under, words, seen, facts, as_dict(config))


def _real_features(
    real: ReidTable, real_hash: str, size: tuple[int, int], config: FidelityConfig, extractor: Extractor
) -> np.ndarray:
    """From the cache, under a name made of everything that the features depend on."""
    files = Files(real.paths, size, quality_of(config))
    protocol = (real_hash, extractor.hash, extractor.words, *size, files.quality, config.batch)
    name = sha256([json.dumps(protocol).encode()])[:32]
    return extract(files, extractor, cache_folder() / f"features-{name}.f32", batch=config.batch, label="real features")


def _point(
    folder: Path,
    source: Source,
    real: np.ndarray,
    size: tuple[int, int],
    config: FidelityConfig,
    extractor: Extractor,
) -> dict[str, Any]:
    """Figures of one set of generated crops; its features are only kept until the figures are."""
    path = folder / f"{source.name}.f32"

    def figures() -> dict[str, Any]:
        fake = extract(source.crops(size, config), extractor, path, batch=config.batch, label=source.name)
        found = compare(real, fake, config, extractor)
        count = min(len(fake), len(real) // 2)
        return {**found, "same_number": beside_floor(real, fake, count, config, extractor)}

    found = _kept(folder / "figures" / f"{source.name}.json", figures)
    path.unlink(missing_ok=True)
    weights = source.hash if source.of_weights else None
    return {"name": source.name, "kimg": source.kimg, "weights": weights, **found}


def _kept(path: Path, figures: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Figures from their file, or computed and written to it."""
    if not path.is_file():
        write_checked(path, figures())
    return read_json(path, {})
