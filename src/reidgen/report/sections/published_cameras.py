"""What the thesis on pairs of cameras published, beside a comparison of the same setting (Kolbeinsson 2019)."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from reidgen.data.table import ReidTable
from reidgen.report.answer import FIGURES, compared_runs, spread
from reidgen.report.evidence import Evidence
from reidgen.report.folders import EXTENDED, TRANSLATED
from reidgen.report.html.markup import Markup, section, soft, table

FACTS = Path(__file__).with_name("published_cameras.csv")
SHOWN = ("mAP", "rank1", "rank5", "rank10")
SETTINGS = {  # the thesis's tables of a setting
    "one camera has labels": (7, 11, 12),
    "two cameras have labels": (8, 9, 13),
    "all cameras have labels": (10,),
}
WHY_NOT = (
    "Not comparable in height: Market-1501, tested on all six cameras; ResNet-50, 60 epochs each, so that more crops "
    "are also more optimisation steps; a single run in each row, without a spread. “c5+G6”: crops of camera 5, and "
    "made crops as of camera 6; for pix2pix both cameras had labels. Kolbeinsson, thesis, tables 7 to 13."
)


def setting_of(evidence: Evidence) -> str | None:
    """The thesis's setting of the extended table: which of its cameras have real train crops, and which made ones.

    None where it has no translated crops, or where some cameras have labels and several others none.
    """
    run, moved = evidence.only(EXTENDED), any(one.kind == TRANSLATED for one in evidence.runs)
    if run is None or not moved or not evidence.extended:
        return None
    rows = ReidTable.read(run.path).train.rows
    made = pl.col("origin") == "generated"
    labelled, targets = (set(rows.filter(kind)["camid"]) for kind in (~made, made))
    if len(labelled) == 1:
        return "one camera has labels"
    if not targets <= labelled:
        return None
    return "two cameras have labels" if len(labelled) == 2 else "all cameras have labels"


def published_cameras(evidence: Evidence) -> Markup | None:
    """Ours, and below the thesis's rows of the same setting."""
    setting = setting_of(evidence)
    if setting is None:
        return None
    sides = zip(("labelled crops alone, here", "with translated crops, here"), compared_runs(evidence), strict=True)
    ours = [[name, "", *(spread(runs, figure).percent() for figure in SHOWN)] for name, runs in sides]
    head = ["", "table", *(f"{FIGURES[figure]}, %" for figure in SHOWN)]
    return section(
        f"Beside what the thesis on pairs of cameras published: {setting}",
        table(head, [*ours, *published_rows(SETTINGS[setting])], words=2, rule=2),
        soft(WHY_NOT),
    )


def published_rows(tables: Sequence[int]) -> list[list[str]]:
    """Rows of some of its tables: what was trained on, the table, figures in %."""
    facts = pl.read_csv(FACTS, schema_overrides=dict.fromkeys(("real", "generated"), pl.String))
    return [
        [_trained_on(row["real"], row["generated"], row["translator"]), str(row["table"])]
        + [f"{100 * row[figure]:.1f}" for figure in SHOWN]
        for row in facts.filter(pl.col("table").is_in(tables)).iter_rows(named=True)
    ]


def _trained_on(real: str, generated: str | None, translator: str | None) -> str:
    cameras = "all cameras" if real == "all" else "".join(f"c{camera}" for camera in real.split())
    if generated is None:
        return cameras
    return f"{cameras}{''.join(f'+G{camera}' for camera in generated.split())}, {translator}"
