"""A sweep in plain words: its heading, its first sentence, and what keeps it from being believed."""

from collections.abc import Iterable

import polars as pl

from reidgen.config import ReportConfig
from reidgen.report.statistics.significance import LEVEL
from reidgen.report.sweep.points import NAMES, Group, Place, SweepView, capital, in_words
from reidgen.report.sweep.worth import sentences

HEADINGS = {
    "people": "Did generated people help?",
    "crops_per_person": "Did generated crops of each person help?",
    "generated": "Did generated crops help?",
    "arm": "What are they worth?",
    "real": "What does the number of real people change?",
}
OWN_LENGTH = ("steps", "epochs", "batch")  # axes that are about the length of a training


def heading(view: SweepView, config: ReportConfig) -> str:
    """The title that was given, or a question about what the sweep compares."""
    if config.title != ReportConfig().title:
        return config.title
    return HEADINGS.get(view.compared.name, f"What does {view.compared.name} change?")


def headline(view: SweepView) -> str:
    """A few sentences: the last value, or each arm, against the reference, settled before, and how many differ."""
    group = view.leading
    if group.reference is None or not group.others:
        return "There is nothing to compare yet: the reference, or every other place, has no finished run."
    arms = view.compared.name == "arm"
    worths = sentences(view)[-1:] if arms else []
    told = group.others if arms and not worths else group.others[-1:]
    return " ".join([*worths, *(_first(view, group, group.reference, one) for one in told), _count(view)]).strip()


def _first(view: SweepView, group: Group, reference: Place, last: Place) -> str:
    name = f"“{last.value}”" if view.compared.name == "arm" else view.name(last.value)
    begin = f"{capital(name) if view.compared.name in NAMES else name}{f' ({group.label})' if group.label else ''}"
    compared = group.compare(last, "mAP")
    if compared is None:
        return f"{begin} cannot be compared with {view.name(reference.value)} yet: no seed has finished both."
    told = compared.told
    shared = [seed for seed in reference.rows if seed in last.rows]
    before, after = (place.spread("mAP", seeds=shared).percent() for place in (reference, last))
    some = len(shared) < max(len(reference.rows), len(last.rows))
    rest = f" over the {told.pairs} seed{'s' if told.pairs > 1 else ''} that both have" if some else ""
    interval = f", 95 % interval {told.interval()}" if told.interval() else ""
    chance = {"noise": " It holds zero, so this may be chance.", "single": " One seed cannot tell this from chance."}
    return (
        f"{begin}: mAP went from {before} % ({view.name(reference.value)}) to {after} %{rest}, {told.points()} "
        f"points{interval}.{chance.get(told.verdict, '')}"
    )


def _count(view: SweepView) -> str:
    every = view.compared_all("mAP")
    tested = [(told, p) for _, _, told, p in every if p is not None]
    if len(every) < 2:
        return ""
    if not tested:
        return "No comparison of the sweep has two seeds on both sides, so none was tested."
    real = [told for told, p in tested if p < LEVEL]
    better = sum(told.told.mean > 0 for told in real)
    which = "of the sweep" if len(tested) == len(every) else f"that could be tested (of {len(every)})"
    return (
        f"Of the {len(tested)} comparison{'s' if len(tested) > 1 else ''} {which}, {_are(better)} better and "
        f"{_are(len(real) - better)} worse beyond chance (paired t, corrected by Holm, p < {LEVEL:g})."
    )


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def small_print(view: SweepView) -> str:
    """Seeds, spread, length of the trainings, and what all runs have."""
    seeds = sorted({seed for group in view.groups for place in group.places for seed in place.rows})
    several = any(len(place.rows) > 1 for group in view.groups for place in group.places)
    listed = ", ".join(map(str, seeds))
    spread = (
        f"Means over seeds {listed}; ± is the sample standard deviation" if several else f"Single runs, seed {listed}"
    )
    fixed = ", ".join(in_words(name, value) for name, value in view.fixed.items())
    return f"{spread}; {_length(view)}.{f' In all runs: {fixed}.' if fixed else ''}"


def _length(view: SweepView) -> str:
    steps = [_facts(group, "steps") for group in view.groups]
    if all(len(one) <= 1 for one in steps):
        return (
            "equal optimisation steps" if len(set.union(*steps)) == 1 else "equal optimisation steps in each comparison"
        )
    if view.result.config.length == "epochs" and all(len(_facts(group, "epochs")) == 1 for group in view.groups):
        return "equal epochs"
    return f"trainings of {_range(set.union(*steps))} steps"


def _facts(group: Group, name: str) -> set[float]:
    """Of the runs that learned; a network that is measured as it starts has no length."""
    return {value for place in group.places for row in place.rows.values() for value in [row[name]] if row["steps"]}


def _range(values: set[float]) -> str:
    return f"{min(values):,} to {max(values):,}"


def warnings(view: SweepView) -> Iterable[str]:
    """What keeps the figures from being compared or believed, each in one or two sentences."""
    points = view.result.points
    done = points.filter(pl.col("status") == "done")
    lacking = points.height - done.height
    if lacking:
        failed = points.filter(pl.col("status") == "failed").height
        yield (
            f"{lacking} of {points.height} points have no result ({failed} failed); they are left out, and each "
            "comparison rests on the seeds that both its sides have."
        )
    yield from _confounds(view)
    for column, what in (("protocol", "by different protocols"), ("test_hash", "on different crops")):
        if done[column].n_unique() > 1:
            yield f"The runs were evaluated {what}, so their figures must not be compared."
    seeds = min(len(place.rows) for group in view.groups for place in group.places)
    if seeds < 3:
        yield f"There are places with {seeds} seed{'s' if seeds > 1 else ''}: that says next to nothing about chance."
    arms = view.result.config.arms
    added = any(arm.generated for arm in arms) if arms else view.about_generated
    if added and any(axis.name == "real" and min(axis.values) < 1 for axis in view.result.axes):
        yield (
            "The generated crops are the same at every share of the real people. If their generator learned from all "
            "of them, the runs with fewer people have seen, by way of its crops, people that they claim not to have."
        )


def _confounds(view: SweepView) -> Iterable[str]:
    """Trainings of one comparison that are not equally long."""
    unequal = [group for group in view.groups if len(_facts(group, "steps")) > 1]
    if not unequal or view.compared.name in OWN_LENGTH:
        return
    steps = _range(set.union(*(_facts(group, "steps") for group in unequal)))
    part = "Part of any difference is the length of the training."
    if view.result.config.length == "epochs" and all(map(_grow, unequal)):
        yield (
            f"Confounded: the trainings were {steps} steps long, the longer the more crops there were. {part} Length "
            '"steps" holds it fixed.'
        )
    else:
        yield (
            f"Confounded: the compared trainings were {steps} steps long. {part} "
            "The option reid.steps gives all as many."
        )


def _grow(group: Group) -> bool:
    """Whether the runs have more steps where they have more crops, and only there."""
    runs = sorted({(row["images"], row["steps"]) for place in group.places for row in place.rows.values()})
    steps = [count for _, count in runs]
    return steps == sorted(steps) and len({images for images, _ in runs}) == len(runs)
