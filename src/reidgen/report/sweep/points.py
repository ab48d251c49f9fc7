"""A sweep as the report sees it: what is compared with what, place by place, over seeds."""

import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.config.sweep.arms import BASELINE
from reidgen.config.sweep.axes import Axis, share_in_words, shown
from reidgen.engine.runs.metrics_log import MetricsLog
from reidgen.errors import RunError
from reidgen.report.statistics.significance import holm, paired_t, sign_flip
from reidgen.report.statistics.spread import Difference, Spread, paired_difference
from reidgen.report.sweep.published import Published, published
from reidgen.sweep.point import RESULT, TRAIN
from reidgen.sweep.result import SweepResult, column_of

ABOUT_GENERATED = ("arm", "people", "crops_per_person", "generated")
NAMES = {
    "people": "generated people",
    "crops_per_person": "generated crops per person",
    "generated": "generated crops",
    "real": "share of the real people",
}
SOURCES_LABEL = {"people": "new", "crops_per_person": "same"}


@dataclass(frozen=True)
class Place:
    """One value of the compared axis within a group: its runs over seeds.

    Attributes:
        value: Of the compared axis.
        rows: The finished runs by seed, as rows of the points.
        folder: The sweep's folder of runs.
    """

    value: Any
    rows: dict[int, dict[str, Any]]
    folder: Path

    def figure(self, name: str) -> dict[int, float]:
        """Seed -> share."""
        return {seed: row[name] for seed, row in self.rows.items()}

    def spread(self, name: str, *, seeds: Container[int] | None = None) -> Spread:
        """A figure over the seeds, or over some of them."""
        return Spread(tuple(value for seed, value in self.figure(name).items() if seeds is None or seed in seeds))

    @property
    def runs(self) -> set[str]:
        """Names of the runs; places that add nothing share them."""
        return {row["run"] for row in self.rows.values()}

    def fact(self, name: str) -> list[Any]:
        """A fact of each run, each different one once."""
        return sorted({row[name] for row in self.rows.values()})

    def results(self) -> list[Path]:
        """Evaluation folders."""
        return [self.folder / row["run"] / RESULT for row in self.rows.values()]

    def trainings(self) -> list[Path]:
        """Training folders."""
        return [self.folder / row["run"] / TRAIN for row in self.rows.values()]

    def histories(self) -> list[list[dict[str, Any]]]:
        """The records of each training."""
        return [MetricsLog(path / "metrics.jsonl").read() for path in self.trainings()]


@dataclass(frozen=True)
class Compared:
    """A place against the reference of its group.

    Attributes:
        told: The difference over the seeds that both have, with its interval.
        t: p of the paired t test; None for a single pair, which nothing can be tested by.
        flip: p of the exact sign-flip test; likewise.
    """

    told: Difference
    t: float | None
    flip: float | None


@dataclass(frozen=True)
class Group:
    """All places of one combination of the other axes.

    Attributes:
        values: Of the other axes.
        places: In the order of the axis, the reference among them; without those that have no finished run.
        reference: What the others are compared with; None where it has no finished run.
    """

    values: dict[str, Any]
    places: list[Place]
    reference: Place | None

    @property
    def label(self) -> str:
        """The values of the other axes in words."""
        return ", ".join(in_words(name, value) for name, value in self.values.items())

    @property
    def title(self) -> str:
        """The label as a heading; names of options stay as they are typed."""
        return capital(self.label) if next(iter(self.values), "") in NAMES else self.label

    @property
    def others(self) -> list[Place]:
        """All places that are compared: not the reference, nor one whose runs are the reference's own.

        Where another axis adds nothing, say 0 crops of each person, all numbers of people are the baseline's runs.
        """
        own = set() if self.reference is None else self.reference.runs
        return [place for place in self.places if not place.runs <= own]

    def compare(self, place: Place, figure: str) -> Compared | None:
        """A place against the reference, over the seeds that both have.

        None where there is no such seed, and where the runs are the reference's own.
        """
        if self.reference is None or place.runs <= self.reference.runs:
            return None
        before, after = self.reference.figure(figure), place.figure(figure)
        told = paired_difference(before, after)
        if told is None:
            return None
        shared = [after[seed] - before[seed] for seed in before if seed in after]
        return Compared(told, paired_t(shared), sign_flip(shared) if len(shared) > 1 else None)


@dataclass(frozen=True)
class SweepView:
    """A sweep with what is compared.

    Attributes:
        result: The points.
        compared: The axis whose values are compared: that of generated crops where there is one, or the last.
        others: The other axes with more than one value.
        fixed: Values of axes with a single one.
    """

    result: SweepResult
    compared: Axis
    others: tuple[Axis, ...]
    fixed: dict[str, Any]

    @classmethod
    def of(cls, result: SweepResult) -> "SweepView":
        """Choose what is compared.

        Raises:
            RunError: No run has finished.
        """
        if "done" not in result.points["status"]:
            raise RunError(
                f"No run of {result.folder} has finished.",
                got=str(result),
                allowed="a sweep with at least one finished run",
                fix="the sweep's command again",
            )
        several = [axis for axis in result.axes if len(axis.values) > 1] or list(result.axes[:1])
        about = [axis for axis in several if axis.name in ABOUT_GENERATED]
        compared = about[0] if about else several[-1]
        fixed = {axis.name: axis.values[0] for axis in result.axes if axis not in several}
        return cls(result, compared, tuple(axis for axis in several if axis is not compared), fixed)

    @property
    def about_generated(self) -> bool:
        """Whether the comparison is without against with generated crops."""
        return self.compared.name in ABOUT_GENERATED

    @property
    def reference_value(self) -> Any:
        """Nothing generated, or the first value."""
        nothing = {"generated": "without", "arm": BASELINE}.get(self.compared.name, 0)
        return nothing if self.about_generated and nothing in self.compared.values else self.compared.values[0]

    @cached_property
    def groups(self) -> list[Group]:
        """One group for each combination of the other axes that has a finished run."""
        found = []
        for values in itertools.product(*(axis.values for axis in self.others)):
            made = dict(zip((axis.name for axis in self.others), values, strict=True))
            places = [self._place(made, value) for value in self.compared.values]
            places = [place for place in places if place.rows]
            reference = next((place for place in places if place.value == self.reference_value), None)
            if places:
                found.append(Group(made, places, reference))
        return found

    @property
    def leading(self) -> Group:
        """The group that the page begins with: the first in which something can be compared."""
        return next((group for group in self.groups if group.reference is not None and group.others), self.groups[0])

    def name(self, value: Any) -> str:
        """A value of the compared axis in words."""
        if self.compared.name == "arm":
            return str(value)
        if self.about_generated and value == self.reference_value and value in (0, "without"):
            return "baseline, no generated crops"
        if self.compared.name == "generated":
            return "with generated crops"
        text, name = value_text(self.compared.name, value), NAMES.get(self.compared.name, self.compared.name)
        return f"{text} {name}" if self.about_generated else f"{name} {text}"

    def published(self, group: Group) -> Published | None:
        """The thesis's rows, where a group is their experiment.

        All real people, and people with labels of their own (thesis, table 5.10) or crops of each real person that
        keep the person's label (table 5.11), which the training takes for crops like the others.
        """
        label = SOURCES_LABEL.get(self.compared.name)
        if label is None:
            return None
        config, made = self.result.config, {**self.fixed, **group.values}
        theirs = {
            "real": (1.0,),
            "generated": ("with",),
            "label": (label,),
            "generated_label": ("table", label),
            "generated_weight": (1.0,),
            "generated_from": (0.0,),
            "generated_ratio": (None,),
            **{name: (None,) for name in SOURCES_LABEL if name != self.compared.name},
        }
        ours = {"real": 1.0, "generated": "with", **vars(config.reid), **vars(config.extend), **made}
        fits = all(ours[name] in values for name, values in theirs.items())
        return published(self.compared.name) if fits else None

    @cached_property
    def cited(self) -> Published | None:
        """The thesis's rows, where any group is their experiment."""
        return next((found for group in self.groups if (found := self.published(group)) is not None), None)

    def compared_all(self, figure: str) -> list[tuple[Group, Place, Compared, float | None]]:
        """Every comparison of the sweep, with p of t corrected for the number of those that were tested (Holm)."""
        every = [
            (group, place, told)
            for group in self.groups
            for place in group.others
            if (told := group.compare(place, figure)) is not None
        ]
        corrected = holm([told.t for _, _, told in every])
        return [(*one, p) for one, p in zip(every, corrected, strict=True)]

    def _place(self, made: dict[str, Any], value: Any) -> Place:
        wanted = {**made, self.compared.name: value}
        rows = self.result.points.filter(pl.col("status") == "done")
        for name, one in wanted.items():
            column = column_of(name)
            rows = rows.filter(pl.col(column) == (shown(one) if rows.schema[column] == pl.String else one))
        by_seed = {row["seed"]: row for row in rows.iter_rows(named=True)}
        return Place(value, by_seed, self.result.folder / "runs")


def in_words(name: str, value: Any) -> str:
    """An axis with its value in words."""
    text = value_text(name, value)
    if name == "real":
        known = {0: "no labelled people", 1: "all real people"}
        return known.get(value, f"{text} of the real people")
    return f"{text} {NAMES[name]}" if name in NAMES else f"{name} {text}"


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def value_text(name: str, value: Any) -> str:
    """A value of an axis in words."""
    return share_in_words(value) if name == "real" else shown(value)


def evenly(places: Sequence[Place], count: int) -> list[Place]:
    """At most so many places, the first and the last among them."""
    if len(places) <= count:
        return list(places)
    return [places[round(i * (len(places) - 1) / (count - 1))] for i in range(count)]
