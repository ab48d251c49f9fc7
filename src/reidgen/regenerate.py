"""The same pixels again, for a crop of any kind, from what its row says."""

import reprlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reidgen.data.provenance import Operation, Rendering, Style, Translation, View, read_operation
from reidgen.data.provenance.rendering import VERSION
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, WeightsError
from reidgen.generators.people.people import regenerate_styles
from reidgen.generators.trained import TrainedGenerator
from reidgen.generators.translation.translate import regenerate_translated
from reidgen.generators.translation.translator import TrainedTranslator
from reidgen.generators.views.rotate import regenerate_turned
from reidgen.generators.views.trained_rotator import TrainedRotator
from reidgen.render.bodies.body import load_anny

Maker = TrainedGenerator | TrainedTranslator | TrainedRotator
MADE_BY: dict[type[Maker], type[Operation]] = {
    TrainedGenerator: Style,
    TrainedTranslator: Translation,
    TrainedRotator: View,
}


def regenerate(
    table: ReidTable,
    rows: int | Sequence[int] | None = None,
    *,
    weights: Maker | Sequence[Maker] = (),
    sources: ReidTable | None = None,
    latents: Path | str | None = None,
) -> np.ndarray:
    """Make crops again: the pixels that they had before JPEG, whatever the other rows are.

    Args:
        table: Generated, translated, turned or rendered crops.
        rows: Numbers of the rows; None: all.
        weights: The generators, translators and rotators that the rows name (`load_generator`, `load_translator`,
            `load_rotator`); rendered crops need none, but the extra `render`.
        sources: The table that translated or turned crops were made from.
        latents: The run folder of `generate_variants`, where the w+ of real crops are; None looks in the rows' own.

    Returns:
        uint8 (N, H, W, 3); (H, W, 3) if `rows` is one number.

    Raises:
        WeightsError: The weights of a row are not among those given, or the w+ of real crops are not there.
        DataError: A table or weights are not opened, a row does not say how its crop was made, or it has changed since,
            or the crops have several sizes, or a crop was rendered by another version.
        MissingExtraError: Rendered crops without the extra `render`.
    """
    makers = {one.hash: one for one in _opened(table, weights, sources)}
    numbers = range(len(table)) if rows is None else [rows] if isinstance(rows, int) else rows
    beyond = [number for number in numbers if not 0 <= number < len(table)]
    if beyond or not len(numbers):
        raise DataError(
            "The table has no such row." if beyond else "No row is asked for.",
            got=f"row {beyond[0]}" if beyond else "an empty list",
            allowed=f"0 to {len(table) - 1}" if len(table) else "a table with rows",
        )
    chosen = table.take(numbers)
    operations = [read_operation(text) for text in chosen.rows["operation"]]
    pixels: list[np.ndarray] = [np.empty(0, np.uint8)] * len(chosen)
    named = zip(operations, chosen.rows["generator"], strict=True)
    hashes = [None if isinstance(one, Rendering) else name for one, name in named]
    for name in dict.fromkeys(hashes):
        which = [place for place, own in enumerate(hashes) if own == name]
        part, known = chosen.take(which), [operations[place] for place in which]
        maker = None if name is None else _maker(makers, name, part)
        made = _rendered(known) if maker is None else _made(part, known, maker, sources, latents)
        for place, picture in zip(which, made, strict=True):
            pixels[place] = picture
    sizes = {picture.shape for picture in pixels}
    if len(sizes) > 1:
        raise DataError("The crops have several sizes.", got=sorted(sizes), allowed="one size", fix="fewer rows")
    return pixels[0] if isinstance(rows, int) else np.stack(pixels)


def _opened(table: object, weights: object, sources: object) -> list[Maker]:
    """The weights, which are opened as the tables are.

    Raises:
        DataError: One of these is something else, such as the name of a folder.
    """
    given = list(weights) if isinstance(weights, Sequence) and not isinstance(weights, str) else [weights]
    makers = [one for one in given if isinstance(one, Maker)]
    asked = (
        ("table", table, isinstance(table, ReidTable), "rg.load_dataset('reidgen', root=FOLDER)"),
        (
            "weights",
            weights,
            len(makers) == len(given),
            "rg.load_generator(FOLDER), rg.load_translator(FOLDER) or rg.load_rotator(FOLDER)",
        ),
        ("sources", sources, sources is None or isinstance(sources, ReidTable), "rg.load_dataset('reidgen', root=...)"),
    )
    for name, value, right, how in asked:
        if not right:
            raise DataError(
                f"regenerate takes opened {name}, and no folders.",
                got=f"{name}={reprlib.repr(value)}",
                allowed="what rg.load_generator, load_translator and load_rotator return"
                if name == "weights"
                else "a ReidTable",
                fix=f"{name}={how}",
            )
    return makers


def _maker(makers: dict[str, Maker], name: str | None, part: ReidTable) -> Maker:
    if name not in makers:
        raise WeightsError(
            f"{part.rows['file_name'][0]} was made with weights that are not given.",
            got=f"generator {name}; given: {', '.join(makers) or 'none'}",
            allowed="all generators, translators and rotators that the rows name",
            fix="weights=load_generator(FOLDER), load_translator(FOLDER) or load_rotator(FOLDER)",
        )
    return makers[name]


def _made(
    part: ReidTable,
    operations: Sequence[Operation],
    maker: Maker,
    sources: ReidTable | None,
    latents: Path | str | None,
) -> Sequence[np.ndarray]:
    if not all(isinstance(one, MADE_BY[type(maker)]) for one in operations):
        raise DataError(
            f"{part.rows['file_name'][0]} says that other weights made it than its operation.",
            got=f"generator {maker.hash}, operation {part.rows['operation'][0]!r}",
            allowed="a generator's operation with a generator's hash, a translator's or rotator's with its own",
        )
    if isinstance(maker, TrainedGenerator):
        return list(regenerate_styles(maker, part, latents=latents))
    if sources is None:
        raise DataError(
            "Translated and turned crops are made again from the crops that they were made of.",
            got="no sources",
            allowed="the table that generate translate or rotate had",
            fix="sources=load_dataset('reidgen', root=FOLDER)",
        )
    if isinstance(maker, TrainedRotator):
        return list(regenerate_turned(maker, part, sources))
    return list(regenerate_translated(maker, part, sources))


def _rendered(operations: Sequence[Operation]) -> Sequence[np.ndarray]:
    known = [one for one in operations if isinstance(one, Rendering)]
    others = {one.version for one in known} - {VERSION}
    if others or len(known) < len(operations):
        raise DataError(
            "A crop was rendered by another version of the renderer." if others else "A row names no weights.",
            got=f"version {min(others)}" if others else "no generator",
            allowed=f"version {VERSION}" if others else "the hash of the weights that made the crop",
        )
    load_anny()
    from reidgen.render.worker import render_again  # needs what has just been looked for

    return render_again(known)
