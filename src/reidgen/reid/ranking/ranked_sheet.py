"""A picture of ranked crops: each query with what was found for it, right and wrong told by borders and words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP, CAPTION, BORDER, FONT_SIZE = 6, 15, 4, 11
WHITE, BLACK, GREY, GREEN, RED = (255, 255, 255), (0, 0, 0), (150, 150, 150), (0, 150, 70), (210, 40, 40)
EDGES = {True: GREEN, False: RED, None: GREY}


@dataclass(frozen=True, eq=False)
class Cell:
    """One crop on the sheet.

    Attributes:
        crop: The picture.
        caption: One line under it.
        correct: Whether it is of the query's person; None where nobody knows.
        overlay: The same crop with a map over it, shown below; None shows none.
    """

    crop: Image.Image
    caption: str
    correct: bool | None = None
    overlay: Image.Image | None = None


def ranked_sheet(rows: Sequence[tuple[Cell, Sequence[Cell]]], *, height: int) -> np.ndarray:
    """Queries, each with its ranked crops to the right: uint8 (H, W, 3).

    A query has a black border, a crop of its person a green one, of another a red one, of nobody knows whom a grey one.

    Args:
        rows: One query and its crops, nearest first, a row.
        height: Pixels of a crop; widths follow, up to the height.
    """
    font = ImageFont.load_default(FONT_SIZE)
    first = _width([query for query, _ in rows], font, height) + 3 * GAP
    others = [cell for _, found in rows for cell in found]
    pitch_x = _width(others, font, height) + GAP
    maps = any(cell.overlay is not None for cell in (*others, *(query for query, _ in rows)))
    pitch_y = (height + 2 * BORDER) * (2 if maps else 1) + CAPTION + GAP
    columns = max(len(found) for _, found in rows)
    sheet = Image.new("RGB", (GAP + first + columns * pitch_x, len(rows) * pitch_y + GAP), WHITE)
    pen = ImageDraw.Draw(sheet)
    for number, (query, found) in enumerate(rows):
        for column, cell in enumerate((query, *found)):
            left = GAP + (first + (column - 1) * pitch_x if column else 0)
            _draw(
                sheet, pen, cell, (left, GAP + number * pitch_y), height, BLACK if column == 0 else EDGES[cell.correct]
            )
            bottom = GAP + (number + 1) * pitch_y - GAP - CAPTION
            pen.text((left, bottom + 1), cell.caption, BLACK, font)
    return np.asarray(sheet)


def overlay(crop: Image.Image, values: np.ndarray, *, height: int) -> Image.Image:
    """A crop in grey with a map over it, from dark (lowest of this crop) to yellow (highest).

    Args:
        crop: The picture.
        values: (h, w), enlarged over the crop.
        height: Pixels of the result.
    """
    import matplotlib

    shown = _fitted(crop, height)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    field = Image.fromarray(scaled.astype(np.float32)).resize(shown.size, Image.Resampling.BICUBIC)
    colours = matplotlib.colormaps["inferno"](np.clip(np.asarray(field), 0, 1))[..., :3] * 255
    grey = np.asarray(shown.convert("L"), dtype=np.float32)[..., None]
    return Image.fromarray((0.45 * grey + 0.55 * colours).astype(np.uint8))


def _draw(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    cell: Cell,
    at: tuple[int, int],
    height: int,
    edge: tuple[int, int, int],
) -> None:
    left, top = at
    for picture in (cell.crop, cell.overlay):
        if picture is None:
            continue
        shown = _fitted(picture, height)
        box = (left, top, left + shown.width + 2 * BORDER - 1, top + shown.height + 2 * BORDER - 1)
        pen.rectangle(box, outline=edge, width=BORDER)
        sheet.paste(shown, (left + BORDER, top + BORDER))
        top += height + 2 * BORDER


def _width(cells: Sequence[Cell], font: ImageFont.ImageFont | ImageFont.FreeTypeFont, height: int) -> int:
    """Of the widest crop or caption."""
    crops = [_fitted(cell.crop, height).width + 2 * BORDER for cell in cells]
    return max(*crops, *(int(font.getlength(cell.caption)) + 1 for cell in cells))


def _fitted(crop: Image.Image, height: int) -> Image.Image:
    """The crop at this height, or as wide as high where it is wider."""
    scale = min(height / crop.height, height / crop.width)
    size = (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
    return crop if crop.size == size else crop.resize(size, Image.Resampling.BICUBIC)
