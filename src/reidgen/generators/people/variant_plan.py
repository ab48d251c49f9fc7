"""Which variants of which real crops are made, and how: no network runs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import polars as pl
import torch

from reidgen.config import VariantsConfig
from reidgen.data.provenance import Style
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import derive_seed
from reidgen.engine.devices.device import generator as random_generator
from reidgen.errors import ConfigError, DataError, option
from reidgen.generators.crops import real_people
from reidgen.generators.inversion.encoder import NOISE_SEED
from reidgen.generators.people.mixing import variant_layers
from reidgen.generators.trained import TrainedGenerator

BETWEEN, ITSELF = "between", "reconstruction"
NEAREST, FARTHEST = 0.25, 0.75  # how far "between" goes


def planned_mixes(gan: TrainedGenerator, config: VariantsConfig) -> list[tuple[str, tuple[int, ...]]]:
    """The name and the layers of each mix, by turns.

    Raises:
        ConfigError: A mix names no layers of this generator, or leaves nothing of the person.
    """
    rates = gan.network.layer_rates
    every = tuple(range(len(rates)))
    if config.variants == 1:
        return []
    return [
        (mix, every if mix == BETWEEN else variant_layers([mix], rates, weight=config.weight)[0])
        for mix in config.mixes
    ]


def keeps_identity(mix: str, config: VariantsConfig) -> bool:
    """Whether a crop made by a mix still counts as the person: of a union, if each of its groups does."""
    return mix == ITSELF or mix in config.keeps or all(part.strip() in config.keeps for part in mix.split("+"))


def choose_crops(table: ReidTable, config: VariantsConfig) -> ReidTable:
    """The real crops that are inverted: of each person some, the first of each camera first.

    Raises:
        DataError: There are none.
        ConfigError: Donors shall be people, and there is one person alone.
    """
    rows = real_people(table, config.split).rows
    turn = pl.int_range(pl.len()).over("pid", "camid").alias("turn")
    rows = rows.with_columns(turn).sort("pid", "turn", "camid", maintain_order=True).drop("turn")
    rows = rows.filter(pl.int_range(pl.len()).over("pid") < config.crops)
    if config.people is not None:
        rows = rows.filter(pl.col("pid").rank("dense") <= config.people)
    if not rows.height:
        raise DataError(
            f"{table.name or 'The table'} has no crops of real people.",
            got=f"{len(table):,} crops, none of a real person in the {config.split} split",
            allowed="crops with pid > 0 that were not generated and that no filter has rejected",
            fix=f"{option('data')} with a prepared dataset",
        )
    if config.donors == "people" and rows["pid"].n_unique() == 1:
        raise ConfigError(
            f"{option(donors='people')} needs other people.",
            got=f"one person, {rows['pid'][0]}",
            allowed="two people or more",
            fix=option(donors="random"),
        )
    return dataclasses.replace(table, rows=rows)


def plan_variants(
    kind: str, crops: ReidTable, config: VariantsConfig, mixes: Sequence[tuple[str, tuple[int, ...]]], digits: str
) -> pl.DataFrame:
    """The rows of all crops that shall be made, in order: real crop after real crop, its reconstruction first.

    Args:
        kind: Of the generator.
        crops: The inverted crops; their row numbers are those of the w+.
        config: Variants, donors, seed.
        mixes: From `planned_mixes`.
        digits: Name of the w+ file.
    """
    own: dict[int, list[int]] = {}
    for row, pid in enumerate(crops.rows["pid"]):
        own.setdefault(pid, []).append(row)
    rows: list[dict[str, Any]] = []
    for row, crop in enumerate(crops.rows.iter_rows(named=True)):
        same = own[crop["pid"]]
        for variant in range(config.variants):
            mix, layers = (ITSELF, ()) if variant == 0 else mixes[(variant - 1) % len(mixes)]
            if mix == BETWEEN and len(same) == 1:
                continue
            plain = Style(kind, row, NOISE_SEED, float(config.psi), config.quality, latents=digits)
            operation = plain if variant == 0 else _mixed(plain, mix, layers, crop, variant, same, len(crops), config)
            identity = "keep" if keeps_identity(mix, config) else "new"
            seen = {"pid": crop["pid"], "camid": crop["camid"], "seq": crop["seq"], "frame": crop["frame"]}
            made = {"parent": crop["file_name"], "seed": operation.noise, "operation": str(operation)}
            rows.append({**seen, **made, "parent_origin": crop["origin"], "mix": mix, "identity": identity})
    return pl.DataFrame(rows, infer_schema_length=None)


def _mixed(
    plain: Style,
    mix: str,
    layers: tuple[int, ...],
    crop: dict[str, Any],
    variant: int,
    same: Sequence[int],
    count: int,
    config: VariantsConfig,
) -> Style:
    """How one variant is made, from how the reconstruction is made (`plain`).

    Its draws depend on the crop's name and the variant's number. `same` are the rows of the person's crops, of `count`.
    """
    key = (config.seed, crop["file_name"], variant)
    draw = random_generator("real variant", *key)
    noise = derive_seed("real variant noise", *key)
    if mix == BETWEEN:
        others = [row for row in same if row != plain.w]
        donor = others[int(torch.randint(len(others), (), generator=draw))]
        share = torch.rand((), generator=draw).item()
        weight = round(NEAREST + (FARTHEST - NEAREST) * share, 3)
        return dataclasses.replace(plain, noise=noise, layers=layers, donor=donor, donors=plain.latents, weight=weight)
    mixed = dataclasses.replace(plain, noise=noise, layers=layers, weight=float(config.weight))
    if config.donors == "random":
        return dataclasses.replace(mixed, donor=derive_seed("real variant donor", *key))
    stranger = int(torch.randint(count - len(same), (), generator=draw))
    donor = stranger if stranger < same[0] else stranger + len(same)  # a person's crops stand together
    return dataclasses.replace(mixed, donor=donor, donors=plain.latents)
