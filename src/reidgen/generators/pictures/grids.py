"""Labelled pictures of what a generator does: people and variants, style mixing tables, truncation."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reidgen.config import GenerateConfig, GridConfig
from reidgen.data.provenance import Style
from reidgen.engine import RunFolder
from reidgen.generators.people.mixing import variant_layers
from reidgen.generators.people.people import plan_crop, render
from reidgen.generators.pictures.sheets import enlarge, write_png
from reidgen.generators.trained import TrainedGenerator

FILE = "grid.png"
FONT_SIZE = 12
MARGIN, GAP, WIDE_GAP = 6, 2, 8  # pixels around everything, between cells, and after the first column
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@dataclass(frozen=True)
class Block:
    """One table of crops with its labels.

    Attributes:
        cells: uint8 (R, C, H, W, 3).
        title: Above the table.
        row_labels: Left of each row.
        column_labels: Above each column; equal neighbours are written once.
    """

    cells: np.ndarray
    title: str
    row_labels: Sequence[str]
    column_labels: Sequence[str]


def generate_grid(gan: TrainedGenerator, config: GridConfig | None = None, *, out: Path | str, **options: Any) -> Path:
    """Generate a labelled picture of what a generator does.

    The people are those of `generate_people` with the same seed. "variants" is the picture of Alvarez-Gonzalez,
    thesis, figure 5.6, "mixing" that of its figure 4.7, for each group of layers.

    Args:
        gan: A trained generator.
        config: Every knob; None takes the defaults.
        out: The run folder.
        options: Fields of `GridConfig`, such as show="mixing", rows=4, seed=0.

    Returns:
        The path of grid.png.

    Raises:
        ConfigError: An option is out of range, or `mix` names no layers of this generator or all of them.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or GridConfig(), **options)
    rates = gan.network.layer_rates
    layers = [] if config.show == "truncation" else variant_layers(config.mixes, rates, weight=config.weight)
    inputs = {"generator": gan.hash, "layers": [list(chosen) for chosen in layers], "size": list(gan.size)}
    with RunFolder.begin(out, stage="generate grid", config=config, inputs=inputs) as run:
        if not run.done:
            draw: Callable[..., list[Block]] = {"variants": _variants, "mixing": _mixing, "truncation": _truncation}[
                config.show
            ]
            picture = stack(draw(gan.on(config.device), config, layers), scale=config.scale)
            write_png(run.path / FILE, picture)
            run.finish({"generator": gan.hash, "generator_training": gan.training})
    return run.path / FILE


def stack(blocks: Sequence[Block], *, scale: int = 1) -> np.ndarray:
    """Tables with their labels, one below the other on white: uint8 (H, W, 3).

    Args:
        blocks: The tables.
        scale: Pixels of the picture for each pixel of a crop.
    """
    font = ImageFont.load_default(FONT_SIZE)
    drawn = [_draw(block, font, scale) for block in blocks]
    height, width = sum(part.shape[0] for part in drawn), max(part.shape[1] for part in drawn)
    picture = np.full((height, width, 3), 255, np.uint8)
    top = 0
    for part in drawn:
        picture[top : top + part.shape[0], : part.shape[1]] = part
        top += part.shape[0]
    return picture


def _variants(gan: TrainedGenerator, config: GridConfig, layers: Sequence[tuple[int, ...]]) -> list[Block]:
    plan = GenerateConfig(weight=config.weight, psi=config.psi, seed=config.seed)
    turns = len(config.mixes)
    order = [v for turn in range(turns) for v in range(1, config.columns) if (v - 1) % turns == turn]
    rows = [
        [plan_crop(gan, plan, layers, person=person, variant=variant) for variant in (0, *order)]
        for person in _people(config)
    ]
    names = [config.mixes[(variant - 1) % turns] for variant in order]
    title = "people, and variants that take the styles of some layers from others"
    return [Block(_cells(gan, rows, config.psi), title, _labels(config), ["seed", *names])]


def _mixing(gan: TrainedGenerator, config: GridConfig, layers: Sequence[tuple[int, ...]]) -> list[Block]:
    """For each group a table of people (rows) and donors (columns); its first column and row are they themselves."""
    plan = GenerateConfig(psi=config.psi, seed=config.seed)
    own = [plan_crop(gan, plan, [], person=person, variant=0) for person in _people(config)]
    after = config.person + config.rows
    donors = [plan_crop(gan, plan, [], person=after + i, variant=0) for i in range(config.columns)]
    sources = _cells(gan, [[donors[0], *donors]], config.psi)
    sources[0, 0] = 255
    labels = ["", *_labels(config)]
    blocks = []
    for mix, chosen in zip(config.mixes, layers, strict=True):
        rows = [
            [one, *(dataclasses.replace(one, layers=chosen, donor=d.w, weight=config.weight) for d in donors)]
            for one in own
        ]
        cells = np.concatenate([sources, _cells(gan, rows, config.psi)])
        title = f"{mix}: layers {_spans(chosen)} of {gan.network.num_ws} from the people above"
        title += "" if config.weight == 1 else f", weight {config.weight:g}"
        blocks.append(Block(cells, title, labels, ["", *(f"{after + i}" for i in range(config.columns))]))
    return blocks


def _truncation(gan: TrainedGenerator, config: GridConfig, layers: Sequence[tuple[int, ...]]) -> list[Block]:
    plan = GenerateConfig(seed=config.seed)
    own = [[plan_crop(gan, plan, layers, person=person, variant=0)] for person in _people(config)]
    psis = [config.psi * i / (config.columns - 1) for i in range(config.columns)]
    cells = np.concatenate([_cells(gan, own, psi) for psi in psis], axis=1)
    return [Block(cells, "truncation psi", _labels(config), [f"{psi:.2f}" for psi in psis])]


def _people(config: GridConfig) -> range:
    return range(config.person, config.person + config.rows)


def _labels(config: GridConfig) -> list[str]:
    return [f"{person}" for person in _people(config)]


def _cells(gan: TrainedGenerator, rows: Sequence[Sequence[Style]], psi: float) -> np.ndarray:
    images = render(gan, [operation for row in rows for operation in row], psi=psi)
    return images.reshape(len(rows), len(rows[0]), *images.shape[1:])


def _spans(layers: Sequence[int]) -> str:
    """Indices in words: 0-2, 5."""
    starts = [layer for layer in layers if layer - 1 not in layers]
    ends = [layer for layer in layers if layer + 1 not in layers]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(sorted(starts), sorted(ends), strict=True))


def _draw(block: Block, font: Font, scale: int) -> np.ndarray:
    rows, _, height, width, _ = block.cells.shape
    height, width, line = height * scale, width * scale, FONT_SIZE + 4
    left = MARGIN + max(int(font.getlength(label)) for label in block.row_labels) + MARGIN
    top = MARGIN + 2 * line
    lefts = [left + x for x in _columns(block.column_labels, font, width)]
    tops = [top + row * (height + GAP) for row in range(rows)]
    total = max(lefts[-1] + width, left + int(font.getlength(block.title))) + MARGIN
    image = Image.new("RGB", (total, tops[-1] + height + MARGIN), WHITE)
    pen = ImageDraw.Draw(image)
    pen.text((left, MARGIN), block.title, BLACK, font)
    for label, first, last in _runs(block.column_labels):
        pen.text(((lefts[first] + lefts[last] + width) // 2, top - 4), label, BLACK, font, anchor="ms")
    for y, label in zip(tops, block.row_labels, strict=True):
        pen.text((left - MARGIN, y + height // 2), label, BLACK, font, anchor="rm")
    for cells, y in zip(block.cells, tops, strict=True):
        for cell, x in zip(cells, lefts, strict=True):
            image.paste(Image.fromarray(enlarge(cell, scale)), (x, y))
    return np.asarray(image)


def _columns(labels: Sequence[str], font: Font, width: int) -> list[int]:
    """Left edge of each column: wide enough for the labels, and apart where another label begins."""
    runs = _runs(labels)
    pitch = max(
        width + GAP, *(math.ceil((font.getlength(label) + GAP) / (last - first + 1)) for label, first, last in runs)
    )
    begins = {runs[1][1]} if len(runs) > 1 else set()  # what follows the first column stands apart
    begins |= {first for _, first, last in runs if first and last > first}
    return [column * pitch + WIDE_GAP * sum(first <= column for first in begins) for column in range(len(labels))]


def _runs(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """Equal neighbours: label, first and last column."""
    columns = itertools.groupby(range(len(labels)), key=labels.__getitem__)
    return [(label, (run := list(group))[0], run[-1]) for label, group in columns]
