"""What arms are worth: the labelled people that the baseline needs for the same mAP, as rows, figures and words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from reidgen.config.sweep.axes import share_in_words
from reidgen.report.html.markup import Markup, section, soft, table, tag
from reidgen.report.statistics.spread import Difference, Spread
from reidgen.report.statistics.worth import Worth, worth
from reidgen.report.sweep.curves import COLOURS, Drawing
from reidgen.report.sweep.points import Group, Place, SweepView
from reidgen.report.sweep.rows import markdown

FEWEST_SEEDS = 5
HOW = (
    "The worth is the number of labelled people with which the baseline has the same mAP: by the baseline's own mean "
    "curve, straight in the logarithm of the people between the measured places, never beyond them. Its 95 % interval "
    "holds every number at which the difference over seeds may be zero (Student's t on pairs of equal seed, for which "
    "the same people are drawn; Fieller 1954); the curve between two places is taken to be known. Without labelled "
    "people the networks are measured as they start, but for arms with people of their own to learn from."
)
EDGES = "In the right figure lines and arrows at the upper or lower edge go on beyond it."
NOT_RISING = "The baseline's mean curve does not rise from place to place, so within it no worth is determined."
HEAD = [
    "arm",
    "share",
    "labelled people",
    "baseline, mAP %",
    "arm, mAP %",
    "difference, points",
    "95 % interval",
    "worth, labelled people",
    "95 % interval ",
    "steps",
    "seconds a run",
    "seeds",
]


@dataclass(frozen=True)
class Measured:
    """An arm at a share of the labelled people.

    Attributes:
        arm: Its name.
        share: Of the train people.
        people: How many these are.
        before, after: mAP of the baseline and of the arm, over the seeds that both and all of the curve have.
        told: Their difference.
        worth: The people that the arm stands for.
        steps: Length of its trainings; 0 of a network that is measured as it starts.
        sec: Mean time of a training with its evaluation.
    """

    arm: str
    share: float
    people: float
    before: Spread
    after: Spread
    told: Difference
    worth: Worth
    steps: int
    sec: float


def measured(view: SweepView) -> list[Measured]:
    """Every arm, or whatever is compared with a baseline, at each share; none where the baseline is no curve."""
    if not view.about_generated or [axis.name for axis in view.others] != ["real"]:
        return []
    groups = sorted(view.groups, key=lambda group: group.values["real"])
    curve = [
        (_people(group.reference), group.reference) for group in groups if group.values["real"] and group.reference
    ]
    if len(curve) < 2:
        return []
    found = [
        _measured(view, group, place, curve)
        for value in view.compared.values
        for group in reversed(groups)
        for place in group.others
        if place.value == value
    ]
    return [one for one in found if one is not None]


def _people(place: Place) -> float:
    return float(np.mean([row["people_trained_on"] for row in place.rows.values()]))


def _measured(view: SweepView, group: Group, place: Place, curve: Sequence[tuple[float, Place]]) -> Measured | None:
    """None where no seed has all that is compared."""
    reference, share = group.reference, group.values["real"]
    sides = [] if reference is None else [place, reference, *(one for _, one in curve)]
    seeds = sorted(set.intersection(*(set(one.rows) for one in sides))) if sides else []
    compared = group.compare(place, "mAP")
    if not seeds or reference is None or compared is None:
        return None
    baseline = [[one.figure("mAP")[seed] for _, one in curve] for seed in seeds]
    after = place.spread("mAP", seeds=seeds)
    return Measured(
        str(place.value) if view.compared.name == "arm" else view.name(place.value),
        share,
        _people(reference) if share else 0.0,
        reference.spread("mAP", seeds=seeds),
        after,
        compared.told,
        worth([people for people, _ in curve], baseline, after.values),
        place.fact("steps")[-1],
        float(np.mean([row["wall_sec"] for row in place.rows.values()])),
    )


def rows(every: Sequence[Measured]) -> list[list[str]]:
    """The table, as text."""
    return [
        [
            one.arm,
            share_in_words(one.share),
            f"{one.people:,.0f}",
            one.before.percent(),
            one.after.percent(),
            one.told.points(),
            one.told.interval() or "-",
            _short(one.worth.words()),
            _short(one.worth.interval() or "-"),
            f"{one.steps:,}",
            f"{one.sec:,.1f}",
            str(len(one.after.values)),
        ]
        for one in every
    ]


def _short(words: str) -> str:
    return words.replace("more than", ">").replace("fewer than", "<")


def frame(every: Sequence[Measured]) -> pl.DataFrame:
    """The table, as numbers: null where there is none, with `worth` and `worth_interval` in words."""
    return pl.DataFrame([_as_numbers(one) for one in every], infer_schema_length=None)


def _as_numbers(one: Measured) -> dict[str, Any]:
    ends = {"worth_people": one.worth.people, "worth_low": one.worth.low, "worth_high": one.worth.high}
    return {
        "arm": one.arm,
        "share": one.share,
        "labelled_people": one.people,
        "seeds": len(one.after.values),
        "baseline_mAP_mean": one.before.mean,
        "baseline_mAP_sd": one.before.sd,
        "mAP_mean": one.after.mean,
        "mAP_sd": one.after.sd,
        "mAP_difference": one.told.mean,
        "mAP_low": one.told.low,
        "mAP_high": one.told.high,
        **{name: end if end and math.isfinite(end) else None for name, end in ends.items()},
        "worth": one.worth.words(),
        "worth_interval": one.worth.interval(),
        "steps": one.steps,
        "seconds_a_run": one.sec,
    }


def sentences(view: SweepView) -> list[str]:
    """For each arm one sentence about its place with the fewest labelled people."""
    last = {one.arm: one for one in measured(view) if one.share}
    return [_sentence(one) for one in last.values()]


def _sentence(one: Measured) -> str:
    begin = f"With {one.people:,.0f} labelled people ({share_in_words(one.share)})"
    interval = one.worth.interval()
    sure = "a single seed" if interval is None else f"95 % interval: {interval}"
    if interval is not None and not one.worth.told:
        return f"{begin} these runs cannot tell what “{one.arm}” is worth: the interval holds all that was measured."
    if one.worth.people is None:
        return f"{begin} what “{one.arm}” is worth is not determined ({sure})."
    return f"{begin} “{one.arm}” has the mAP that the baseline has with {one.worth.words()} ({sure})."


def cautions(every: Sequence[Measured]) -> list[str]:
    """What keeps the worth from being believed."""
    seeds = min((len(one.after.values) for one in every), default=FEWEST_SEEDS)
    few = f"The worth rests on {seeds} seed{'s' if seeds > 1 else ''}; {FEWEST_SEEDS} is the least that was asked for."
    undetermined = any(one.worth.people is None for one in every)
    return [*([few] if seeds < FEWEST_SEEDS else []), *([NOT_RISING] if undetermined else [])]


def as_markdown(view: SweepView) -> str:
    """worth.md: the sentences, the table, and how it was made."""
    every = measured(view)
    notes = [HOW, *(f"Warning: {text}" for text in cautions(every))]
    return "\n".join([*sentences(view), "", markdown([HEAD, *rows(every)]), "", *(f"- {text}" for text in notes), ""])


def worth_section(view: SweepView) -> Markup | None:
    """The part of the page."""
    every = measured(view)
    if not every:
        return None
    drawn = tag("div", *(drawing.markup() for drawing in drawings(every)), class_="plots")
    told = tag("ul", [tag("li", text) for text in sentences(view)])
    found = table(HEAD, rows(every), words=2, class_="dense")
    return section("How many labelled people is it worth?", told, drawn, soft(EDGES), found, soft(HOW))


def drawings(every: Sequence[Measured]) -> list[Drawing]:
    """MAP over the labelled people, and the people that each arm is worth over those that it has."""
    if not every:
        return []
    return [
        Drawing("worth-curve", "mAP, %, over labelled people", partial(_draw_curve, every)),
        Drawing("worth", "Worth, in labelled people, over labelled people", partial(_draw_worth, every)),
    ]


def _draw_curve(every: Sequence[Measured], axes: Axes) -> None:
    lines: dict[str, dict[float, Spread]] = {"baseline": {}}
    for one in every:
        lines["baseline"][one.people] = one.before
        lines.setdefault(one.arm, {})[one.people] = one.after
    for number, (label, found) in enumerate(lines.items()):
        people = sorted(found)
        mean = [100 * found[one].mean for one in people]
        sd = [math.nan if (spread := found[one].sd) is None else 100 * spread for one in people]
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": "o", "ms": 4, "lw": 1.3}
        at = [_place(every, one, (number, len(lines))) for one in people]
        axes.errorbar(at, mean, yerr=sd, capsize=3, label=label, **look)
    _finish(every, axes)


def _draw_worth(every: Sequence[Measured], axes: Axes) -> None:
    """A number beyond what was measured is drawn at its edge, as an arrow."""
    least, most = every[0].worth.least, every[0].worth.most
    axes.plot([least, most], [least, most], color=COLOURS[0], lw=1, ls="--", label="as many as it has")
    arms = list(dict.fromkeys(one.arm for one in every))
    for number, arm in enumerate(arms, start=1):
        look: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "ms": 6, "lw": 1.3}
        for one in every:
            at, found = _place(every, one.people, (number, len(arms) + 1)), one.worth
            if one.arm == arm and found.people is not None:
                marker = "v" if found.people == 0 else "^" if math.isinf(found.people) else "o"
                axes.plot([at], np.clip([found.people], least, most), marker=marker, ls="", **look)
            if one.arm == arm and found.low is not None and found.high is not None:
                axes.plot([at, at], np.clip([found.low, found.high], least, most), **look)
        axes.plot([], [], marker="o", label=arm, **look)
    axes.set_yscale("log")
    ticks = sorted({one.people for one in every if one.people})
    axes.set_yticks(ticks, [f"{one:,.0f}" for one in ticks])
    _finish(every, axes)


def _place(every: Sequence[Measured], people: float, line: tuple[int, int] = (0, 1)) -> float:
    """Where a number of people is drawn: none at half of the fewest, and lines beside each other by number of all."""
    return (people or every[0].worth.least / 2) * (1 + 0.03 * (line[0] - (line[1] - 1) / 2))


def _finish(every: Sequence[Measured], axes: Axes) -> None:
    people = sorted({one.people for one in every})
    axes.set_xscale("log")
    axes.set_xticks([_place(every, one) for one in people], [f"{one:,.0f}" for one in people])
    axes.minorticks_off()
    axes.set_xlabel("labelled people, logarithmic; 0 stands at the left")
    axes.grid(axis="y", color="#808080", alpha=0.25, lw=0.6)
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncol": 3}
    axes.legend(**below, frameon=False, fontsize=8, labelcolor="#808080")
