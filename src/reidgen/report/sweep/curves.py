"""The figures of a sweep (thesis, figures 5.17 to 5.26) with error bars, for the page and as PNG and SVG files."""

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reidgen.files import write_bytes
from reidgen.report.answer import FIGURES
from reidgen.report.html.figures import STYLE, as_markup, logarithmic
from reidgen.report.html.markup import Markup
from reidgen.report.sweep.points import NAMES, Group, Place, SweepView, evenly, value_text
from reidgen.report.sweep.published import gains

COLOURS = ("#3b73b5", "#c8641e", "#2e9e5b", "#9a5fb8", "#b8860b", "#808080")  # the first two follow the page
SHOWN_TRAININGS = 4
RANKS = ("rank1", "rank5", "rank10")
SHOWN_BARS = 9
LABEL = 16  # letters a line
# Thesis, figures 5.21 and 5.26.
SOURCES_BARS = {"people": range(0, 321, 40), "crops_per_person": range(0, 121, 10)}
# Thesis, figures 5.17 to 5.20 and 5.23 to 5.25.
SOURCES_TRAININGS: dict[str, tuple[int, ...]] = {"people": (0, 100, 200, 320), "crops_per_person": (0, 35, 100)}
GAINED = {"mAP": "mAP", "mAP_trapezoid": "mAP by trapezoid"}
SIZE = (5.2, 3.2)  # inches

# What is drawn of a training: its title, factor, and two records of metrics.jsonl at most, each with its word.
TRAININGS: dict[str, dict[str, tuple[str, float, dict[str, str]]]] = {
    "reid": {
        "loss": ("loss, logarithmic", 1, {"train_loss": "training", "val_loss": "validation"}),
        "error": ("rank-1 error, %", 100, {"train_error": "training", "val_error": "validation"}),
    },
    "unsupervised": {
        "loss": ("loss, logarithmic", 1, {"train_loss": "training"}),
        "clusters": ("clusters", 1, {"clusters": "clusters", "people": "people"}),
        "outliers": ("outliers, crops", 1, {"outliers": "outliers"}),
        "purity": ("clusters beside people, %", 100, {"purity": "purity", "nmi": "mutual information"}),
        "look": ("mAP of looks at the test crops, %", 100, {"test_mAP": "mAP"}),
    },
}


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn for the page or for a file.

    Attributes:
        name: File name without ending.
        title: What is drawn, with its unit.
        draw: Draws it.
    """

    name: str
    title: str
    draw: Callable[[Axes], None]

    def markup(self) -> Markup:
        """For the page, in its colours."""
        with mpl.rc_context(STYLE):
            figure, axes = _figure()
            self.draw(axes)
            return as_markup(figure, self.title, name=self.name)

    def write(self, folder: Path) -> None:
        """NAME.png and NAME.svg, black on white."""
        with mpl.rc_context(STYLE):
            figure, axes = _figure()
            self.draw(axes)
            axes.set_title(self.title)
            for kind, more in (("png", {"dpi": 200}), ("svg", {"metadata": {"Date": None, "Creator": None}})):
                stream = io.BytesIO()
                figure.savefig(stream, format=kind, facecolor="white", **more)
                write_bytes(folder / f"{self.name}.{kind}", stream.getvalue())


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.add_subplot()


def drawings(view: SweepView) -> list[Drawing]:
    """Draw mAP and rank-1 over the axis, bars of the ranks (figures 5.21, 5.26), and what is gained."""
    over = NAMES.get(_horizontal(view).name, _horizontal(view).name)
    found = [
        Drawing(f"{figure}-over-{_horizontal(view).name}", f"{FIGURES[figure]}, %, over {over}", _curve(view, figure))
        for figure in ("mAP", "rank1")
    ]
    found.append(
        Drawing(
            f"ranks-over-{view.compared.name}",
            f"Rank-1, -5 and -10, %, over {NAMES.get(view.compared.name, view.compared.name)}",
            _bars(view),
        )
    )
    if any(group.reference is not None and group.others for group in view.groups):
        title = f"Gain in {GAINED[_gained(view)]} over {view.name(view.reference_value)}, points"
        found.append(Drawing(f"gain-over-{_horizontal(view).name}", title, _gain(view)))
    return found


def _beside(view: SweepView) -> bool:
    """Whether the thesis's curve is drawn beside ours."""
    return view.cited is not None and _horizontal(view) is view.compared and view.reference_value in view.cited[1]


def _gained(view: SweepView) -> str:
    """The figure whose gain is drawn: beside the thesis's curve that by trapezoid, as theirs is."""
    return "mAP_trapezoid" if _beside(view) else "mAP"


def _horizontal(view: SweepView) -> Any:
    """The axis that is drawn from left to right: the compared one, or, where that is only with and without, another."""
    if (len(view.compared.values) == 2 or view.compared.name == "arm") and view.others:
        return max(view.others, key=lambda axis: len(axis.values))
    return view.compared


def _positions(values: Sequence[Any]) -> tuple[list[float], bool]:
    """Places on the horizontal: the numbers themselves, or 0, 1, 2 ... for words and for shares."""
    numbers = all(isinstance(value, (int, float)) for value in values)
    whole = numbers and any(value > 1 for value in values)
    return ([float(value) for value in values] if whole else [float(i) for i in range(len(values))]), whole


def _lines(view: SweepView) -> list[tuple[str, list[tuple[Any, Group, Place]]]]:
    """The curves: label, and for each place of the horizontal axis the group and the place."""
    axis = _horizontal(view)
    if axis is view.compared:
        return [(group.label, [(place.value, group, place) for place in group.places]) for group in view.groups]
    curves: dict[str, list[tuple[Any, Group, Place]]] = {}
    for group in view.groups:
        rest = ", ".join(f"{name} {value_text(name, v)}" for name, v in group.values.items() if name != axis.name)
        for place in group.places:
            label = "; ".join(part for part in (view.name(place.value), rest) if part)
            curves.setdefault(label, []).append((group.values[axis.name], group, place))
    return list(curves.items())


def _curve(view: SweepView, figure: str) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for number, (label, found) in enumerate(_lines(view)):
            x = _x(view, [value for value, _, _ in found])
            spreads = [place.spread(figure) for _, _, place in found]
            mean = [100 * spread.mean for spread in spreads]
            sd = [math.nan if spread.sd is None else 100 * spread.sd for spread in spreads]  # a single run has no bar
            colour = COLOURS[number % len(COLOURS)]
            axes.errorbar(x, mean, yerr=sd, color=colour, label=label or None, **_joined(view))
            for at, spread in zip(x, spreads, strict=True):
                dots = [100 * value for value in spread.values]
                axes.plot([at] * len(dots), dots, ls="", marker="o", ms=2.5, color=colour, alpha=0.45)
        _finish(view, axes)

    return draw


def _joined(view: SweepView) -> dict[str, Any]:
    """Points with error bars; a line joins them where there is something between them, so not between words."""
    words = any(isinstance(value, str) for value in _horizontal(view).values)
    return {"marker": "o", "ms": 4, "lw": 1.3, "capsize": 3, "ls": "" if words else "-", "elinewidth": 1.3}


def _bars(view: SweepView) -> Callable[[Axes], None]:
    """Bars of rank-1, -5 and -10 with the deviation over seeds, at the thesis's places where all of them are there."""
    name = view.compared.name
    places = _shown(view.leading.places, SOURCES_BARS.get(name, ()), SHOWN_BARS)

    def draw(axes: Axes) -> None:
        width = 0.8 / len(RANKS)
        for number, figure in enumerate(RANKS):
            spreads = [place.spread(figure) for place in places]
            sd = [math.nan if spread.sd is None else 100 * spread.sd for spread in spreads]
            at = [i + (number - 1) * width for i in range(len(places))]
            mean = [100 * spread.mean for spread in spreads]
            axes.bar(at, mean, width, yerr=sd, capsize=2, color=COLOURS[number], label=FIGURES[figure])
        lowest = min(100 * place.spread("rank1").mean for place in places)
        axes.set_ylim(bottom=max(0, lowest - 10))  # behind all bars, as it fixes the other end too
        axes.set_xticks(range(len(places)), [_label(name, place.value) for place in places])
        axes.set_xlabel(NAMES.get(name, name))
        axes.legend(loc="best", frameon=False, fontsize=8, labelcolor="#808080")

    return draw


def _gain(view: SweepView) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.axhline(0, color="#808080", lw=0.8)
        for number, (label, found) in enumerate(_lines(view)):
            told = [(value, group.compare(place, _gained(view))) for value, group, place in found]
            known = [(value, one.told) for value, one in told if one is not None]
            if not known:
                continue
            x, mean = _x(view, [value for value, _ in known]), [100 * one.mean for _, one in known]
            reach = [math.nan if one.high is None else 100 * (one.high - one.mean) for _, one in known]
            colour = COLOURS[number % len(COLOURS)]
            axes.errorbar(x, mean, yerr=reach, color=colour, label=label or "ours", **_joined(view))
        if _beside(view) and view.cited is not None:
            places = dict(zip(view.compared.values, _positions(view.compared.values)[0], strict=True))
            theirs = gains(view.cited[1], "mAP", reference=view.reference_value, places=places)
            axes.plot(*theirs, color="#808080", ls="--", marker=".", lw=1, label="thesis, one run each")
        _finish(view, axes, key=_beside(view))

    return draw


def _label(axis: str, value: Any) -> str:
    """A value under its tick, in lines that leave room for the next."""
    return textwrap.fill(value_text(axis, value), LABEL)


def _x(view: SweepView, values: Sequence[Any]) -> list[float]:
    axis = _horizontal(view)
    places = dict(zip(map(repr, axis.values), _positions(axis.values)[0], strict=True))
    return [places[repr(value)] for value in values]


def _finish(view: SweepView, axes: Axes, *, key: bool = False) -> None:
    axis = _horizontal(view)
    at, numbers = _positions(axis.values)
    if not numbers or len(axis.values) <= 6:
        axes.set_xticks(at, [_label(axis.name, value) for value in axis.values])
    room = (0.04 if numbers else 0.15) * (max(at) - min(at)) or 0.5
    axes.set_xlim(min(at) - room, max(at) + room)  # also where some places have no run yet
    axes.set_xlabel(NAMES.get(axis.name, axis.name))
    axes.grid(axis="y", color="#808080", alpha=0.25, lw=0.6)
    if key or len(_lines(view)) > 1:
        axes.legend(loc="best", frameon=False, fontsize=8, labelcolor="#808080")


def training_drawings(view: SweepView) -> list[Drawing]:
    """Trainings of a few places, over seeds: losses and errors (figures 5.17 to 5.20, 5.23 to 5.25), or clusters."""
    group = view.leading
    theirs = SOURCES_TRAININGS.get(view.compared.name, ())
    shown = _shown([place for place in group.places if all(place.histories())], theirs, SHOWN_TRAININGS)
    found = []
    for number, place in enumerate(shown):
        for key, (what, factor, lines) in TRAININGS[view.result.config.trains].items():
            records = [record for history in place.histories() for record in history]
            if any(record.get(name) is not None for record in records for name in lines):
                draw = _training(place, lines, factor, log=key == "loss")
                found.append(Drawing(f"training-{number}-{key}", f"{view.name(place.value)}: {what}", draw))
    return found


def _shown(places: Sequence[Place], theirs: Sequence[int], most: int) -> list[Place]:
    """The thesis's places where all of them are there, evenly spread ones otherwise."""
    known = [place for place in places if place.value in theirs]
    return known if theirs and len(known) == len(theirs) else evenly(places, most)


def _training(place: Place, lines: Mapping[str, str], factor: float, *, log: bool) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for number, (name, word) in enumerate(lines.items()):
            curves = [
                {record["step"]: factor * record[name] for record in history if record.get(name) is not None}
                for history in place.histories()
            ]
            colour: Any = {"color": COLOURS[number], "ls": ("-", "--")[number]}
            steps, values = on_common_steps([curve for curve in curves if curve])
            if not steps:  # no step lies within all of them, as with one record each
                for i, curve in enumerate(curve for curve in curves if curve):
                    x, y = zip(*sorted(curve.items()), strict=True)
                    axes.plot(x, y, **colour, lw=1, marker=".", label=None if i else word)
                continue
            marker = "o" if len(steps) == 1 else None
            axes.plot(steps, values.mean(axis=0), **colour, lw=1.3, label=word, marker=marker)
            axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour["color"], alpha=0.2, lw=0)
        axes.set_xlabel("step")
        if log:
            logarithmic(axes)
        else:
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#808080", alpha=0.25, lw=0.6)
        axes.legend(loc="best", frameon=False, fontsize=8, labelcolor="#808080")

    return draw


def on_common_steps(curves: Sequence[Mapping[int, float]]) -> tuple[list[int], np.ndarray]:
    """Curves whose records differ in their steps, at all steps that lie within every one; straight between records.

    Args:
        curves: Step -> value, one a seed; none of them empty.

    Returns:
        The steps, ascending, and the values (C, steps); no steps where no record lies within all curves.
    """
    if not curves:
        return [], np.empty((0, 0))
    low, high = max(map(min, curves)), min(map(max, curves))
    steps = sorted({step for curve in curves for step in curve if low <= step <= high})
    values = [np.interp(steps, sorted(curve), [curve[step] for step in sorted(curve)]) for curve in curves]
    return steps, np.array(values)
