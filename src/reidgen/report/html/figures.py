"""Line charts as SVG that stands in the page itself and takes the page's colours, light or dark."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from reidgen.report.html.markup import Markup, tag

# Drawn in these, and then written as the variables of style.css.
_COLOURS = {"#3b73b5": "var(--base)", "#c8641e": "var(--more)", "#000000": "currentColor", "#808080": "var(--soft)"}
COLOURS_OF = {"base": "#3b73b5", "more": "#c8641e", "other": "#808080"}
Group = Literal["base", "more", "other"]

_POINTS = 300  # of a curve; more cannot be told apart at this size
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "reidgen",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        x, y: Its points; where y is None the curve has a gap.
        group: Colour: "base" for the baseline, "more" for the extended runs, "other".
        dashed: Whether it is drawn dashed, as validation is.
    """

    x: Sequence[float]
    y: Sequence[float | None]
    group: Group = "base"
    dashed: bool = False


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    xlabel: str,
    name: str,
    scale: Literal["linear", "log"] = "linear",
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
    """A figure element with one line chart.

    Args:
        title: What is drawn, with its unit; stands above it and is its text for those who cannot see it.
        lines: The curves; those of one colour and dash are seeds of one thing.
        xlabel: What the x axis counts.
        name: Unique on the page; begins the ids within the drawing.
        scale: Of the y axis.
        marks: Horizontal lines with their text.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for line in lines:
            every = slice(None, None, max(1, len(line.x) // _POINTS))
            x, y = line.x[every], [float("nan") if value is None else value for value in line.y[every]]
            alpha = 0.9 if len(lines) <= 4 else 0.65
            marker = "o" if len(y) == 1 else None
            axes.plot(
                x, y, color=COLOURS_OF[line.group], ls="--" if line.dashed else "-", lw=1.3, alpha=alpha, marker=marker
            )
        for height, text in marks:
            axes.axhline(height, color="#808080", lw=0.7, ls=":")
            axes.annotate(
                text, (1, height), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="#808080"
            )
        axes.set_xlabel(xlabel)
        if scale == "log":
            logarithmic(axes)
        axes.grid(axis="y", color="#808080", alpha=0.25, lw=0.6)
        return as_markup(figure, title, name=name)


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic, with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def as_markup(figure: Figure, title: str, *, name: str) -> Markup:
    """A drawing as a figure element; to be called with the style that it was drawn in.

    Args:
        figure: The drawing; its blue, orange, black and grey become the page's colours.
        title: Stands above it and is its text for those who cannot see it.
        name: Unique on the page; begins the ids within the drawing.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return tag("figure", tag("h3", title), _inline(stream.getvalue(), name, title))


def _inline(svg: str, name: str, title: str) -> Markup:
    """The drawing without file header, with the page's colours and fonts and ids that are its own."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"<style.*?</style>|font-family: [^;\"]*;? ?", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(?:xlink:)?(href="#|url\(#)', rf"\1{name}-", svg)
    # Text and ticks without a colour of their own are black by default, which a dark page would swallow.
    opening = tag("svg", role="img", aria_label=title, fill="currentColor").removesuffix("></svg>")
    return Markup(opening + svg.removeprefix("<svg"))


def legend(entries: Sequence[tuple[str, str, bool]]) -> Markup:
    """What the colours and dashes mean: (text, class `base` or `more` or `soft`, dashed)."""
    items = [
        tag("li", tag("i", class_=f"{colour}{' dashed' if dashed else ''}"), text) for text, colour, dashed in entries
    ]
    return tag("ul", *items, class_="legend")
