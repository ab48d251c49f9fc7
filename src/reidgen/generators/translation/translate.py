"""Crops of real people in another camera's style and place, as a table."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reidgen.config.generators.translation import TranslateConfig
from reidgen.data.disk.threads import chunks
from reidgen.data.pixels.maps import with_masks
from reidgen.data.provenance.translation import Translation
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.errors import DataError
from reidgen.generators.crops import check_maker, real_people, with_new_names, write_made
from reidgen.generators.pictures.sheets import write_png
from reidgen.generators.translation.domain_crops import open_crops, tell_sizes
from reidgen.generators.translation.model_sheet import model_sheet
from reidgen.generators.translation.planning import Planned, fingerprints, plan_translations, planned_ways
from reidgen.generators.translation.translator import TrainedTranslator

BATCH = 64  # crops regenerated at once
SHEET = "translated.png"


def translate(
    translator: TrainedTranslator | Sequence[TrainedTranslator],
    table: ReidTable,
    config: TranslateConfig | None = None,
    *,
    out: Path | str,
    **options: Any,
) -> ReidTable:
    """Show people as another camera would, as a Market-1501 tree of JPEG files.

    The same call again keeps the files that are there and makes the missing ones. Writes also translated.png: crops,
    what was made of them, and real crops of the targets. Crops of other sizes than the translator's are resized.

    Args:
        translator: A trained translator, or several for several cameras.
        table: Real people; generated and rejected crops, distractors and junk are left out.
        config: Every knob; None takes the defaults.
        out: The run folder.
        options: Fields of `TranslateConfig`.

    Returns:
        The table: pid of the real crop, whose file name is the `parent`; `camid` and `target_camid` are the camera that
        it was moved to. `regenerate_translated` makes it again.

    Raises:
        ConfigError: An option is out of range, or the cameras are not those of the translator.
        DataError: There is no such crop, or masks that the translator needs are missing.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or TranslateConfig(), **options)
    translators = [translator] if isinstance(translator, TrainedTranslator) else list(translator)
    cameras = {camera for _, way in planned_ways(translators, config) for camera in way}
    crops = real_people(table, config.split).where(pl.col("camid").is_in(sorted(cameras)))
    for needing in (one.config.preset for one in translators if one.config.needs_masks):
        crops = with_masks(crops, f"a translator of preset {needing}")
    plan = plan_translations(translators, crops, config)
    inputs = {"translators": [one.hash for one in translators], "crops": crops.hash()}
    with RunFolder.begin(out, stage="generate translate", config=config, inputs=inputs) as run:
        if not run.done:
            on_device = [one.on(config.device) for one in translators]
            run.finish(_generate(on_device, crops, table, plan, config, run.path))
    return ReidTable.read(run.path)


def regenerate_translated(translator: TrainedTranslator, table: ReidTable, sources: ReidTable) -> np.ndarray:
    """The pixels of translated crops, before JPEG, from what their rows say of them: uint8 (N, H, W, 3).

    Args:
        translator: The translator that the rows name.
        table: Rows of `translate`.
        sources: The table that the crops were made from.

    Raises:
        WeightsError: The crops were made with other weights.
        DataError: A row is not one of `translate`, or its parent is not there any more as it was.
    """
    check_maker(table, translator.hash, translator.path)
    operations = [Translation.parse(text) for text in table.rows["operation"]]
    named = {*table.rows["parent"], *(one.pose for one in operations)}
    known = sources.where(pl.col("file_name").is_in([name for name in named if name is not None]))
    if translator.config.needs_masks:
        known = with_masks(known, "the translator")
    files = fingerprints(known, masks=translator.config.needs_masks)
    place = {name: row for row, name in enumerate(known.rows["file_name"])}
    planned = []
    for parent, one in zip(table.rows["parent"], operations, strict=True):
        as_it_was = files.get(parent) == (one.crop, one.mask)
        posed = one.pose is None or (one.pose in files and files[one.pose][1] == one.posed)
        if not (as_it_was and posed):
            raise DataError(
                f"{parent if posed else one.pose} is not as it was when the crop was made.",
                got="another file, another mask, or none",
                allowed="the table that generate translate had",
                fix="sources=load_dataset('reidgen', root=...) with that table's folder",
            )
        planned.append(Planned(0, place[parent], place[one.pose] if one.pose else None, one))
    made = _made([translator], known, planned, range(len(planned)), batch=BATCH)
    return np.concatenate([pixels for _, pixels in made])


def _generate(
    translators: Sequence[TrainedTranslator],
    crops: ReidTable,
    table: ReidTable,
    planned: Sequence[Planned],
    config: TranslateConfig,
    folder: Path,
) -> dict[str, Any]:
    """Write all crops and the table, and return the run's summary."""
    rows = _rows(translators, crops, table, planned)
    tell_sizes(crops, translators[0].config.size)
    made = write_made(
        rows,
        lambda missing: _made(translators, crops, planned, missing, batch=config.batch),
        folder,
        stage="generate translate",
        name="translated people",
        quality=config.quality,
    )
    presets = {one.hash: one.config.preset for one in translators}
    write_png(folder / SHEET, model_sheet(made, crops, presets, translators[0].config.size))
    return {
        "people": rows["pid"].n_unique(),
        "crops": len(made),
        "by_way": {f"{a} to {b}": count for a, b, count in _per_way(planned)},
        "split": config.split,
        "origins": sorted(crops.rows["origin"].unique()),
        "presets": sorted({one.config.preset for one in translators}),
        "translators": [one.hash for one in translators],
        "translator_training": [one.training for one in translators],
    }


def _rows(
    translators: Sequence[TrainedTranslator], crops: ReidTable, table: ReidTable, planned: Sequence[Planned]
) -> pl.DataFrame:
    """The rows of all crops that are made."""
    parents = crops.rows[[one.parent for one in planned]]
    rows = parents.select("pid", "seq", "frame", parent="file_name", parent_origin="origin").with_columns(
        pl.Series("camid", [one.operation.target for one in planned], dtype=pl.Int64),
        pl.Series("seed", [one.operation.noise for one in planned], dtype=pl.Int64),
        pl.Series("operation", [str(one.operation) for one in planned]),
        generator=pl.Series([translators[one.translator].hash for one in planned]),
    )
    return with_new_names(rows.with_columns(target_camid=pl.col("camid")), table)


def _made(
    translators: Sequence[TrainedTranslator],
    crops: ReidTable,
    planned: Sequence[Planned],
    places: Sequence[int],
    *,
    batch: int,
) -> Iterator[tuple[Sequence[int], np.ndarray]]:
    """Places of the plan by parts, with pixels uint8 (N, H, W, 3)."""
    if not places:
        return
    decoded = {
        size: open_crops(crops, size, masks=any(one.config.needs_masks for one in translators))
        for size in {one.config.size for one in translators}
    }
    ways = [(one.translator, (one.operation.source, one.operation.target)) for one in planned]
    for (which, way), group in itertools.groupby(places, key=ways.__getitem__):
        translator = translators[which]
        known = decoded[translator.config.size]
        for part in chunks(list(group), batch):
            parents = np.array([planned[i].parent for i in part])
            poses = np.array([planned[i].parent if planned[i].pose is None else planned[i].pose for i in part])
            seeds = [planned[i].operation.noise for i in part]
            masks, posed = known.mask_pixels(parents), known.mask_pixels(poses)
            yield part, translator.translate(known.pixels(parents), seeds, way=way, masks=masks, poses=posed)


def _per_way(planned: Sequence[Planned]) -> list[tuple[int, int, int]]:
    counts = Counter((one.operation.source, one.operation.target) for one in planned)
    return [(*way, count) for way, count in sorted(counts.items())]
