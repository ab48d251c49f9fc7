"""The part of the page about translators: their losses, and people as they were, as they became, as they should be."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from reidgen.data.table import ReidTable
from reidgen.report.evidence import Evidence
from reidgen.report.folders import TRANSLATED, TRANSLATOR, Run
from reidgen.report.html.figures import Line, chart, legend
from reidgen.report.html.markup import Markup, note, section, soft, tag
from reidgen.report.html.sheets import Viewer, crop

PEOPLE, MADE, TARGETS = 4, 6, 3
ALWAYS = ("step", "lr", "loss_g", "loss_d", "d_real", "d_fake", "sec")


def translators(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """Each translator's losses, and each table of translated crops beside what it was made of (seed 004, figure 17)."""
    trained, made = ([run for run in evidence.runs if run.kind == kind] for kind in (TRANSLATOR, TRANSLATED))
    if not trained and not made:
        return None
    tables = [ReidTable.read(run.path) for run in made]
    origins = {origin for table in tables for name in ("parent_origin", "origin") for origin in table.rows[name]}
    return section(
        "People in another camera's style",
        *(_training(run, number) for number, run in enumerate(trained)),
        note(viewer.why_not(origins)),
        *(_translated(run, table, evidence.people, viewer) for run, table in zip(made, tables, strict=True)),
    )


def _training(run: Run, number: int) -> Markup:
    config, facts, records = run.record["config"], run.record["summary"], run.metrics
    way = "all cameras" if config["source"] is None else f"camera {config['source']} to {config['target']}"
    learned = f"{facts['steps']:,} steps of {config['batch']}: {facts['images']:,} crops, {facts['people']:,} people"
    title = tag("h3", f"{config['preset']}, {way}")
    if not records:
        return tag("div", title, soft(f"{facts['images']:,} crops; nothing is learned."))
    shown = [name for name in records[-1] if name not in ALWAYS and any(record[name] for record in records)]
    steps = [record["step"] for record in records]
    both = [
        Line(steps, [record["loss_g"] for record in records]),
        Line(steps, [record["loss_d"] for record in records], "more", dashed=True),
    ]
    drawn = [chart("Both sides", both, xlabel="step", name=f"translator{number}-sides")]
    for name in shown:
        line = Line(steps, [record[name] for record in records])
        drawn.append(chart(name.replace("_", " "), [line], xlabel="step", name=f"translator{number}-{name}"))
    sides = legend([("generator", "base", False), ("discriminator", "more", True)])
    return tag("div", title, soft(f"{learned}, split {facts['split']}."), sides, tag("div", *drawn, class_="plots"))


def _translated(run: Run, table: ReidTable, people: ReidTable | None, viewer: Viewer) -> Markup:
    """A few crops, evenly spread over the table: original | what was made of it | the target as it is."""
    facts = run.record["summary"]
    known = {} if people is None else {row["file_name"]: row for row in people.rows.iter_rows(named=True)}
    parents = table.rows["parent"].unique(maintain_order=True)
    places = sorted({round(i * (len(parents) - 1) / max(1, PEOPLE - 1)) for i in range(PEOPLE)}) if len(parents) else []
    ways = ", ".join(f"{way} ({count:,})" for way, count in facts["by_way"].items())
    told = "Left, a crop as its camera took it; then" if known else "In each row,"
    end = "; right, crops of the target camera, of the same person where there is one" if known else ""
    return tag(
        "div",
        tag("h3", f"{run.path.name}: {' and '.join(facts['presets'])}"),
        soft(f"{facts['crops']:,} crops: {ways}. {told} as it was translated{end}."),
        *(_row(table, parents[place], known, people, viewer) for place in places),
    )


def _row(
    table: ReidTable, parent: str, known: dict[str, dict[str, Any]], people: ReidTable | None, viewer: Viewer
) -> Markup:
    made = list(table.rows.filter(pl.col("parent") == parent).head(MADE).iter_rows(named=True))
    original = known.get(parent)
    boxes = [crop(row, viewer, caption=f"as camera {row['target_camid']}") for row in made]
    real = [crop(row, viewer, caption="target") for row in _targets(people, made[0])]
    return tag(
        "div",
        None if original is None else crop(original, viewer, caption=f"camera {original['camid']}"),
        tag("div", *boxes, *real, class_="crops"),
        class_="row",
    )


def _targets(people: ReidTable | None, made: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Crops that the target camera took, those of the person first."""
    if people is None:
        return []
    there = people.rows.filter((pl.col("camid") == made["target_camid"]) & (pl.col("origin") != "generated"))
    return list(there.sort(pl.col("pid") != made["pid"], maintain_order=True).head(TARGETS).iter_rows(named=True))
