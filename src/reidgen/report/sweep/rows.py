"""The tables of a sweep (thesis, tables 5.10 and 5.11) as rows that HTML, Markdown, LaTeX, CSV and JSON are made of."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from reidgen.report.answer import FIGURES
from reidgen.report.statistics.significance import LEVEL, seeds_needed, smallest_p
from reidgen.report.sweep.points import NAMES, Compared, Group, Place, SweepView, value_text
from reidgen.report.sweep.published import Published

Rows = list[list[str]]
OURS = "this sweep"
THESIS = "thesis:"  # before the name of a figure that is of the thesis's table


def result_head(view: SweepView, group: Group) -> list[str]:
    """Titles of the columns of `result_rows`."""
    first = NAMES.get(view.compared.name, view.compared.name)
    cited = view.published(group) is not None
    return [first, *(title for title, _ in _figures(cited)), "crops added", "steps", "seeds"]


def _figures(cited: bool) -> list[tuple[str, str]]:
    """Titles with figures of ours; after a title of the thesis, figures of its table, whose AP is by trapezoid."""
    ours = [(f"{name}, %", figure) for figure, name in FIGURES.items()]
    if not cited:
        return ours
    known = {figure: title for title, figure in ours}
    beside = [
        (known["mAP"], "mAP"),
        (known["mAP_trapezoid"], "mAP_trapezoid"),
        ("thesis: mAP, trapezoid, %", f"{THESIS}mAP"),
        (known["rank1"], "rank1"),
        ("thesis: rank-1, %", f"{THESIS}rank1"),
    ]
    return [*beside, *((title, figure) for title, figure in ours if figure not in {one for _, one in beside})]


def result_rows(view: SweepView, group: Group) -> Rows:
    """One row a place; where the thesis made the same experiment with the same value, their figures beside ours."""
    cited = view.published(group)
    return [_result_row(view, place, cited) for place in group.places]


def _result_row(view: SweepView, place: Place, cited: Published | None) -> list[str]:
    known = cited[1].get(place.value) if cited else None
    cells = []
    for _, figure in _figures(cited is not None):
        if not figure.startswith(THESIS):
            cells.append(place.spread(figure).percent())
        else:
            cells.append("-" if known is None else f"{100 * known[figure.removeprefix(THESIS)]:.2f}")
    counts = [_range(place.fact("generated_images")), _range(place.fact("steps")), str(len(place.rows))]
    return [value_text(view.compared.name, place.value), *cells, *counts]


PUBLISHED_HEAD = ["", "generated crops", "rank-1, %", "rank-5, %", "rank-10, %", "mAP, trapezoid, %"]


def published_rows(view: SweepView) -> Rows:
    """All rows of the thesis's table; none where no part of the sweep is their experiment."""
    if view.cited is None:
        return []
    return [
        [
            f"{value:,}",
            "-" if row["generated_images"] is None else f"{row['generated_images']:,}",
            *(f"{100 * row[figure]:.2f}" for figure in ("rank1", "rank5", "rank10", "mAP")),
        ]
        for value, row in view.cited[1].items()
    ]


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if values[0] == values[-1] else f"{values[0]:,} to {values[-1]:,}"


TEST_HEAD = ["", "difference, points", "95 % interval", "p, t", "p, t, Holm", "p, sign flips", "seeds", "verdict"]


def test_rows(view: SweepView, figure: str) -> Rows:
    """One row a comparison with the reference of its group; also where no seed has finished both."""
    compared = {(id(group), id(place)): rest for group, place, *rest in view.compared_all(figure)}
    return [
        [f"{view.name(place.value)}{f'; {group.label}' if group.label else ''}", *_test(*known)]
        for group in view.groups
        if group.reference is not None
        for place in group.others
        for known in [compared.get((id(group), id(place)), (None, None))]
    ]


def _test(told: Compared | None, corrected: float | None) -> list[str]:
    if told is None:
        return [*"-----", "0", "no seed has finished both"]
    difference = told.told
    ps = [_p(told.t), _p(corrected), _p(told.flip)]
    return [difference.points(), difference.interval() or "-", *ps, str(difference.pairs), verdict(told, corrected)]


def verdict(told: Compared, corrected: float | None) -> str:
    """In one or two words: better, worse, or what cannot be said."""
    if told.told.verdict == "single":
        return "a single pair"
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
    pairs = [told.told.pairs for _, _, told, p in view.compared_all("mAP") if p is not None]
    if not pairs:
        return "No comparison has two seeds that have finished on both sides, so none is tested."
    most, count = max(pairs), len(pairs)
    many = (
        f" With {count} comparisons some small p come by luck; “Holm” corrects for their number." if count > 1 else ""
    )
    some = " Where a side lacks a seed, the other side's run of it is left out." if len(set(pairs)) > 1 else ""
    return (
        f"Runs of equal seed are compared pair by pair.{some} “t” is Student's paired test: it takes the differences "
        "for normally distributed, which a handful of seeds can neither show nor deny. “Sign flips” is the exact "
        f"permutation test, which takes nothing for granted: with {most} seeds its p cannot be below "
        f"{smallest_p(most):.3g}; to come below {LEVEL:g} it needs {seeds_needed()}.{many}"
    )


def aggregated(view: SweepView) -> pl.DataFrame:
    """Every place with mean and sample deviation of each figure, its difference and p values: one row a place."""
    tests = {(id(group), id(place)): (told, corrected) for group, place, told, corrected in view.compared_all("mAP")}
    rows = [
        _aggregated(view, group, place, *tests.get((id(group), id(place)), (None, None)))
        for group in view.groups
        for place in group.places
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _aggregated(
    view: SweepView, group: Group, place: Place, told: Compared | None, corrected: float | None
) -> dict[str, Any]:
    spreads = {figure: place.spread(figure) for figure in FIGURES}
    return {
        "source": OURS,
        **_axes_in_words(view, group, place),
        "seeds": len(place.rows),
        "steps": place.fact("steps")[-1],
        "generated_images": place.fact("generated_images")[-1],
        **{f"{figure}_mean": spread.mean for figure, spread in spreads.items()},
        **{f"{figure}_sd": spread.sd for figure, spread in spreads.items()},
        "seeds_compared": told.told.pairs if told else None,
        "mAP_difference": told.told.mean if told else None,
        "mAP_low": told.told.low if told else None,
        "mAP_high": told.told.high if told else None,
        "p_t": told.t if told else None,
        "p_t_holm": corrected,
        "p_sign_flip": told.flip if told else None,
    }


def _axes_in_words(view: SweepView, group: Group, place: Place) -> dict[str, str]:
    return {name: value_text(name, value) for name, value in {**group.values, view.compared.name: place.value}.items()}


def beside_published(view: SweepView) -> pl.DataFrame:
    """`aggregated`, then a row for each place that the thesis has too; column `source` tells whose it is.

    Their mAP is by trapezoid, so it stands in `mAP_trapezoid_mean`.
    """
    ours = aggregated(view)
    rows = [
        _published_row(cited, place.value, _axes_in_words(view, group, place))
        for group in view.groups
        if (cited := view.published(group)) is not None
        for place in group.places
        if place.value in cited[1]
    ]
    theirs = pl.DataFrame(rows, schema={name: ours.schema[name] for name in rows[0]} if rows else {})
    return pl.concat([ours, theirs], how="diagonal") if rows else ours


def _published_row(cited: Published, value: Any, axes: dict[str, str]) -> dict[str, Any]:
    row = cited[1][value]
    columns = {"rank1": "rank1_mean", "rank5": "rank5_mean", "rank10": "rank10_mean", "mAP": "mAP_trapezoid_mean"}
    return {
        "source": cited[0].partition(" (")[0],
        **axes,
        "seeds": 1,
        "generated_images": row["generated_images"],
        **{column: row[figure] for figure, column in columns.items()},
    }


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


def latex_notes(notes: Sequence[str]) -> str:
    """Sentences as a list in LaTeX."""
    lines = [rf"  \item {_tex(note)}" for note in notes]
    return "\n".join([r"\begin{itemize}", *lines, r"\end{itemize}"]) + "\n"


def _tex(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)
