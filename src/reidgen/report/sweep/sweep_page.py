"""The page of a sweep: curves with error bars, tables beside the thesis's, and whether any difference is real."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidgen.config import ReportConfig
from reidgen.engine import RunFolder
from reidgen.engine.runs.run import read_record
from reidgen.files import file_sha256, sha256, write_json, write_text
from reidgen.report.answer import FIGURES, leaks
from reidgen.report.evidence import Evidence
from reidgen.report.html.markup import Markup, details, join, section, soft, table, tag
from reidgen.report.html.sheets import Viewer
from reidgen.report.page import PAGE, cost, document, limits, paragraphs, provenance
from reidgen.report.sections.fidelity import fidelity_section
from reidgen.report.sections.people import discards, generator, sheets, variants
from reidgen.report.sections.ranked import ranked_section
from reidgen.report.sweep import worth
from reidgen.report.sweep.curves import Drawing, drawings, training_drawings
from reidgen.report.sweep.points import Group, Place, SweepView, value_text
from reidgen.report.sweep.published import WHY_NOT, Published
from reidgen.report.sweep.rows import (
    PUBLISHED_HEAD,
    TEST_HEAD,
    aggregated,
    beside_published,
    how_sure,
    latex,
    latex_notes,
    markdown,
    published_rows,
    result_head,
    result_rows,
    test_rows,
)
from reidgen.report.sweep.words import heading, headline, small_print, warnings
from reidgen.sweep.result import POINTS, SweepResult
from reidgen.sweep.run import MORE, WHERE

TESTED = ("mAP", "rank1")
AXIS = "axis_"


def write_sweep_report(
    config: ReportConfig = ReportConfig(), *, sweep: Path | str, runs: Sequence[Path | str] = (), out: Path | str
) -> Path:
    """Write index.html, sweep.md, sweep.tex, sweep.csv, report.json and `figures/` (PNG and SVG) of a sweep.

    Of arms, or generated crops, at several shares of the real people there are worth.md, worth.csv and worth.json too.
    Only run folders are read. A sweep that is not finished gives a page of the points that it has; once it has more,
    the same call makes the page anew.

    Args:
        config: Title, note, limits, and whether real people may be shown.
        sweep: Folder of the sweep.
        runs: Folders of other stages to show: prepare or render, train-generator, generate, filter, fidelity.
        out: Folder for the page.

    Returns:
        The path of index.html.

    Raises:
        RunError: A folder is not of a sweep with a finished run, or not of a finished run of another stage.
    """
    folder = Path(sweep)
    view = SweepView.of(SweepResult.read(folder))
    evidence = _evidence(view, [Path(path) for path in runs])
    inputs = {"sweep": _description(folder, [axis.name for axis in view.result.axes])}
    inputs |= {f"runs {i}, {Path(path).name}": file_sha256(Path(path) / "run.json") for i, path in enumerate(runs)}
    asked = _Asked(**vars(config), points=file_sha256(folder / POINTS))
    with RunFolder.begin(out, stage="report", config=asked, inputs=inputs, reopening=("points",)) as run:
        if not run.done:
            people = worth.measured(view)
            every = [*drawings(view), *training_drawings(view)]
            _write_figures([*every, *worth.drawings(people)], run.path / "figures")
            answer, cautions = headline(view), [*warnings(view), *worth.cautions(people), *leaks(evidence)]
            write_text(run.path / PAGE, render_page(view, evidence, config, every, cautions))
            write_text(run.path / "sweep.md", as_markdown(view, answer, cautions))
            write_text(run.path / "sweep.tex", as_latex(view, cautions))
            write_text(run.path / "sweep.csv", beside_published(view).write_csv())
            write_json(run.path / "report.json", as_json(view, answer, cautions))
            if people:
                write_text(run.path / "worth.md", worth.as_markdown(view))
                write_text(run.path / "worth.csv", worth.frame(people).write_csv())
                write_json(run.path / "worth.json", {"how": worth.HOW, "places": worth.frame(people).to_dicts()})
            run.finish({"answer": answer, "warnings": cautions})
    return run.path / PAGE


@dataclass(frozen=True, kw_only=True)
class _Asked(ReportConfig):
    """What a page was made of, with the hash of the points: while a sweep grows, its page is made anew."""

    points: str


def _description(folder: Path, axes: Sequence[str]) -> str:
    """Hash of what a sweep is and varies, without what may change while it grows."""
    record = read_record(folder)
    assert record is not None, "a sweep was read from it"
    kept = {name: value for name, value in record["config"].items() if name not in (*WHERE, *MORE)}
    return sha256([json.dumps([kept, record["inputs"], axes], sort_keys=True).encode()])


def _write_figures(every: Sequence[Drawing], folder: Path) -> None:
    """All figures, and none that an earlier page of fewer runs has left."""
    for drawing in every:
        drawing.write(folder)
    names = {drawing.name for drawing in every}
    for path in folder.iterdir():
        if path.stem not in names:
            path.unlink()


def render_page(
    view: SweepView, evidence: Evidence, config: ReportConfig, every: Sequence[Drawing], cautions: Sequence[str]
) -> str:
    """The whole page as HTML."""
    viewer = Viewer(config.show_real, evidence.learned_from)
    title = heading(view, config)
    return document(
        title,
        [
            tag("h1", title),
            [tag("p", paragraph, class_="lead") for paragraph in paragraphs(config.note)],
            _answer(view, cautions),
            worth.worth_section(view),
            _results(view, [one for one in every if not one.name.startswith("training-")]),
            _tests(view),
            limits(config),
            sheets(evidence, viewer),
            variants(evidence, viewer),
            _ranked(view, evidence, viewer),
            _trainings(view, [one for one in every if one.name.startswith("training-")]),
            generator(evidence, viewer),
            fidelity_section(evidence.fidelity),
            discards(evidence, viewer),
            _runs(view),
            cost(evidence),
            provenance(evidence),
            tag("footer", f"Written by reidgen {_version(evidence)} from {len(view.result.points)} points of a sweep."),
        ],
    )


def _version(evidence: Evidence) -> str:
    return evidence.runs[0].record["versions"]["reidgen"]


def _answer(view: SweepView, cautions: Sequence[str]) -> Markup:
    return tag(
        "div",
        tag("p", headline(view), class_="lead"),
        soft(small_print(view)),
        [tag("div", tag("p", text), class_="warning") for text in cautions],
        class_="answer",
    )


def _results(view: SweepView, plots: Sequence[Drawing]) -> Markup:
    where = None
    if view.cited:
        whole = details("All rows of the thesis's table (not comparable)", table(PUBLISHED_HEAD, published_rows(view)))
        where = join([soft(f"{_columns(view.cited)} {WHY_NOT}"), whole])
    parts = [
        [
            tag("h3", group.title) if group.label else None,
            table(result_head(view, group), result_rows(view, group), class_="dense"),
        ]
        for group in view.groups
    ]
    bars = (
        "Error bars of mAP and rank-1 are the standard deviation over the seeds, pale dots the single runs; those of "
        "the gain are its 95 % interval. A place with a single run has none."
    )
    return section(
        "What was found",
        tag("div", *(drawing.markup() for drawing in plots), class_="plots"),
        soft(bars),
        parts,
        where,
    )


def _tests(view: SweepView) -> Markup | None:
    if not view.compared_all("mAP"):
        return None
    parts = [join([tag("h3", FIGURES[f]), table(TEST_HEAD, test_rows(view, f), class_="dense tests")]) for f in TESTED]
    return section(
        "Is any difference real?",
        tag("p", f"Each against {view.name(view.reference_value)}. {how_sure(view)}"),
        *parts,
    )


def _trainings(view: SweepView, plots: Sequence[Drawing]) -> Markup | None:
    if not plots:
        return None
    told = (
        "Mean over the seeds, with the range between them, where records of all of them reach; between two records of "
        "a training the line is straight. Rank-1 error is the share of crops that the classifier takes for another "
        "person: of training crops as they were augmented, and of one held-out crop of each person."
    )
    shown = tag("div", *(plot.markup() for plot in plots), class_="plots")
    return section("How the networks learned", soft(told), shown)


def _ranked(view: SweepView, evidence: Evidence, viewer: Viewer) -> Markup | None:
    if not view.about_generated or not evidence.extended:
        return None
    before, after = evidence.baseline[0], evidence.extended[0]
    seeds = dict.fromkeys(str(run.seed) for run in (before, after))
    lists = ranked_section(before.ranked, after.ranked, viewer, seed=" and ".join(seeds))
    last = _sides(view)[1]
    if lists is None or last is None:
        return lists
    return join([lists, soft(f"Extended: {view.name(last.value)}.")])


def _runs(view: SweepView) -> Markup:
    columns = [f"{AXIS}{axis.name}" for axis in view.result.axes]
    shown = view.result.points.select(*columns, "seed", "status", "steps", "mAP", "rank1", "wall_sec", "error")
    head = [*(column.removeprefix(AXIS) for column in columns), "seed", "status", "steps", "mAP, %", "rank-1, %"]
    rows = [[_cell(name, value) for name, value in row.items()] for row in shown.iter_rows(named=True)]
    found = table([*head, "seconds", "error"], rows, words=len(columns), class_="dense runs")
    return section("Every run", details(f"{len(rows)} points, one a seed", found))


def _cell(column: str, value: Any) -> str:
    """Values of axes as they are typed, scores as percentages."""
    if value is None:
        return ""
    if column.startswith(AXIS):
        return value_text(column.removeprefix(AXIS), value)
    if column in TESTED:
        return f"{100 * value:.2f}"
    return f"{value:.1f}" if isinstance(value, float) else str(value).splitlines()[0]


def _sides(view: SweepView) -> tuple[Place | None, Place | None]:
    """The reference and the last place of the leading group."""
    group: Group = view.leading
    return group.reference, group.others[-1] if group.others else None


def _evidence(view: SweepView, runs: Sequence[Path]) -> Evidence:
    """The two ends of the sweep with their trainings, and the other runs."""
    before, after = _sides(view)
    shown = [place for place in (before, after) if place is not None]
    trainings = [path for place in shown for path in place.trainings()]
    sides = ([] if place is None else place.results() for place in (before or after, after if before else None))
    baseline, extended = sides
    return Evidence.read(baseline, extended, [*runs, *trainings])


def as_markdown(view: SweepView, answer: str, cautions: Sequence[str]) -> str:
    """All tables in Markdown."""
    parts = [answer, ""]
    for group in view.groups:
        parts += [f"## {group.title}" if group.label else "## Results", ""]
        parts += [markdown([result_head(view, group), *result_rows(view, group)]), ""]
    for figure in TESTED:
        if view.compared_all(figure):
            head = [f"{FIGURES[figure]}: {view.name(view.reference_value)} against", *TEST_HEAD[1:]]
            parts += [f"## Is any difference in {FIGURES[figure]} real?", ""]
            parts += [markdown([head, *test_rows(view, figure)]), ""]
    if view.cited:
        parts += ["## All rows of the thesis's table", "", markdown([PUBLISHED_HEAD, *published_rows(view)]), ""]
    return "\n".join([*parts, *(f"- {note}" for note in _notes(view, cautions)), ""])


def _columns(cited: Published) -> str:
    return f"Columns “thesis”: {cited[0]}; its mAP is by trapezoid, and stands beside ours by trapezoid."


def _notes(view: SweepView, cautions: Sequence[str]) -> list[str]:
    """What the tables have to be read with."""
    notes = [small_print(view), how_sure(view)]
    notes += [f"{_columns(view.cited)} {WHY_NOT}"] if view.cited else []
    notes += [f"Warning: {text}" for text in cautions]
    return [*notes, *(f"Protocol: {text}" for text in _protocols(view))]


def as_latex(view: SweepView, cautions: Sequence[str]) -> str:
    """All tables in LaTeX, the thesis's among them, and what they have to be read with."""
    parts = []
    for group in view.groups:
        what = f"{group.title}. " if group.label else ""
        source = f" {_columns(cited)}" if (cited := view.published(group)) else ""
        caption = f"{what}{_over_seeds(group)}{source}"
        parts.append(latex([result_head(view, group), *result_rows(view, group)], caption=caption))
    for figure in TESTED:
        if view.compared_all(figure):
            caption = f"Differences in {FIGURES[figure]} from {view.name(view.reference_value)}. {how_sure(view)}"
            parts.append(latex([TEST_HEAD, *test_rows(view, figure)], caption=caption))
    if view.cited:
        caption = f"{view.cited[0]}. {WHY_NOT}"
        parts.append(latex([PUBLISHED_HEAD, *published_rows(view)], caption=caption))
    return "\n".join([*parts, latex_notes(_notes(view, cautions))])


def _over_seeds(group: Group) -> str:
    """Over how many seeds the means of a table are, as far as these have finished."""
    counts = sorted({len(place.rows) for place in group.places})
    if counts == [1]:
        return "Single runs."
    every = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Mean and standard deviation over the {every} seeds that have finished."


def _protocols(view: SweepView) -> list[str]:
    found = view.result.points["protocol"].drop_nulls().unique().sort().to_list()
    return [str(protocol) for protocol in found]


def as_json(view: SweepView, answer: str, cautions: Sequence[str]) -> dict[str, Any]:
    """The figures as JSON types."""
    return {
        "schema_version": 1,
        "answer": answer,
        "warnings": list(cautions),
        "compared": view.compared.name,
        "places": aggregated(view).to_dicts(),
        "points": view.result.points.to_dicts(),
        "protocols": _protocols(view),
    }
