"""Real people again: each crop's w+, its reconstruction, and variants of it."""

import dataclasses
import itertools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.config import VariantsConfig
from reidgen.data.disk.threads import chunks
from reidgen.data.pixels.images import read_rgb
from reidgen.data.pixels.store import CropStore
from reidgen.data.provenance import Style
from reidgen.data.table import ReidTable
from reidgen.data.tree import market_names
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.devices.device import derive_seed
from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.progress import progress
from reidgen.errors import ConfigError, DataError, WeightsError, command, option
from reidgen.files import file_sha256, link_or_copy
from reidgen.generators.crops import CropWriter
from reidgen.generators.inversion.encoder import NOISE_SEED, TrainedEncoder
from reidgen.generators.inversion.inversion import search
from reidgen.generators.inversion.inverted import (
    NAME,
    InvertedCrops,
    find_inverted,
    load_inverted,
    read_inversion,
    write_inverted,
)
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.inversion.tuning import FOLDER, Pivots, tune_to_files, tuned_path
from reidgen.generators.people.mixing import variant_layers
from reidgen.generators.people.people import render
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.trained import TrainedGenerator, load_generator

BETWEEN, ITSELF = "between", "reconstruction"
BLOCK = 64  # crops inverted, and kept, at a time
NEAREST, FARTHEST = 0.25, 0.75  # how far "between" goes
SHEET, SHEET_CROPS = "pairs.png", 16
SEARCHES = ("optimise", "pivotal")  # ways of inverting that minimise a likeness


@dataclass(frozen=True, eq=False)
class Inverter:
    """What finds w+: generator, encoder or search, and the networks of the search.

    Attributes:
        gan: The generator.
        encoder: None where there is none.
        likeness: What a search minimises.
        config: Of the run.
        given: What an earlier inversion found; None: nothing.
    """

    gan: TrainedGenerator
    encoder: TrainedEncoder | None
    likeness: Likeness
    config: VariantsConfig
    given: InvertedCrops | None = None

    def invert(self, pixels: np.ndarray, keys: Sequence[str]) -> Tensor:
        """The w+ of crops, uint8 (N, H, W, 3) of the generator's size, each with a name: (N, num_ws, w_dim)."""
        if self.given is not None:
            return self.given.ws[[self.given.names.index(key) for key in keys]]
        start = None if self.encoder is None else self.encoder.invert(pixels, passes=self.config.passes)
        if self.config.invert == "encoder":
            assert start is not None
            return start
        return search(self.gan, pixels, likeness=self.likeness, config=self.config, keys=keys, start=start)


def generate_variants(
    gan: TrainedGenerator,
    table: ReidTable,
    config: VariantsConfig | None = None,
    *,
    encoder: TrainedEncoder | None = None,
    likeness: Likeness | None = None,
    inverted: Path | str | None = None,
    out: Path | str,
    **options: Any,
) -> ReidTable:
    """Generate crops of real people, as a Market-1501 tree of JPEG files.

    Of some crops of each person the w+ is found; each has its reconstruction and, by turns over `mix`, variants: with a
    group of layers of a donor, or between two crops of the person (Alvarez-Gonzalez et al., *GANs for data augmentation
    in person re-identification*, section 4.1). A person with one crop has nothing between; such crops are left out
    and counted in the summary. The same call again keeps what is there and makes what is missing. Writes also the w+
    (latents-HASH.safetensors), the tuned generators (tuned/PID.safetensors, or all.safetensors), and pairs.png: the
    real crop, its reconstruction, its variants. Rows name the generator that made them by its hash, a tuned one too.

    Args:
        gan: A trained generator.
        table: Real people; generated and rejected crops, distractors and junk are left out.
        config: Every knob; None takes the defaults.
        encoder: An encoder for this generator.
        likeness: The networks that invert="optimise" and "pivotal" need.
        inverted: Run folder of `compare_inversions`, for invert="given": its w+ and tuned generators, for its crops.
        out: The run folder.
        options: Fields of `VariantsConfig`.

    Returns:
        The table: pid and camid of the real crop, whose file name is the `parent`; `mix` names the group,
        `identity` says "keep" or "new", whether the crop still counts as the person, and `parent_origin` whether the
        person is real or rendered; `regenerate` makes it again.

    Raises:
        ConfigError: An option is out of range, there is no encoder, or `mix` names no layers of this generator.
        DataError: There are no real people in the split.
        WeightsError: The encoder is for another generator.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or VariantsConfig(), **options)
    _check(gan, encoder, likeness or Likeness(), config, inverted)
    mixes = planned_mixes(gan, config)
    given = None if inverted is None else read_inversion(inverted, way=config.way, generator=gan.hash)
    crops = choose_crops(table if given is None else _inverted_rows(table, given), config)
    on_device = encoder.on(config.device) if encoder else None
    inverter = Inverter(gan.on(config.device), on_device, likeness or Likeness(), config, given)
    inputs = {
        "generator": gan.hash,
        "encoder": encoder.hash if encoder else None,
        "likeness": inverter.likeness.facts if config.invert in SEARCHES else {},
        "inverted": None if given is None else {"way": given.way, "sha256": given.hash},
        "crops": crops.hash(),
        "layers": [[name, list(layers)] for name, layers in mixes],
    }
    with RunFolder.begin(out, stage="generate variants", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_generate(inverter, crops, table, mixes, run))
    return ReidTable.read(run.path)


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
    rows = (table.train if config.split == "train" else table).kept.rows
    rows = rows.filter((pl.col("pid") > 0) & (pl.col("origin") != "generated"))
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
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(
        file_name=pl.lit("new.jpg"), split=pl.lit("train"), origin=pl.lit("generated")
    )


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
    """How one variant is made; its draws depend on the crop's name and the variant's number.

    Args:
        plain: How the reconstruction is made.
        mix: Name of the mix.
        layers: Its layers.
        crop: The real crop's row.
        variant: Number of the variant.
        same: The rows of the person's crops, one after the other.
        count: How many crops there are in all.
        config: Donors, weight, seed.
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


def _generate(
    inverter: Inverter,
    crops: ReidTable,
    table: ReidTable,
    mixes: Sequence[tuple[str, tuple[int, ...]]],
    run: RunFolder,
) -> dict[str, Any]:
    """Invert, write all crops and the table, and return the run's summary."""
    gan, config, folder = inverter.gan, inverter.config, run.path
    pixels = CropStore.open(crops, size=gan.size).images
    ws, digits = _inverted(inverter, crops, pixels, run)
    tuned = _tuned(inverter, crops, pixels, ws, folder)
    rows = plan_variants(gan.kind, crops, config, mixes, digits)
    hashes = {path: file_sha256(path) for path in set(tuned.values())}
    made_by = {pid: hashes[path] for pid, path in tuned.items()}
    rows = rows.with_columns(generator=pl.Series([made_by.get(pid, gan.hash) for pid in rows["pid"]]))
    # names that no real crop has, so that a parent's name is the parent's alone
    known = table.rows.select("file_name", "split", "pid", "camid", "seq", "frame")
    names = market_names(pl.concat([known, rows.select(known.columns)]))[len(known) :]
    rows = rows.with_columns(file_name=pl.Series(names))
    _write_missing(gan, tuned, rows, {digits: ws}, config, folder)
    made = ReidTable.from_rows(rows, root=folder, name="variants of real people")
    made.write_metadata(folder)
    _write_pairs(made, crops, gan, folder)
    single = crops.rows.group_by("pid").len().filter(pl.col("len") == 1).height
    if single and BETWEEN in config.mixes:
        _say(f"{single:,} people have a single crop, so nothing between two; those variants are left out.")
    _say(
        f"Who is still the person? See {folder / SHEET}, and before reidgen extend --label same: "
        f"{command('reidgen', 'filter', '--data', folder)} --reference DIR --filters identity --reid RUN --out DIR"
    )
    return {
        "people": crops.rows["pid"].n_unique(),
        "people_with_a_single_crop": single,
        "real_crops": len(crops),
        "crops": len(made),
        "by_mix": dict(rows.group_by("mix").len().sort("mix").iter_rows()),
        "keeping_identity": int((rows["identity"] == "keep").sum()),
        "split": config.split,
        "origins": sorted(crops.rows["origin"].unique()),
        "invert": config.invert,
        "generator": gan.hash,
        "encoder": inverter.encoder.hash if inverter.encoder else None,
        "latents": NAME.format(digits),
        "generator_training": gan.training,
    }


def _inverted(inverter: Inverter, crops: ReidTable, pixels: np.ndarray, run: RunFolder) -> tuple[Tensor, str]:
    """The w+ of all crops, and the name of their file; found block by block, and a block that is done is kept."""
    folder, names = run.path, crops.rows["file_name"].to_list()
    blocks = folder / "blocks"
    digits = find_inverted(folder)
    if digits is None:
        parts = []
        with progress("invert (real crops)", len(names)) as bar:
            for number, rows in enumerate(chunks(range(len(names)), BLOCK)):
                file = blocks / f"{number:06d}.safetensors"
                if not file.is_file():
                    which = list(rows)
                    found = inverter.invert(np.array(pixels[which]), [names[row] for row in which])
                    save_state(file, {"ws": found}, run=run.identity)
                parts.append(load_state(file, run=run.identity)["ws"])
                bar.advance(len(rows))
        facts = {
            "generator": inverter.gan.hash,
            "encoder": inverter.encoder.hash if inverter.encoder else None,
            "invert": inverter.config.invert,
            "crops": names,
        }
        digits = write_inverted(folder, torch.cat(parts), facts)
    if blocks.exists():
        shutil.rmtree(blocks)
    return load_inverted(folder, digits), digits


def _tuned(inverter: Inverter, crops: ReidTable, pixels: np.ndarray, ws: Tensor, folder: Path) -> dict[int, Path]:
    """The generator of each person, tuned around its w+; empty without pivotal tuning. One that is there is kept."""
    config, given, people = inverter.config, inverter.given, sorted(set(crops.pids.tolist()))
    if given is not None and given.tuned is not None:
        theirs = dataclasses.replace(config, tune_for=given.tune_for)
        files = {pid: tuned_path(folder / FOLDER, pid, theirs) for pid in people}
        for file in set(files.values()):
            file.parent.mkdir(exist_ok=True)
            link_or_copy(given.tuned / file.name, file)
        return files
    if config.invert != "pivotal":
        return {}
    pivots = Pivots(np.array(pixels), ws, crops.pids, crops.rows["file_name"].to_list())
    for _ in tune_to_files(
        inverter.gan,
        pivots,
        likeness=inverter.likeness,
        config=config,
        folder=folder / FOLDER,
        batch=config.batch,
    ):
        pass
    return {pid: tuned_path(folder / FOLDER, pid, config) for pid in people}


def _write_missing(
    gan: TrainedGenerator,
    tuned: dict[int, Path],
    rows: pl.DataFrame,
    inverted: dict[str, Tensor],
    config: VariantsConfig,
    folder: Path,
) -> None:
    """Make the crops whose files are not there, one generator after the other where there are several."""
    todo = [(pid, folder / name, text) for pid, name, text in rows.select("pid", "file_name", "operation").iter_rows()]
    missing = [(pid, path, Style.parse(text)) for pid, path, text in todo if not path.exists()]
    parts = [(path, list(group)) for path, group in itertools.groupby(missing, key=lambda one: tuned.get(one[0]))]
    with (
        progress("generate variants (crops)", len(todo), start=len(todo) - len(missing)) as bar,
        CropWriter() as writer,
    ):
        for file, part in parts:
            network = gan if file is None else load_generator(file, device=config.device)
            for chunk in chunks(part, config.batch):
                made = render(network, [o for _, _, o in chunk], psi=float(config.psi), inverted=inverted)
                bar.advance(writer.write([path for _, path, _ in chunk], made, quality=config.quality))
        bar.advance(writer.wait())


def _write_pairs(made: ReidTable, crops: ReidTable, gan: TrainedGenerator, folder: Path) -> None:
    """A sheet with a row a real crop: the crop, its reconstruction, its variants; of the first crop of some people."""
    firsts = crops.rows.unique("pid", keep="first", maintain_order=True).head(SHEET_CROPS)
    shown = []
    for root, name in firsts.select("root", "file_name").iter_rows():
        shown.append([Path(root) / name, *made.where(pl.col("parent") == name).paths])
    columns = max(len(paths) for paths in shown)
    cells = np.zeros((len(shown), columns, *gan.size, 3), np.uint8)
    for cell, paths in zip(cells, shown, strict=True):
        cell[: len(paths)] = [np.asarray(read_rgb(path, size=gan.size)) for path in paths]
    write_sheet(folder / SHEET, cells.reshape(-1, *gan.size, 3), columns=columns)


def _inverted_rows(table: ReidTable, given: InvertedCrops) -> ReidTable:
    """The crops of a table that were inverted."""
    found = table.where(pl.col("file_name").is_in(given.names))
    if not len(found):
        raise DataError(
            f"{table.name or 'The table'} has none of the crops that were inverted.",
            got=f"{len(table):,} crops, none of them {given.names[0]} or another of the {len(given.names):,}",
            allowed="the table that invert had",
            fix=f"{option('data')} with the folder that invert was given",
        )
    return found


def _check(
    gan: TrainedGenerator,
    encoder: TrainedEncoder | None,
    likeness: Likeness,
    config: VariantsConfig,
    inverted: Path | str | None,
) -> None:
    if (config.invert == "given") != (inverted is not None):
        raise ConfigError(
            f"{option(invert='given')} and {option('inverted')} belong together.",
            got=f"{option(invert=config.invert)}, "
            + (f"no {option('inverted')}" if inverted is None else option(inverted=inverted)),
            allowed="both, or neither",
            fix=f"{option(invert='given')} {option(inverted='DIR')}, the {option('out')} of invert",
        )
    if encoder is not None and encoder.generator.hash != gan.hash:
        raise WeightsError(
            f"{encoder.path} is an encoder for another generator.",
            got=f"generator {gan.hash} ({gan.path})",
            allowed=f"generator {encoder.generator.hash}",
            fix=f"{option('generator')} with the one that the encoder was trained with",
        )
    if config.invert in SEARCHES:
        likeness.check(config)
    elif encoder is None and config.invert == "encoder":
        raise ConfigError(
            "There is no encoder.",
            got=option(invert="encoder"),
            allowed=f"{option(encoder='DIR')}, or {option(invert='optimise')} or pivotal, which need none",
            fix="reidgen train-encoder --generator DIR --data DIR --out DIR",
        )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
