"""The tables of a sweep (thesis, tables 5.10 and 5.11) as rows that HTML, Markdown, LaTeX, CSV and JSON are made of."""

from collections.abc import Sequence

import polars as pl

from reidgen.report.answer import FIGURES
from reidgen.report.published import published
from reidgen.report.significance import LEVEL, seeds_needed, smallest_p
from reidgen.report.sweep_points import NAMES, Compared, Group, Place, SweepView, value_text

Rows = list[list[str]]


def result_head(view: SweepView) -> list[str]:
    """Titles of the columns of `result_rows`."""
    thesis = ["thesis: mAP", "thesis: rank-1"] if published(view.compared.name) else []
    first = NAMES.get(view.compared.name, view.compared.name)
    names = [f"{name}, %" for name in FIGURES.values()]
    return [first, *names[:2], *thesis, *names[2:], "generated crops", "steps", "seeds"]


def result_rows(view: SweepView, group: Group) -> Rows:
    """One row a place; where the sources have the same value, their figures beside ours."""
    return [_result_row(view, place) for place in group.places]


def _result_row(view: SweepView, place: Place) -> list[str]:
    cited = published(view.compared.name)
    known = cited[1].get(place.value) if cited else None
    figures = [place.spread(figure).percent() for figure in FIGURES]
    thesis = ["-"] * 2 if known is None else [f"{100 * known[figure]:.2f}" for figure in ("mAP", "rank1")]
    counts = [_range(place.fact("generated_images")), _range(place.fact("steps")), str(len(place.rows))]
    return [
        value_text(view.compared.name, place.value),
        *figures[:2],
        *(thesis if cited else []),
        *figures[2:],
        *counts,
    ]


PUBLISHED_HEAD = ["", "generated crops", "rank-1, %", "rank-5, %", "rank-10, %", "mAP, %"]


def published_rows(view: SweepView) -> Rows:
    """All rows of the sources' table; none for an axis that they did not vary."""
    cited = published(view.compared.name)
    if cited is None:
        return []
    return [
        [
            f"{value:,}",
            "-" if row["generated_images"] is None else f"{row['generated_images']:,}",
            *(f"{100 * row[figure]:.2f}" for figure in ("rank1", "rank5", "rank10", "mAP")),
        ]
        for value, row in cited[1].items()
    ]


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if values[0] == values[-1] else f"{values[0]:,} to {values[-1]:,}"


TEST_HEAD = ["", "difference, points", "95 % interval", "p, t", "p, t, Holm", "p, sign flips", "seeds", "verdict"]


def test_rows(view: SweepView, figure: str) -> Rows:
    """One row a comparison with the reference of its group."""
    rows = []
    for group, place, told, corrected in view.compared_all(figure):
        name = f"{view.name(place.value)}{f'; {group.label}' if group.label else ''}"
        interval = told.told.interval() or "single run"
        ps = [_p(told.t), _p(corrected), _p(told.flip)]
        rows.append([name, told.told.points(), interval, *ps, str(told.seeds), verdict(told, corrected)])
    return rows


def verdict(told: Compared, corrected: float | None) -> str:
    """In one or two words: better, worse, or what cannot be said."""
    if told.told.verdict == "single":
        return "a single run"
    if told.told.verdict == "noise":
        return "may be chance"
    word = "better" if told.told.verdict == "up" else "worse"
    return word if corrected is not None and corrected < LEVEL else f"{word}, if it were the only one"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def how_sure(view: SweepView) -> str:
    """What these seeds can say, in plain words."""
    seeds = max(len(place.rows) for group in view.groups for place in group.places)
    count = len(view.compared_all("mAP"))
    many = (
        f" With {count} comparisons some small p come by luck; “Holm” corrects for their number." if count > 1 else ""
    )
    return (
        "Runs of equal seed are compared pair by pair. “t” is Student's paired test: it takes the differences for "
        "normally distributed, which a handful of seeds can neither show nor deny. “Sign flips” is the exact "
        f"permutation test, which takes nothing for granted: with {seeds} seed{'s' if seeds != 1 else ''} its p cannot "
        f"be below {smallest_p(seeds):.3g}; to come below {LEVEL:g} it needs {seeds_needed()}.{many}"
    )


def aggregated(view: SweepView) -> pl.DataFrame:
    """Every place with mean and sample deviation of each figure, its difference and p values: one row a place."""
    tests = {(id(group), id(place)): (told, corrected) for group, place, told, corrected in view.compared_all("mAP")}
    rows = []
    for group in view.groups:
        for place in group.places:
            told, corrected = tests.get((id(group), id(place)), (None, None))
            axes = {**group.values, view.compared.name: place.value}
            spreads = {figure: place.spread(figure) for figure in FIGURES}
            rows.append(
                {
                    **{name: value_text(name, value) for name, value in axes.items()},
                    "seeds": len(place.rows),
                    "steps": place.fact("steps")[-1],
                    "generated_images": place.fact("generated_images")[-1],
                    **{f"{figure}_mean": spread.mean for figure, spread in spreads.items()},
                    **{f"{figure}_sd": spread.sd for figure, spread in spreads.items()},
                    "mAP_difference": told.told.mean if told else None,
                    "mAP_low": told.told.low if told else None,
                    "mAP_high": told.told.high if told else None,
                    "p_t": told.t if told else None,
                    "p_t_holm": corrected,
                    "p_sign_flip": told.flip if told else None,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is its head."""
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], f"|---|{'---:|' * (len(rows[0]) - 1)}", *lines[1:]])


SPECIAL = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "<": "$<$",
    "“": "``",
    "”": "''",
}


def latex(rows: Sequence[Sequence[str]], *, caption: str) -> str:
    """A table in LaTeX, with the rules of the package booktabs; the first row is its head."""
    lines = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in rows]
    columns = "l" + "r" * (len(rows[0]) - 1)
    head = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    foot = [r"\bottomrule", r"\end{tabular}", rf"\caption{{{_tex(caption)}}}", r"\end{table}"]
    return "\n".join([*head, lines[0], r"\midrule", *lines[1:], *foot]) + "\n"


def _tex(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)
