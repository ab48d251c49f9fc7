"""The tables of the page, each as rows that HTML, Markdown and JSON are made of."""

from collections.abc import Sequence
from typing import Any

from reidgen.report.answer import FIGURES, compare, compared_runs, spread
from reidgen.report.evidence import Evidence
from reidgen.report.html.markup import Markup, details, join, table, tag
from reidgen.report.sections import fidelity

# Alvarez-Gonzalez, thesis, table 5.10: rank-1, rank-5, rank-10, mAP on Market-1501.
PUBLISHED = (
    ("baseline, no generated people", 0, 0, 89.31, 96.50, 97.77, 74.26),
    ("280 generated people (best rank-1)", 280, 11244, 90.35, 96.67, 98.22, 76.80),
    ("320 generated people (best mAP)", 320, 14371, 89.67, 96.59, 97.86, 76.95),
)
FACTS = {
    "steps": "optimisation steps",
    "images": "train crops",
    "people": "people trained on",
    "generated_images": "generated crops among them",
    "generated_people": "generated people among them",
}


def head(evidence: Evidence) -> list[str]:
    """Titles of the columns of `result_rows`."""
    return ["", "baseline", *(["extended", "difference, points", "95 % interval"] if evidence.extended else [])]


def result_rows(evidence: Evidence) -> list[list[str]]:
    """One row a figure: baseline, extended, the difference of the means and its 95 % interval."""
    return [_figure_row(evidence, figure) for figure in FIGURES]


def _figure_row(evidence: Evidence, figure: str) -> list[str]:
    before, after = compared_runs(evidence)
    row = [f"{FIGURES[figure]}, %", spread(before, figure).percent()]
    if evidence.extended:
        told = compare(evidence, figure)
        row += [spread(after, figure).percent(), told.points(), told.interval() or "single run"]
    return row


def fact_rows(evidence: Evidence) -> list[list[str]]:
    """What each group was trained on, under the same columns."""
    groups = [runs for runs in (evidence.baseline, evidence.extended) if runs]
    blank = ["", ""] if evidence.extended else []
    rows = [["runs (seeds)", *(str(len(runs)) for runs in groups), *blank]]
    rows += [
        [text, *(_range([run.facts[key] for run in runs]) for runs in groups), *blank] for key, text in FACTS.items()
    ]
    return rows


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def run_rows(evidence: Evidence) -> list[list[str]]:
    """One row a run."""
    return [
        [f"{group}, seed {run.seed}", f"{run.facts['steps']:,}", *(f"{100 * run.figures[f]:.2f}" for f in FIGURES)]
        for group, runs in (("baseline", evidence.baseline), ("extended", evidence.extended))
        for run in runs
    ]


def results(evidence: Evidence) -> Markup:
    """The comparison, then single runs and published figures folded away."""
    single = table(["run", "steps", *(f"{name}, %" for name in FIGURES.values())], run_rows(evidence))
    both = table(head(evidence), [*result_rows(evidence), *fact_rows(evidence)], rule=len(FIGURES))
    return join([both, details("Each run", single), _published()])


def _published() -> Markup:
    rows = [[name, f"{crops:,}", *(f"{value:.2f}" for value in values)] for name, _, crops, *values in PUBLISHED]
    columns = ["Market-1501, ResNet-50", "generated crops", "rank-1, %", "rank-5, %", "rank-10, %", "mAP, trapezoid, %"]
    return details(
        "What Alvarez-Gonzalez published (not comparable)",
        tag(
            "p",
            "Alvarez-Gonzalez, thesis, table 5.10; the same figures are in Alvarez-Gonzalez et al., ",
            tag("i", "GANs for data augmentation in person re-identification"),
            ", table 2. Not comparable with the table above: another dataset; a single run in each row, without a "
            "spread; 60 epochs each, so that more crops are also more optimisation steps; and a generator that was "
            "trained on all of Market-1501, test people included.",
        ),
        table(columns, rows),
    )


def markdown(evidence: Evidence, answer: str, warnings: Sequence[str]) -> str:
    """The comparison, and the fidelity of generated crops, for a README or a paper's notes."""
    parts = [[head(evidence), *result_rows(evidence), *fact_rows(evidence)]] if evidence.baseline else []
    parts += [
        [fidelity.head(group[0]), *fidelity.rows(group[0], fidelity.points(group))]
        for group in fidelity.by_protocol(evidence.fidelity)
    ]
    protocols = dict.fromkeys([*evidence.protocols, *(result.protocol for result in evidence.fidelity)])
    notes = [f"- Warning: {text}" for text in warnings] + [f"- Protocol: {text}" for text in protocols]
    return "\n".join([answer, "", *(line for rows in parts for line in [*_lines(rows), ""]), *notes, ""])


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], f"|---|{'---:|' * (len(rows[0]) - 1)}", *lines[1:]]


def as_json(evidence: Evidence, answer: str, warnings: Sequence[str]) -> dict[str, Any]:
    """The comparison as JSON types."""
    groups = {"baseline": evidence.baseline, "extended": evidence.extended}
    differences = {figure: compare(evidence, figure) for figure in FIGURES} if evidence.extended else {}
    return {
        "schema_version": 1,
        "answer": answer,
        "warnings": list(warnings),
        "fidelity": fidelity.as_json(evidence.fidelity),
        "protocols": evidence.protocols,
        "runs": {
            group: [{"run": run.name, "seed": run.seed, "facts": run.facts, **run.figures} for run in runs]
            for group, runs in groups.items()
        },
        "means": {
            group: {f: {"mean": spread(runs, f).mean, "sd": spread(runs, f).sd} for f in FIGURES}
            for group, runs in groups.items()
            if runs
        },
        "differences": {
            figure: {
                "mean": d.mean,
                "low": d.low,
                "high": d.high,
                "test": d.test,
                "pairs": d.pairs,
                "verdict": d.verdict,
            }
            for figure, d in differences.items()
        },
    }
