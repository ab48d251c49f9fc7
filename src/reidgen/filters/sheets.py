"""Sheets of what each filter threw away (Alvarez-Gonzalez, thesis, figures 5.7 and 5.8)."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reidgen.data.pixels.images import read_rgb
from reidgen.data.table import ReidTable
from reidgen.filters.discards import Outcome
from reidgen.filters.ssim import SSIMFilter, first_rows

HEIGHT = 160  # of a crop on the sheet
COLUMNS, ROWS = 12, 4
GAP, CAPTION = 4, 16
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (120, 120, 120)


def rejected_sheet(table: ReidTable, outcome: Outcome) -> Image.Image | None:
    """Crops that a filter rejects, evenly spread from the lowest score to the highest, each over its score.

    A filter that compares a crop with the first one of its person shows that one before it.

    Args:
        table: The crops.
        outcome: What the filter said of them.

    Returns:
        A picture of at most 48 cells, None where nothing was rejected.
    """
    shown = _spread(outcome, COLUMNS * ROWS // (2 if isinstance(outcome.filter, SSIMFilter) else 1))
    if not shown.size:
        return None
    cells = []
    first = first_rows(table) if isinstance(outcome.filter, SSIMFilter) else None
    for row in shown:
        if first is not None:
            cells.append((first[row], "first crop"))
        cells.append((row, _caption(outcome, row)))
    return _grid(table, cells)


def _spread(outcome: Outcome, count: int) -> np.ndarray:
    """Rows of rejected crops, at most `count`, evenly spread over their ranks by score."""
    rejected = np.flatnonzero(outcome.rejected)
    ranked = rejected[np.argsort(outcome.scores[rejected], kind="stable")]
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(np.int64)
    return ranked[np.unique(places)]


def _caption(outcome: Outcome, row: int) -> str:
    verdict = outcome.verdicts[row] or ""
    reason, _, about = verdict.partition(":")[2].partition("=")
    return about.rpartition("/")[2] or reason or f"{outcome.scores[row]:.2f}"


def _grid(table: ReidTable, cells: list[tuple[int, str]]) -> Image.Image:
    font = ImageFont.load_default(11)
    crops = [_crop(table, row) for row, _ in cells]
    width = max(*(crop.width for crop in crops), *(int(font.getlength(text)) + 1 for _, text in cells)) + GAP
    height = HEIGHT + CAPTION + GAP
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (min(COLUMNS, len(cells)) * width + GAP, rows * height + GAP), WHITE)
    pen = ImageDraw.Draw(sheet)
    for number, (crop, (_, text)) in enumerate(zip(crops, cells, strict=True)):
        left, top = GAP + number % COLUMNS * width, GAP + number // COLUMNS * height
        sheet.paste(crop, (left, top))
        pen.text((left, top + HEIGHT + 2), text, GREY if text == "first crop" else BLACK, font)
    return sheet


def _crop(table: ReidTable, row: int) -> Image.Image:
    pixels = read_rgb(table.paths[row])
    width = max(1, round(pixels.width * HEIGHT / pixels.height))
    return pixels.resize((width, HEIGHT), Image.Resampling.BICUBIC)
