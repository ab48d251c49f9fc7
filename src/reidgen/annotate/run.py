"""`reidgen annotate`: a table with masks, key points and yaw, made crop by crop and resumed."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from reidgen.annotate.columns import filled, mask_targets, summary
from reidgen.annotate.finding import Finder
from reidgen.annotate.landmarks import model_file
from reidgen.annotate.masks import MaskFolder, MaskFunction, contents
from reidgen.annotate.wanted import Wanted
from reidgen.config.annotate import AnnotateConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import DataError
from reidgen.files import Crops, check_apart, file_sha256, sha256

WORK = "annotating"  # in the run folder, until the run is done
BLOCK = 32  # crops whose numbers are kept together


def annotate(
    table: ReidTable,
    config: AnnotateConfig | None = None,
    *,
    out: Path | str,
    masks: MaskFunction | None = None,
    crops: Crops = "link",
    **options: Any,
) -> ReidTable:
    """Find out where the person of each crop is, its key points and which way it faces, and write the table with it.

    What the renderer wrote of its own crops stays. On some of these the methods are measured against it; `annotated`
    tells the errors. The same call again goes on where a killed one stopped.

    Args:
        table: The crops.
        config: Every knob; None takes the defaults.
        out: The run folder.
        masks: A function that gives the mask of a crop, in place of `config.masks`; the same one when a run goes on.
        crops: Whether written crops are hard links to the table's, or copies; see `ReidTable.write`.
        options: Fields of `AnnotateConfig`.

    Returns:
        The table with the columns that were asked for: `mask` (path of a PNG, 255 on the person; null where nobody was
        found), `keypoints` (17 times x, y in pixels and 2 seen, 1 hidden, 0 outside) with `keypoint_scores`, and
        `yaw` (degrees, 0 faces the camera, 90 looks to the right of the picture).

    Raises:
        ConfigError: An option is out of range.
        DataError: A crop cannot be read, or a mask is missing or of another size.
        MissingExtraError: ai-edge-litert is not installed.
        WeightsError: The pose-landmark model is not there.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or AnnotateConfig(), **options)
    if not len(table):
        raise DataError("There is nothing to annotate.", got="a table without crops", allowed="at least one crop")
    check_apart(out, table.rows["root"].unique())
    wanted = Wanted.of(table, config)
    folder = _folder(table, config, wanted, masks)
    inputs = {"table": table.hash(), "known": _known(table), **_sources(config, wanted, folder, masks)}
    inputs |= {} if crops == "link" else {"crops": crops}
    with RunFolder.begin(out, stage="annotate", config=config, inputs=inputs) as run:
        work = run.path / WORK
        if run.done:
            shutil.rmtree(work, ignore_errors=True)  # killed between its last two steps
            return ReidTable.read(run.path)
        finder = Finder.of(config, wanted, folder=folder, function=masks)
        written = table.write(run.path, crops=crops)
        targets = mask_targets(written, wanted)
        values = in_blocks(
            "annotate",
            len(wanted.rows),
            lambda part: finder.find(table, wanted.rows[part], targets, crops),
            kept=ScoreFolder(work, run.identity),
            block=BLOCK,
        )
        whole = filled(written, wanted, values, targets, config)
        whole.write_metadata(run.path)
        run.finish(summary(whole, wanted, values))
        shutil.rmtree(work, ignore_errors=True)
    return ReidTable.read(run.path)


def _folder(
    table: ReidTable, config: AnnotateConfig, wanted: Wanted, function: MaskFunction | None
) -> MaskFolder | None:
    """The folder of masks, all of whose files are there and have the sizes of their crops."""
    if function is not None or "mask" not in config.what or config.masks == "mediapipe":
        return None
    folder = MaskFolder(Path(config.masks))
    folder.check(table.where(wanted.made["mask"]))
    return folder


def _known(table: ReidTable) -> str:
    """SHA-256 of what is known already: it stays, or is made anew."""
    columns = [column for column in ("origin", "mask", "keypoints", "yaw") if column in table.rows.columns]
    return sha256(json.dumps(row).encode() for row in table.rows.select(columns).iter_rows())


def _sources(
    config: AnnotateConfig, wanted: Wanted, folder: MaskFolder | None, function: MaskFunction | None
) -> dict[str, str]:
    """Hashes of the model and the masks, and the name of the function."""
    found: dict[str, str] = {}
    if wanted.needs_model(config, by_function=function is not None):
        found["pose_model"] = file_sha256(model_file(config.pose_model))
    if folder is not None:
        found["masks"] = contents(folder)
    if function is not None:
        found["masks"] = getattr(function, "__qualname__", type(function).__qualname__)
    return found
