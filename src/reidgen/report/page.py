"""The page: one HTML file that needs nothing else, made of what run folders say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reidgen.config import ReportConfig
from reidgen.engine import RunFolder
from reidgen.files import file_sha256, write_json, write_text
from reidgen.report import tables
from reidgen.report.answer import compare, compared_runs, headline, small_print, spread, warnings
from reidgen.report.evidence import Evidence
from reidgen.report.folders import Run
from reidgen.report.html.markup import Markup, details, join, prose, section, soft, table, tag
from reidgen.report.html.sheets import Viewer
from reidgen.report.sections.clusters import clusters
from reidgen.report.sections.conversion import conversion
from reidgen.report.sections.encoder import encoder
from reidgen.report.sections.fidelity import fidelity_section
from reidgen.report.sections.people import curves, discards, generator, sheets, variants
from reidgen.report.sections.published_cameras import published_cameras
from reidgen.report.sections.ranked import ranked_section
from reidgen.report.sections.translators import translators

PAGE = "index.html"
STYLE = Path(__file__).with_name("style.css")


def write_report(
    config: ReportConfig = ReportConfig(),
    *,
    baseline: Sequence[Path | str] = (),
    extended: Sequence[Path | str] = (),
    runs: Sequence[Path | str] = (),
    out: Path | str,
) -> Path:
    """Write index.html, report.json and table.md: did generated people help, how sure is that, and what was it made of.

    Only run folders are read. The page holds no script, loads nothing, and can be sent as one file.

    Args:
        config: Title, note, limits, and whether real people may be shown.
        baseline: Evaluation folders of runs without generated people, one a seed; none makes a page of
            the other runs alone.
        extended: Evaluation folders of runs with generated people, one a seed; none makes a page of the
            baseline alone.
        runs: Folders of other stages to show, in any order: prepare or render, convert, train-generator, generate,
            filter, extend; any number of fidelity, translators, translated crops and trainings without labels; and the
            trainings of the evaluations, which are found by the hash of their weights.
        out: Folder for the page.

    Returns:
        The path of index.html.

    Raises:
        RunError: A folder is not of a finished run, or of another stage than it should be.
        ConfigError: There is neither a baseline nor a run that makes a page alone, or a seed or a kind of folder is
            there twice.
    """
    folders = [[Path(path) for path in group] for group in (baseline, extended, runs)]
    evidence = Evidence.read(*folders)
    inputs = {
        f"{name} {i}, {path.name}": file_sha256(path / "run.json")
        for name, group in zip(("baseline", "extended", "runs"), folders, strict=True)
        for i, path in enumerate(group)
    }
    with RunFolder.begin(out, stage="report", config=config, inputs=inputs) as run:
        if not run.done:
            answer, cautions = headline(evidence), list(warnings(evidence))
            write_text(run.path / PAGE, render_page(evidence, config))
            write_json(run.path / "report.json", tables.as_json(evidence, answer, cautions))
            write_text(run.path / "table.md", tables.markdown(evidence, answer, cautions))
            run.finish({"answer": answer, "warnings": cautions})
    return run.path / PAGE


def render_page(evidence: Evidence, config: ReportConfig) -> str:
    """The whole page as HTML."""
    viewer = Viewer(config.show_real, evidence.learned_from)
    return document(
        config.title,
        [
            tag("h1", config.title),
            [tag("p", paragraph, class_="lead") for paragraph in paragraphs(config.note)],
            _answer(evidence),
            _results(evidence) if evidence.baseline else None,
            published_cameras(evidence),
            limits(config),
            sheets(evidence, viewer),
            variants(evidence, viewer),
            _ranked(evidence, viewer) if evidence.baseline else None,
            curves(evidence),
            conversion(evidence),
            generator(evidence, viewer),
            encoder(evidence),
            translators(evidence, viewer),
            clusters(evidence),
            fidelity_section(evidence.fidelity),
            discards(evidence, viewer),
            cost(evidence),
            provenance(evidence),
            _footer(evidence),
        ],
    )


def document(title: str, body: Sequence[Any]) -> str:
    """An HTML file that needs no other one."""
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", title),
            tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
        ]
    )
    inner = join(body)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{inner}\n</body>\n</html>\n'


def paragraphs(text: str) -> list[str]:
    """The parts of a text between empty lines."""
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _answer(evidence: Evidence) -> Markup:
    shown = (("mAP", "mAP"), ("Rank-1", "rank1")) if evidence.baseline else ()
    cards = [_card(name, evidence, figure) for name, figure in shown]
    return tag(
        "div",
        tag("p", headline(evidence), class_="lead"),
        soft(small_print(evidence)),
        tag("div", *cards, class_="cards") if cards else None,
        [tag("div", tag("p", text), class_="warning") for text in warnings(evidence)],
        class_="answer",
    )


def _card(name: str, evidence: Evidence, figure: str) -> Markup:
    sides = compared_runs(evidence)
    before = tag("span", spread(sides[0], figure).percent(1), class_="base")
    if not evidence.extended:
        return tag("div", tag("div", f"{name}, %", class_="name"), tag("div", before, class_="value"), class_="card")
    after = tag("span", spread(sides[1], figure).percent(1), class_="more")
    told = compare(evidence, figure)
    interval = f", 95 % interval {told.interval(1)}" if told.interval() else ", a single run on a side"
    names = tag("span", "baseline", class_="base"), " → ", tag("span", "extended", class_="more")
    return tag(
        "div",
        tag("div", f"{name}, %: ", *names, class_="name"),
        tag("div", before, tag("small", " → "), after, class_="value"),
        tag("div", f"{told.points(1)} points{interval}", class_="soft"),
        class_="card",
    )


def _results(evidence: Evidence) -> Markup:
    return section("Baseline against extended", tables.results(evidence))


def _ranked(evidence: Evidence, viewer: Viewer) -> Markup | None:
    before, after = next(
        ((b, a) for b in evidence.baseline for a in evidence.extended if a.seed == b.seed),
        (evidence.baseline[0], next(iter(evidence.extended), None)),
    )
    seeds = dict.fromkeys(str(run.seed) for run in (before, after) if run is not None)
    return ranked_section(before.ranked, after.ranked if after else (), viewer, seed=" and ".join(seeds))


def limits(config: ReportConfig) -> Markup | None:
    """The caveats that the config has."""
    if not config.limits:
        return None
    return section(
        "What this run can and cannot show",
        *(tag("p", prose(paragraph)) for paragraph in paragraphs(config.limits)),
    )


def cost(evidence: Evidence) -> Markup:
    """Time and memory of each run."""
    rows = [
        [
            run.path.name,
            run.record["stage"],
            _duration(spent["wall_sec"]),
            f"{spent['peak_memory_gib']:.2f}",
            spent["starts"],
        ]
        for run in evidence.runs
        for spent in [run.record["cost"]]
    ]
    total = sum(run.record["cost"]["wall_sec"] for run in evidence.runs)
    peak = max(run.record["cost"]["peak_memory_gib"] for run in evidence.runs)
    rows.append(["all", "", _duration(total), f"{peak:.2f}", ""])
    head = ["run", "stage", "time", "peak memory of the process until then, GiB", "starts"]
    machines = sorted({run.record["machine"] for run in evidence.runs})
    return section(
        "What it cost",
        table(head, rows, words=2),
        soft(f"Machine: {', '.join(machines)}. {_versions(evidence.runs)}"),
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _versions(runs: Sequence[Run]) -> str:
    known: dict[str, set[str]] = {}
    for run in runs:
        for package, version in run.record["versions"].items():
            known.setdefault(package, set()).add(version)
    return ", ".join(f"{package} {' and '.join(sorted(versions))}" for package, versions in known.items()) + "."


def provenance(evidence: Evidence) -> Markup:
    """Protocols, and the commands and inputs of each run."""
    rows = [
        [run.path.name, run.record["config"].get("seed", ""), tag("code", run.record["command"]), _hashes(run)]
        for run in evidence.runs
    ]
    learned, splits = (" and ".join(sorted(seen)) for seen in (evidence.learned_from, evidence.generator_splits))
    facts = [f"The generator has seen crops of origin {learned}, of the split {splits}."] if learned else []
    by_run = table(["run", "seed", "command", "inputs"], rows, words=4, class_="facts")
    return section(
        "Protocol and provenance",
        tag("ul", [tag("li", text) for text in (*evidence.protocols, *facts)]),
        details("Command, seed and inputs of each run", by_run),
    )


def _hashes(run: Run) -> Markup:
    pairs = [(name, str(value)) for name, value in run.record["inputs"].items() if value is not None]
    return join(tag("div", f"{name} ", tag("code", _short(value))) for name, value in pairs)


def _short(value: str) -> str:
    """The first twelve digits of a hash; other text as it is."""
    return value[:12] if len(value) == 64 and not set(value) - set("0123456789abcdef") else value


def _footer(evidence: Evidence) -> Markup:
    version = evidence.runs[0].record["versions"]["reidgen"]
    return tag("footer", f"Written by reidgen {version} from {len(evidence.runs)} run folders.")
