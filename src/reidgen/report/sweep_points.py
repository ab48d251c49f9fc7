"""A sweep as the report sees it: what is compared with what, place by place, over seeds."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.config.axes import Axis, share_in_words, shown
from reidgen.engine.metrics_log import MetricsLog
from reidgen.errors import RunError
from reidgen.report.significance import holm, paired_t, sign_flip
from reidgen.report.spread import Difference, Spread, difference
from reidgen.sweep.point import RESULT, TRAIN
from reidgen.sweep.result import SweepResult, column_of

ABOUT_GENERATED = ("people", "crops_per_person", "generated")
NAMES = {
    "people": "generated people",
    "crops_per_person": "generated crops per person",
    "generated": "generated crops",
    "real": "share of the real people",
}


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

    def spread(self, name: str) -> Spread:
        """A figure over the seeds."""
        return Spread(tuple(self.figure(name).values()))

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
        told: The difference with its interval.
        t: p of the paired t test, None without pairs.
        flip: p of the exact sign-flip test.
        seeds: Pairs.
    """

    told: Difference
    t: float | None
    flip: float | None
    seeds: int


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
        return ", ".join(_in_words(name, value) for name, value in self.values.items())

    @property
    def others(self) -> list[Place]:
        """All places but the reference."""
        return [place for place in self.places if place is not self.reference]

    def compare(self, place: Place, figure: str) -> Compared | None:
        """A place against the reference."""
        if self.reference is None or place is self.reference:
            return None
        before, after = self.reference.figure(figure), place.figure(figure)
        shared = [after[seed] - before[seed] for seed in before if seed in after]
        paired = before.keys() == after.keys()
        told = difference(before, after)
        return Compared(told, paired_t(shared) if paired else None, sign_flip(shared) if paired else None, len(shared))


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
        nothing = "without" if self.compared.name == "generated" else 0
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

    def name(self, value: Any) -> str:
        """A value of the compared axis in words."""
        if self.about_generated and value == self.reference_value and value in (0, "without"):
            return "baseline, no generated crops"
        if self.compared.name == "generated":
            return "with generated crops"
        text, name = value_text(self.compared.name, value), NAMES.get(self.compared.name, self.compared.name)
        return f"{text} {name}" if self.about_generated else f"{name} {text}"

    def compared_all(self, figure: str) -> list[tuple[Group, Place, Compared, float | None]]:
        """Every comparison of the sweep, with p of the t test corrected for their number (Holm)."""
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


def _in_words(name: str, value: Any) -> str:
    text = value_text(name, value)
    if name == "real":
        return "all real people" if value == 1 else f"{text} of the real people"
    return f"{text} {NAMES[name]}" if name in NAMES else f"{name} {text}"


def value_text(name: str, value: Any) -> str:
    """A value of an axis in words."""
    return share_in_words(value) if name == "real" else shown(value)


def evenly(places: Sequence[Place], count: int) -> list[Place]:
    """At most so many places, the first and the last among them."""
    if len(places) <= count:
        return list(places)
    return [places[round(i * (len(places) - 1) / (count - 1))] for i in range(count)]


def warnings(view: SweepView) -> Iterable[str]:
    """What keeps the figures from being compared or believed, each in one or two sentences."""
    points = view.result.points
    done = points.filter(pl.col("status") == "done")
    lacking = points.height - done.height
    if lacking:
        failed = points.filter(pl.col("status") == "failed").height
        yield f"{lacking} of {points.height} points have no result ({failed} failed); they are left out."
    unequal = [group for group in view.groups if len({s for place in group.places for s in place.fact("steps")}) > 1]
    if unequal and view.compared.name not in ("steps", "epochs", "batch"):
        steps = sorted({s for group in unequal for place in group.places for s in place.fact("steps")})
        yield (
            f"Confounded: the trainings were {steps[0]:,} to {steps[-1]:,} steps long, the longer the more crops there "
            "were. Part of any difference is the length of the training. --length steps holds it fixed."
        )
    for column, what in (("protocol", "by different protocols"), ("test_hash", "on different crops")):
        if done[column].n_unique() > 1:
            yield f"The runs were evaluated {what}, so their figures must not be compared."
    seeds = min(len(place.rows) for group in view.groups for place in group.places)
    if seeds < 3:
        yield f"There are places with {seeds} seed{'s' if seeds > 1 else ''}: that says next to nothing about chance."
    if view.about_generated and any(axis.name == "real" and min(axis.values) < 1 for axis in view.result.axes):
        yield (
            "The generated crops are the same at every share of the real people. If their generator learned from all "
            "of them, the runs with fewer people have seen, by way of its crops, people that they claim not to have."
        )
