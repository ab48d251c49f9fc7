"""New people: random w, and variants of each by mixing in other people's styles."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.config import GenerateConfig
from reidgen.data.disk.threads import chunks
from reidgen.data.provenance import Style
from reidgen.data.table import ReidTable
from reidgen.data.tree import market_names
from reidgen.engine import RunFolder
from reidgen.engine.devices.device import derive_seed
from reidgen.generators.crops import check_maker, write_made
from reidgen.generators.inversion.inverted import read_inverted
from reidgen.generators.people.mixing import mix_styles, variant_layers
from reidgen.generators.trained import TrainedGenerator

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


def generate_people(
    gan: TrainedGenerator, config: GenerateConfig | None = None, *, out: Path | str, **options: Any
) -> ReidTable:
    """Generate people and variants of each, as a Market-1501 tree of JPEG files.

    The first crop of a person is its own w; in each further crop the layers of `mix` come from a donor of its own, or
    go a part of the way there with a `weight` below 1 (Alvarez-Gonzalez et al., *GANs for data augmentation in person
    re-identification*, section 3.1). The same call again keeps the files that are there and makes the missing ones.

    Args:
        gan: A trained generator.
        config: Every knob; None takes the defaults.
        out: The run folder.
        options: Fields of `GenerateConfig`, such as people=280, variants=51, mix="middle", psi=1, seed=0.

    Returns:
        The table: pid 1 ... people, cameras by turns, parent the first crop of the person; `generator`, `seed`
        and `operation` are what `regenerate` needs.

    Raises:
        ConfigError: An option is out of range, or `mix` names no layers of this generator or all of them.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or GenerateConfig(), **options)
    layers = planned_layers(gan, config)
    inputs = {"generator": gan.hash, "layers": [list(chosen) for chosen in layers], "size": list(gan.size)}
    with RunFolder.begin(out, stage="generate people", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_generate(gan, config, layers, run.path))
    return ReidTable.read(run.path)


def _generate(
    gan: TrainedGenerator, config: GenerateConfig, layers: Sequence[tuple[int, ...]], folder: Path
) -> dict[str, Any]:
    """Write all crops and the table, and return the run's summary."""
    gan = gan.on(config.device)
    rows = plan_people(gan, config, layers)
    operations = [Style.parse(text) for text in rows["operation"]]

    def make(missing: list[int]) -> Iterator[tuple[Sequence[int], np.ndarray]]:
        for part in chunks(missing, config.batch):
            yield part, render(gan, [operations[number] for number in part], psi=float(config.psi))

    write_made(rows, make, folder, stage="generate people", name="generated people", quality=config.quality)
    return {"people": config.people, "crops": len(rows), "generator": gan.hash, "generator_training": gan.training}


def planned_layers(gan: TrainedGenerator, config: GenerateConfig) -> list[tuple[int, ...]]:
    """The layers of the variants, by turns; none where each person is alone.

    Raises:
        ConfigError: `mix` names no layers of this generator, or leaves nothing of the person.
    """
    rates = gan.network.layer_rates
    return variant_layers(config.mixes, rates, weight=config.weight) if config.variants > 1 else []


def plan_people(gan: TrainedGenerator, config: GenerateConfig, layers: Sequence[tuple[int, ...]]) -> pl.DataFrame:
    """The rows of all crops that shall be made, in order: person after person, the person itself first."""
    rows = []
    for person in range(1, config.people + 1):
        for variant in range(config.variants):
            operation = plan_crop(gan, config, layers, person=person, variant=variant)
            rows.append((person, variant % config.cameras + 1, variant, operation.noise, str(operation)))
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


def plan_crop(
    gan: TrainedGenerator, config: GenerateConfig, layers: Sequence[tuple[int, ...]], *, person: int, variant: int
) -> Style:
    """How one crop is made: of the person itself, variant 0, or of a variant with a donor of its own."""
    w, noise = derive_seed("person", config.seed, person), derive_seed("variant", config.seed, person, variant)
    operation = Style(gan.kind, w, noise, float(config.psi), config.quality)
    if variant == 0:
        return operation
    donor = derive_seed("donor", config.seed, person, variant)
    chosen = layers[(variant - 1) % len(layers)]
    return dataclasses.replace(operation, layers=chosen, donor=donor, weight=float(config.weight))


def regenerate_styles(gan: TrainedGenerator, table: ReidTable, *, latents: Path | str | None = None) -> np.ndarray:
    """The pixels of generated crops, before JPEG, from what their rows say of them: uint8 (N, H, W, 3).

    Args:
        gan: The generator that the rows name.
        table: Rows of `generate_people` or `generate_variants`.
        latents: The run folder of `generate_variants`, where the w+ of real crops are; None looks in the rows' own.

    Raises:
        WeightsError: The crops were made with other weights, or the w+ of real crops are not there.
        DataError: A row is not one of `generate_people` or `generate_variants`.
    """
    check_maker(table, gan.hash, gan.path)
    operations = [Style.parse(text) for text in table.rows["operation"]]
    roots = table.rows["root"] if latents is None else [str(latents)] * len(table)
    inverted = read_inverted(zip(operations, roots, strict=True))
    out = np.empty((len(operations), *gan.size, 3), np.uint8)
    for psi in {operation.psi for operation in operations}:
        which = [i for i, operation in enumerate(operations) if operation.psi == psi]
        out[which] = render(gan, [operations[i] for i in which], psi=psi, inverted=inverted)
    return out


def styles(
    gan: TrainedGenerator, operations: Sequence[Style], *, psi: float, inverted: Mapping[str, Tensor] = NOTHING
) -> Tensor:
    """The w of each layer of each crop, (N, num_ws, w_dim) on the CPU.

    Args:
        gan: The generator.
        operations: What made the crops.
        psi: Truncation of w from seeds.
        inverted: The w+ of real crops (rows, num_ws, w_dim), by the name of their file.
    """
    owners = [(o.latents, o.w) for o in operations]
    givers = [owner if o.donor is None else (o.donors, o.donor) for o, owner in zip(operations, owners, strict=True)]
    seeds = sorted({seed for file, seed in (*owners, *givers) if file is None})
    of_seed = dict(zip(seeds, gan.network.spread(gan.map(seeds, psi=psi)), strict=True)) if seeds else {}
    own, donors = (
        torch.stack([of_seed[number] if file is None else inverted[file][number] for file, number in sources])
        for sources in (owners, givers)
    )
    layers, weights = [o.layers for o in operations], [o.weight for o in operations]
    return mix_styles(own, donors, layers=layers, weights=weights)


def render(
    gan: TrainedGenerator, operations: Sequence[Style], *, psi: float, inverted: Mapping[str, Tensor] = NOTHING
) -> np.ndarray:
    """The pixels of crops of one psi, uint8 (N, H, W, 3)."""
    return gan.synthesize(styles(gan, operations, psi=psi, inverted=inverted), [o.noise for o in operations])
