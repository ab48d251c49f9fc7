"""Running filters over a table: scores and verdicts in columns, the discard table and the calibration in files."""

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from reidgen.config import FilterConfig
from reidgen.config.fidelity import REID
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.blocks import ScoreFolder
from reidgen.engine.runs.records import write_checked
from reidgen.errors import ConfigError, DataError, ReidgenError, RunError, option
from reidgen.files import Crops, check_apart, sha256, write_bytes, write_text
from reidgen.filters.base import Filter, PointingFilter
from reidgen.filters.calibration import Calibration
from reidgen.filters.detection.detector import DetectorFilter
from reidgen.filters.discards import Outcome, describe, discard_table, markdown
from reidgen.filters.features.diversity import CopiesFilter, DiversityFilter
from reidgen.filters.features.identity import IdentityFilter
from reidgen.filters.features.realism import RealismFilter
from reidgen.filters.sheets import rejected_sheet
from reidgen.filters.ssim import SSIMFilter

SCORING = "scoring"  # in the run folder, until the run is done
FILTERS: dict[str, Callable[[FilterConfig], Filter]] = {
    "detector": lambda config: DetectorFilter(config.detector, device=config.device, **_own(config, "detector")),
    "ssim": lambda config: SSIMFilter(
        config.ssim_threshold, data_range=255 if config.ssim_range == "255" else 4095, first=config.ssim_first
    ),
    "identity": lambda config: IdentityFilter(config.reid or "", **_network(config), **_own(config, "identity")),
    "realism": lambda config: RealismFilter(_features(config), **_network(config), **_own(config, "realism")),
    "diversity": lambda config: DiversityFilter(_features(config), **_network(config), **_own(config, "diversity")),
    "copies": lambda config: CopiesFilter(_features(config), **_network(config), **_own(config, "copies")),
}


def _own(config: FilterConfig, name: str) -> dict[str, Any]:
    """The options that begin with a filter's name, without it."""
    return {key.removeprefix(f"{name}_"): value for key, value in vars(config).items() if key.startswith(f"{name}_")}


def _network(config: FilterConfig) -> dict[str, Any]:
    return {"batch": config.feature_batch, "device": config.device}


def _features(config: FilterConfig) -> str:
    """The feature network of the filters that may use any."""
    return config.features or f"{REID}{config.reid}"


@dataclass(frozen=True, kw_only=True)
class AppliedFilters:
    """What run.json says of a filter run."""

    filters: dict[str, Any]
    calibrate: Literal["none", "draw"]


def run_filters(
    table: ReidTable,
    config: FilterConfig,
    *,
    reference: ReidTable | None = None,
    out: Path | str | None = None,
    crops: Crops = "link",
) -> ReidTable:
    """`apply_filters` with the filters that a config names."""
    filters = [FILTERS[name](config) for name in config.filters]
    return apply_filters(table, filters, reference, out, calibrate="draw" if config.calibrate else "none", crops=crops)


def apply_filters(
    table: ReidTable,
    filters: Sequence[Filter],
    reference: ReidTable | None = None,
    out: Path | str | None = None,
    *,
    calibrate: Literal["none", "draw"] = "none",
    crops: Crops = "link",
) -> ReidTable:
    """Score every crop with every filter and record a verdict for each; nothing is deleted or moved.

    Args:
        table: The crops, usually generated ones.
        filters: The filters, each of another name.
        reference: Crops about which nothing is wrong, usually the real train split: open thresholds are set on them,
            and the discard table says which share of them each rule would reject.
        out: Folder for the crops (with the new columns), `discarded.json` and `discarded.md`, and a sheet
            `rejected_<filter>.png` of what each filter rejects; None writes none. A run that was killed goes on there.
        calibrate: "draw" writes `calibration_<filter>.png`, `.json` and `.md` into `out` too.
        crops: Whether written crops are hard links to the table's, or copies; see `ReidTable.write`.

    Returns:
        The table with a column `score_<name>` a filter (null: no score) and `rejected_by`: names of the filters that
        reject the crop, separated by commas, null where it is kept. Verdicts that the table brings along are kept,
        except those of a filter that runs again.

    Raises:
        ConfigError: Two filters have one name, a threshold is open and there is no reference, or there is nothing to
            calibrate on or no folder to write the calibration to; or `out` is a folder of the tables.
        DataError: The table is empty, or a crop cannot be read.
    """
    _check(table, filters, reference, out, calibrate)
    if out is None:
        return _judged(table, _outcomes(table, filters, reference))
    config = AppliedFilters(filters={filter_.name: filter_ for filter_ in filters}, calibrate=calibrate)
    check_apart(out, [root for read in (table, reference) if read is not None for root in read.rows["root"].unique()])
    inputs = {**_inputs(table, filters, reference), **({} if crops == "link" else {"crops": crops})}
    with RunFolder.begin(out, stage="filter", config=config, inputs=inputs) as run:
        scoring = run.path / SCORING
        if run.done:
            shutil.rmtree(scoring, ignore_errors=True)  # killed between its last two steps
            return ReidTable.read(out)
        with _forgotten_on_error(scoring):
            outcomes = _outcomes(table, filters, reference, ScoreFolder(scoring, run.identity))
            drawn = [] if calibrate == "none" or reference is None else [_calibration(o, reference) for o in outcomes]
        written = _judged(table, outcomes).write(out, crops=crops)
        discards = discard_table(written, outcomes, reference)
        write_checked(run.path / "discarded.json", discards)
        write_text(run.path / "discarded.md", markdown(discards))
        for calibration in drawn:
            calibration.write(run.path)
        for outcome in outcomes:
            _write_sheet(table, outcome, run.path / f"rejected_{outcome.filter.name}.png")
        run.finish({key: value for key, value in discards.items() if key not in ("schema_version", "filters")})
        shutil.rmtree(scoring, ignore_errors=True)  # it is not there where nothing was to be scored
    return written


def _write_sheet(table: ReidTable, outcome: Outcome, path: Path) -> None:
    sheet = rejected_sheet(table, outcome)
    if sheet is not None:
        stream = io.BytesIO()
        sheet.save(stream, "PNG")
        write_bytes(path, stream.getvalue())


def _inputs(table: ReidTable, filters: Sequence[Filter], reference: ReidTable | None) -> dict[str, str | None]:
    verdicts = sha256(f"{','.join(verdicts)}\n".encode() for verdicts in _earlier(table))
    return {
        "table": table.hash(),
        "verdicts": verdicts,
        "reference": None if reference is None else reference.hash(),
        **{f"{filter_.name}.{name}": value for filter_ in filters for name, value in filter_.inputs().items()},
    }


def _check(
    table: ReidTable, filters: Sequence[Filter], reference: ReidTable | None, out: Path | str | None, calibrate: str
) -> None:
    names = [filter_.name for filter_ in filters]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            "The filters must be one or more, each of another name.",
            got=", ".join(names) or "none",
            allowed=", ".join(FILTERS),
        )
    if not len(table):
        raise DataError(
            "There is nothing to filter: the table is empty.",
            got="0 crops",
            allowed="at least one crop",
            fix="a folder written by reidgen generate",
        )
    if reference is None:
        for filter_ in filters:
            filter_.calibrated(None)  # an open threshold is an error before the work, not after it
    if calibrate == "draw" and (reference is None or out is None):
        raise ConfigError(
            "A calibration needs reference crops and a folder.",
            got=f"reference {'None' if reference is None else 'given'}, out {out}",
            allowed="both",
            fix=f"{option('calibrate')} {option(reference='DIR')} {option(out='DIR')}",
        )


@contextmanager
def _forgotten_on_error(scoring: Path) -> Iterator[None]:
    """After a user's error no scores are left, so that the mended command may take the run folder.

    An error of the scores themselves names the file to remove, and the others stay.
    """
    try:
        yield
    except RunError:
        raise
    except ReidgenError:
        shutil.rmtree(scoring, ignore_errors=True)
        raise


def _outcomes(
    table: ReidTable, filters: Sequence[Filter], reference: ReidTable | None, folder: ScoreFolder | None = None
) -> list[Outcome]:
    found: list[Outcome] = []
    for filter_ in filters:
        kept_first = isinstance(filter_, SSIMFilter) and filter_.first == "kept"
        seen = _judged(table, found) if kept_first and found else table
        found.append(_outcome(seen, filter_.prepared(table), reference, folder))
    return found


def _outcome(table: ReidTable, filter_: Filter, reference: ReidTable | None, folder: ScoreFolder | None) -> Outcome:
    def scores_of(crops: ReidTable, what: str) -> np.ndarray:
        kept = None if folder is None else folder.below(f"{filter_.name}-{what}")
        return filter_.scores(crops, reference, kept=kept)

    of_reference = None if reference is None else scores_of(reference, "reference")
    filter_ = filter_.calibrated(of_reference)
    scores = scores_of(table, "crops")
    verdicts = filter_.rejected(scores)
    if isinstance(filter_, PointingFilter):
        verdicts = filter_.pointed(verdicts, table, reference)
    return Outcome(filter_, scores, verdicts, of_reference)


def _judged(table: ReidTable, outcomes: Sequence[Outcome]) -> ReidTable:
    """The table with the columns of scores and the joined verdicts."""
    names = {outcome.filter.name for outcome in outcomes}
    rejected_by = [
        ",".join([v for v in earlier if v.split(":")[0] not in names] + [v for v in verdicts if v is not None]) or None
        for earlier, verdicts in zip(_earlier(table), zip(*(o.verdicts for o in outcomes), strict=True), strict=True)
    ]
    scores = [pl.Series(f"score_{o.filter.name}", o.scores, dtype=pl.Float64).fill_nan(None) for o in outcomes]
    return replace(table, rows=table.rows.with_columns(*scores, pl.Series("rejected_by", rejected_by, dtype=pl.String)))


def _earlier(table: ReidTable) -> list[list[str]]:
    if "rejected_by" not in table.rows.columns:
        return [[]] * len(table)
    return [verdict.split(",") if verdict else [] for verdict in table.rows["rejected_by"]]


def _calibration(outcome: Outcome, reference: ReidTable) -> Calibration:
    assert outcome.reference_scores is not None, "checked at the start"
    known = [s[np.isfinite(s)] for s in (outcome.reference_scores, outcome.scores)]
    if not known[0].size:
        raise DataError(
            f"There is nothing to calibrate the filter {outcome.filter.name} on: no reference crop has a score.",
            got=describe(reference),
            allowed="a train split in which a person has two crops",
            fix=f"another {option('reference')}, or leave {option('calibrate')} out",
        )
    return Calibration(outcome.filter, describe(reference), *known)
