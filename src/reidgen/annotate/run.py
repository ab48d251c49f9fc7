"""`reidgen annotate`: a table with masks, key points, yaw and bodies, made crop by crop and resumed."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from reidgen.annotate.bodies.columns import told_of_bodies, with_bodies
from reidgen.annotate.bodies.meshes import MeshFolders, with_meshes
from reidgen.annotate.columns import POINTS_AT, filled, mask_targets, summary
from reidgen.annotate.finding import Finder
from reidgen.annotate.landmarks import model_file
from reidgen.annotate.masks import MaskFolder, MaskFunction, contents
from reidgen.annotate.wanted import Wanted
from reidgen.config.annotate import AnnotateConfig
from reidgen.data.schema import MESH
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import DataError, option
from reidgen.files import Crops, check_apart, file_sha256, sha256
from reidgen.models.detector.movenet import POINTS
from reidgen.render.bodies.body import load_anny

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
    """Find out where the person of each crop is, its key points, which way it faces and how its body stands; write it.

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
        found) and, where the model found them, `others` (how much of somebody else is seen beside that person);
        `keypoints` (17 times x, y in pixels and 2 seen, 1 hidden, 0 outside) with `keypoint_scores`; `yaw` (degrees, 0
        faces the camera, 90 looks to the right of the picture); `body` (see `Body`) with `body_error`; `mesh_N` (path
        of a PNG, 0 beside the body, turned by N degrees) with `body_overlap`.

    Raises:
        ConfigError: An option is out of range.
        DataError: A crop cannot be read, or a mask is missing or of another size.
        MissingExtraError: ai-edge-litert is not installed, or anny for bodies.
        WeightsError: The pose-landmark model is not there.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or AnnotateConfig(), **options)
    if not len(table):
        raise DataError("There is nothing to annotate.", got="a table without crops", allowed="at least one crop")
    check_apart(out, table.rows["root"].unique())
    table = _without_meshes(table, config)
    wanted = Wanted.of(table, config)
    meshes = _meshes(table, config)
    folder = _folder(table, config, wanted, masks)
    inputs = {"table": table.hash(), "known": _known(table), **_sources(config, wanted, folder, masks)}
    inputs |= {} if crops == "link" else {"crops": crops}
    inputs |= {} if meshes is None else {"meshes": sha256(contents(one).encode() for one in meshes.folders.values())}
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
        if "body" in config.what:
            points = values[:, POINTS_AT].reshape(-1, POINTS, 3)
            whole = with_bodies(whole, points, config, kept=ScoreFolder(work / "bodies", run.identity))
        if "mesh" in config.what:
            drawn = ScoreFolder(work / "meshes", run.identity)
            whole = with_meshes(whole, config, folders=meshes, kept=drawn, crops=crops)
        whole.write_metadata(run.path)
        run.finish(summary(whole, wanted, values, config) | told_of_bodies(whole, config))
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


def _without_meshes(table: ReidTable, config: AnnotateConfig) -> ReidTable:
    """The crops without what is made anew."""
    anew = [f"{MESH}{angle}" for angle in config.angles] if "mesh" in config.what else []
    anew += ["body", "body_error", "body_overlap"] if "body" in config.what else []
    return dataclasses.replace(table, rows=table.rows.drop(anew, strict=False))


def _meshes(table: ReidTable, config: AnnotateConfig) -> MeshFolders | None:
    """The folders of another tool's pictures; None where bodies are shown, which then are there or asked for.

    Raises:
        DataError: They are neither.
        MissingExtraError: anny is not installed.
    """
    shown = "mesh" in config.what and config.meshes == "anny"
    if shown or "body" in config.what:
        load_anny()
    if not shown:
        if "mesh" not in config.what:
            return None
        folders = MeshFolders(Path(config.meshes), config)
        folders.files(table.rows["file_name"].to_list())  # what is wrong is told before anything is written
        return folders
    if "body" not in config.what and ("body" not in table.rows.columns or table.rows["body"].is_null().all()):
        raise DataError(
            "There are no bodies to show.",
            got=option(what=config.what),
            allowed="a table with the column body, or both at once",
            fix=option(what=("body", "mesh")),
        )
    return None


def _known(table: ReidTable) -> str:
    """SHA-256 of what is known already: it stays, or is made anew."""
    columns = [column for column in ("origin", "mask", "keypoints", "yaw", "body") if column in table.rows.columns]
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
