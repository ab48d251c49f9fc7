"""New people: random w, and variants of each by mixing in other people's styles."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from reidgen.config import GenerateConfig
from reidgen.data.table import ReidTable
from reidgen.data.tree import market_names
from reidgen.engine import RunFolder
from reidgen.engine.device import derive_seed
from reidgen.engine.progress import progress
from reidgen.errors import WeightsError
from reidgen.files import write_bytes
from reidgen.generators.mixing import mix_styles, style_layers
from reidgen.generators.operation import Operation
from reidgen.generators.trained import TrainedGenerator


def generate_people(
    gan: TrainedGenerator, config: GenerateConfig | None = None, *, out: Path | str, **options: Any
) -> ReidTable:
    """Generate people and variants of each, as a Market-1501 tree of JPEG files.

    The first crop of a person is its own w; in each further crop the layers of `mix` come from a donor of its own
    (Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, section 3.3). The same call
    again keeps the files that are there and makes the missing ones.

    Args:
        gan: A trained generator.
        config: Every knob; None takes the defaults.
        out: The run folder.
        options: Fields of `GenerateConfig`, such as people=280, variants=51, mix="middle", psi=1, seed=0.

    Returns:
        The table: pid 1 ... people, cameras by turns, parent the first crop of the person; `generator`, `seed`
        and `operation` are what `regenerate` needs.

    Raises:
        ConfigError: An option is out of range or `mix` names no layers of this generator.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or GenerateConfig(), **options)
    layers = style_layers(config.mix, gan.network.layer_rates)
    inputs = {"generator": gan.hash, "layers": list(layers), "size": list(gan.size)}
    with RunFolder.begin(out, stage="generate people", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_generate(gan, config, layers, run.path))
    return ReidTable.read(run.path)


def _generate(gan: TrainedGenerator, config: GenerateConfig, layers: tuple[int, ...], folder: Path) -> dict[str, Any]:
    """Write all crops and the table, and return the run's summary."""
    gan = gan.on(config.device)
    rows = plan_people(gan, config, layers)
    _write_missing(gan, rows, config, folder)
    ReidTable.from_rows(rows, root=folder, name="generated people").write_metadata(folder)
    return {"people": config.people, "crops": len(rows), "generator": gan.hash, "generator_training": gan.training}


def plan_people(gan: TrainedGenerator, config: GenerateConfig, layers: tuple[int, ...]) -> pl.DataFrame:
    """The rows of all crops that shall be made, in order: person after person, the person itself first."""
    rows = []
    for person in range(1, config.people + 1):
        w = derive_seed("person", config.seed, person)
        for variant in range(config.variants):
            seed = derive_seed("variant", config.seed, person, variant)
            operation = Operation(w, seed, float(config.psi), config.quality)
            if variant:
                donor = derive_seed("donor", config.seed, person, variant)
                operation = dataclasses.replace(operation, layers=layers, donor=donor)
            rows.append((person, variant % config.cameras + 1, variant, seed, str(operation)))
    frame = pl.DataFrame(rows, schema=["pid", "camid", "frame", "seed", "operation"], orient="row")
    frame = frame.with_columns(
        file_name=pl.lit("new.jpg"),
        split=pl.lit("train"),
        seq=pl.lit(1),
        origin=pl.lit("generated"),
        generator=pl.lit(gan.hash),
    )
    frame = frame.with_columns(file_name=pl.Series(market_names(frame)))
    first = pl.col("file_name").first().over("pid")
    return frame.with_columns(parent=pl.when(pl.col("frame") > 0).then(first))


def regenerate(gan: TrainedGenerator, table: ReidTable) -> np.ndarray:
    """The pixels of generated crops, before JPEG, from what their rows say of them: uint8 (N, H, W, 3).

    Raises:
        WeightsError: The crops were made with other weights.
        DataError: A row is not one of `generate_people`.
    """
    others = table.rows.filter(pl.col("generator").is_null() | (pl.col("generator") != gan.hash))
    if others.height:
        raise WeightsError(
            f"{others['file_name'][0]} was not made with {gan.path}.",
            got=f"generator {others['generator'][0]}",
            allowed=f"generator {gan.hash}",
            fix="load_generator with the weights that the row names",
        )
    operations = [Operation.parse(text) for text in table.rows["operation"]]
    out = np.empty((len(operations), *gan.size, 3), np.uint8)
    for psi in {operation.psi for operation in operations}:
        which = [i for i, operation in enumerate(operations) if operation.psi == psi]
        out[which] = _render(gan, [operations[i] for i in which], psi)
    return out


def encode(pixels: np.ndarray, *, quality: int) -> bytes:
    """The JPEG file of one crop (H, W, 3), without chroma subsampling: small crops have few enough pixels of colour."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def _render(gan: TrainedGenerator, operations: Sequence[Operation], psi: float) -> np.ndarray:
    seeds = sorted({seed for o in operations for seed in (o.w, o.donor) if seed is not None})
    of_seed = dict(zip(seeds, gan.map(seeds, psi=psi), strict=True))
    own = gan.network.spread(torch.stack([of_seed[o.w] for o in operations]))
    donors = gan.network.spread(torch.stack([of_seed[o.w if o.donor is None else o.donor] for o in operations]))
    ws = mix_styles(own, donors, [o.layers for o in operations])
    return gan.synthesize(ws, [o.noise for o in operations])


def _write_missing(gan: TrainedGenerator, rows: pl.DataFrame, config: GenerateConfig, folder: Path) -> None:
    """Make the crops whose files are not there; a file that is there is whole, as files are written in one step."""
    todo = [(folder / name, text) for name, text in rows.select("file_name", "operation").iter_rows()]
    missing = [(path, Operation.parse(text)) for path, text in todo if not path.exists()]
    with progress("generate people (crops)", len(todo), start=len(todo) - len(missing)) as bar:
        for start in range(0, len(missing), config.batch):
            chunk = missing[start : start + config.batch]
            crops = _render(gan, [operation for _, operation in chunk], float(config.psi))
            for (path, _), pixels in zip(chunk, crops, strict=True):
                write_bytes(path, encode(pixels, quality=config.quality))
            bar.advance(len(chunk))
