"""The part of the page about translators: their losses, and people as they were, as they became, as they should be."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from reidgen.data.schema import together
from reidgen.data.table import ReidTable
from reidgen.fidelity.result import Fidelity
from reidgen.report.evidence import Evidence
from reidgen.report.folders import TRANSLATED, TRANSLATOR, Run
from reidgen.report.html.figures import Line, chart, legend
from reidgen.report.html.markup import Markup, join, note, section, soft, table, tag
from reidgen.report.html.sheets import Viewer, crop

PEOPLE, MADE, TARGETS = 4, 6, 3
ALWAYS = ("step", "lr", "loss_g", "loss_d", "d_real", "d_fake", "sec")


def translators(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """Losses, distances from the target cameras, and crops beside what became of them (Kolbeinsson 2019, figure 17)."""
    trained, made = ([run for run in evidence.runs if run.kind == kind] for kind in (TRANSLATOR, TRANSLATED))
    if not trained and not made:
        return None
    tables = [ReidTable.read(run.path) for run in made]
    origins = {origin for one in tables for name in ("parent_origin", "origin") for origin in one.rows[name]}
    return section(
        "People in another camera's style",
        *(_training(run, number) for number, run in enumerate(trained)),
        *map(_made, made),
        _distances(evidence.fidelity),
        note(viewer.why_not(origins)),
        _beside(made, tables, evidence.people, viewer) if made else None,
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


def _made(run: Run) -> Markup:
    facts = run.record["summary"]
    ways = ", ".join(f"{way} ({count:,})" for way, count in facts["by_way"].items())
    title = tag("h3", f"{run.path.name}: {' and '.join(facts['presets'])}")
    return tag("div", title, soft(f"{facts['crops']:,} crops: {ways}."))


def _distances(results: Sequence[Fidelity]) -> Markup | None:
    """How near made crops are to real ones of their target camera, which is measured camera by camera."""
    rows = [
        [
            str(result.config["camera"]),
            point["name"],
            f"{result.measure} {point[result.key]:.2f}",
            f"{point['same_number'][result.key]:.2f}",
            f"{result.floor[result.key]:.2f}",
            f"{point['real']:,} / {point['fake']:,}",
        ]
        for result in results
        if result.config.get("camera") is not None
        for point in result.points
    ]
    head = ["target camera", "translated crops", "distance", "as the floor", "floor", "real / translated crops"]
    return join([tag("h3", "Distance from each target camera"), table(head, rows, words=2)]) if rows else None


def _beside(runs: Sequence[Run], tables: Sequence[ReidTable], people: ReidTable | None, viewer: Viewer) -> Markup:
    """A few crops, evenly spread: the original | what each run made of it | the target as it is."""
    known = {} if people is None else {row["file_name"]: row for row in people.rows.iter_rows(named=True)}
    rows = together(made.rows.with_columns(run=pl.lit(run.path.name)) for run, made in zip(runs, tables, strict=True))
    counts = rows.group_by("parent", maintain_order=True).agg(pl.n_unique("run"))
    parents = counts.filter(pl.col("run") == pl.col("run").max())["parent"]
    places = sorted({round(i * (len(parents) - 1) / max(1, PEOPLE - 1)) for i in range(PEOPLE)}) if len(parents) else []
    told = "Left, a crop as its camera took it; then" if known else "In each row,"
    end = "; right, crops of the target camera, of the same person where there is one" if known else ""
    by_run = " by each run" if len(runs) > 1 else ""
    return tag(
        "div",
        soft(f"{told} as it was translated{by_run}{end}."),
        *(_row(rows.filter(pl.col("parent") == parents[place]), len(runs), known, people, viewer) for place in places),
    )


def _row(
    rows: pl.DataFrame, runs: int, known: dict[str, dict[str, Any]], people: ReidTable | None, viewer: Viewer
) -> Markup:
    made = list(rows.group_by("run", maintain_order=True).head(max(1, MADE // runs)).iter_rows(named=True))
    original = known.get(made[0]["parent"])
    names = [f"{row['run']}: " if runs > 1 else "" for row in made]
    boxes = [
        crop(row, viewer, caption=f"{name}as camera {row['target_camid']}")
        for name, row in zip(names, made, strict=True)
    ]
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
