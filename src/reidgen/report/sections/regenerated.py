"""The part of the page that shows real people again: original, inversion, variants, and the rejects of each mix."""

from typing import Any

import polars as pl

from reidgen.data.table import ReidTable
from reidgen.report.evidence import Evidence
from reidgen.report.html.markup import Markup, note, section, soft, table, tag
from reidgen.report.html.sheets import Viewer, crop

PEOPLE, CROPS = 4, 9
FIRST = "reconstruction"  # the mix of a crop that is made of its own w+ alone


def is_regenerated(generated: ReidTable | None) -> bool:
    """Whether generated crops are of real people: such tables say whose crop each was made of."""
    return generated is not None and "parent_origin" in generated.rows.columns


def regenerated(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """Original | inversion | variants (Alvarez-Gonzalez, thesis, figure 5.15), and the rejects of each mix."""
    generated = evidence.generated
    if generated is None or not len(generated):
        return None
    originals = {} if evidence.people is None else _by_name(evidence.people)
    parents = generated.rows.unique("pid", keep="first", maintain_order=True)["parent"]
    places = sorted({round(i * (len(parents) - 1) / max(1, PEOPLE - 1)) for i in range(PEOPLE)})
    rows = [_row(generated, originals.get(parents[place]), parents[place], viewer) for place in places]
    shown = set(generated.rows["parent_origin"].fill_null("unknown")) | {"generated"}
    why_not = viewer.why_not(shown)
    return section(
        "Real people, re-generated",
        soft(_told(generated, originals)),
        note(why_not),
        *rows,
        _by_mix(generated),
    )


def _by_name(people: ReidTable) -> dict[str, dict[str, Any]]:
    return {row["file_name"]: row for row in people.rows.iter_rows(named=True)}


def _row(generated: ReidTable, original: dict[str, Any] | None, parent: str, viewer: Viewer) -> Markup:
    """One real crop and what was made of it."""
    made = generated.rows.filter(pl.col("parent") == parent).head(CROPS).iter_rows(named=True)
    first = None if original is None else crop(original, viewer, caption="original")
    return tag(
        "div",
        first,
        tag("div", *(crop(row, viewer, caption=_caption(row)) for row in made), class_="crops"),
        class_="row",
    )


def _caption(row: dict[str, Any]) -> str:
    name = "inversion" if row["mix"] == FIRST else row["mix"]
    if row.get("rejected_by"):
        return f"{name}, rejected"
    return f"{name}, not the label" if row.get("identity") == "new" else name


def _told(generated: ReidTable, originals: dict[str, Any]) -> str:
    before = "Left, a crop as a camera took it; then" if originals else "First in each row,"
    judged = "score_identity" in generated.rows.columns
    return (
        f"{before} what the generator makes of the w+ that was found for it, its inversion: what that has lost, all "
        "variants have lost. The others have the styles of somebody else in a group of layers, or lie between two "
        "crops of the person. Whether they still show the person "
        + (
            "was judged by a re-ID network that had not learned from them (the identity filter); what filters reject "
            "is marked and in no training."
            if judged
            else "nobody has judged: the identity filter has not run."
        )
        + " Crops marked “not the label” count as other people, whatever the filter says."
    )


def _by_mix(generated: ReidTable) -> Markup:
    """Crops of each mix, whether they may keep the label, and how many the filters reject."""
    rows = generated.rows
    verdicts = rows["rejected_by"] if "rejected_by" in rows.columns else pl.Series([None] * len(rows), dtype=pl.String)
    counted = (
        rows.select("mix", pl.col("identity") == "keep")
        .with_columns(any=verdicts.is_not_null(), person=verdicts.fill_null("").str.contains(r"(^|,)identity"))
        .group_by("mix", maintain_order=True)
        .agg(pl.len().alias("crops"), pl.all().exclude("mix").mean())
    )
    judged = "score_identity" in rows.columns
    lines = [
        [
            "inversion" if row["mix"] == FIRST else row["mix"],
            f"{row['crops']:,}",
            "keeps it" if row["identity"] else "does not",
            f"{100 * row['person']:.1f}" if judged else "not judged",
            f"{100 * row['any']:.1f}",
        ]
        for row in counted.iter_rows(named=True)
    ]
    return table(["mix", "crops", "the label", "rejected as somebody else, %", "rejected by any filter, %"], lines)
