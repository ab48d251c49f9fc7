"""Real people again: each crop's w+, its reconstruction, and variants of it."""

import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Sequence
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
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.progress import progress
from reidgen.errors import ConfigError, DataError, WeightsError, command, option, say
from reidgen.files import file_sha256, link_or_copy
from reidgen.generators.crops import with_new_names, write_made
from reidgen.generators.inversion.encoder import TrainedEncoder
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
from reidgen.generators.people.people import render
from reidgen.generators.people.variant_plan import BETWEEN, choose_crops, plan_variants, planned_mixes
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.trained import TrainedGenerator, load_generator

BLOCK = 64  # crops inverted, and kept, at a time
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
    rows = with_new_names(rows, table)
    made = write_made(
        rows,
        lambda missing: _made(gan, tuned, rows, {digits: ws}, config, missing),
        folder,
        stage="generate variants",
        name="variants of real people",
        quality=config.quality,
    )
    _write_pairs(made, crops, gan, folder)
    single = crops.rows.group_by("pid").len().filter(pl.col("len") == 1).height
    if single and BETWEEN in config.mixes:
        say(f"{single:,} people have a single crop, so nothing between two; those variants are left out.")
    say(
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


def _made(
    gan: TrainedGenerator,
    tuned: dict[int, Path],
    rows: pl.DataFrame,
    inverted: dict[str, Tensor],
    config: VariantsConfig,
    numbers: Sequence[int],
) -> Iterator[tuple[Sequence[int], np.ndarray]]:
    """The crops of some rows by parts, one generator after the other where there are several."""
    pids, operations = rows["pid"].to_list(), [Style.parse(text) for text in rows["operation"]]
    for file, group in itertools.groupby(numbers, key=lambda number: tuned.get(pids[number])):
        network = gan if file is None else load_generator(file, device=config.device)
        for part in chunks(list(group), config.batch):
            chosen = [operations[number] for number in part]
            yield part, render(network, chosen, psi=float(config.psi), inverted=inverted)


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
