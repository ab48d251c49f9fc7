"""The answer in plain words, and what keeps it from being believed."""

from collections.abc import Iterator, Sequence
from typing import Any

from reidgen.report.evidence import Evidence
from reidgen.report.sections import fidelity
from reidgen.report.sections.reid_runs import ReidRun
from reidgen.report.statistics.spread import Difference, Spread, difference

FIGURES = {
    "mAP": "mAP",
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "mAP_trapezoid": "mAP, trapezoid",
    "mINP": "mINP",
}
VERDICTS = {
    "up": "Yes, in these runs:",
    "down": "No, they hurt in these runs:",
    "noise": "These runs cannot tell:",
    "single": "One run on each side cannot tell:",
}
NOTHING_EVALUATED = "No network is evaluated here: the page shows what was trained, and says nothing of its worth."


def spread(runs: Sequence[ReidRun], figure: str) -> Spread:
    """A figure over the runs of a group."""
    return Spread(tuple(run.figures[figure] for run in runs))


def compare(evidence: Evidence, figure: str) -> Difference:
    """What the extended runs have more than the baseline."""
    before, after = ({run.seed: run.figures[figure] for run in runs} for runs in (evidence.baseline, evidence.extended))
    return difference(before, after)


def compared_runs(evidence: Evidence) -> tuple[Sequence[ReidRun], Sequence[ReidRun]]:
    """The runs that a difference rests on: where it is paired, those of the seeds that both sides have."""
    sides = evidence.baseline, evidence.extended
    if not evidence.extended or compare(evidence, "mAP").test != "paired":
        return sides
    shared = {run.seed for run in evidence.baseline} & {run.seed for run in evidence.extended}
    before, after = ([run for run in runs if run.seed in shared] for runs in sides)
    return before, after


def headline(evidence: Evidence) -> str:
    """One or two sentences: what was added, what changed, and how sure that is."""
    if not evidence.baseline:
        return fidelity.answer(evidence.fidelity) if evidence.fidelity else NOTHING_EVALUATED
    if not evidence.extended:
        figures = " and ".join(f"{FIGURES[f]} {spread(evidence.baseline, f).percent()} %" for f in ("mAP", "rank1"))
        return f"There is no run with generated people yet. The baseline has {figures} ({_runs(evidence.baseline)})."
    told = compare(evidence, "mAP")
    return f"{VERDICTS[told.verdict]} {_change(evidence, told)} {_certainty(told)}"


def _change(evidence: Evidence, told: Difference) -> str:
    before, after = (spread(runs, "mAP").percent() for runs in compared_runs(evidence))
    what = _added(evidence.extended)
    return f"with {what} in the train split, mAP went from {before} % to {after} %, {told.points()} points."


def _added(extended: Sequence[ReidRun]) -> str:
    facts = extended[0].facts
    new = facts["generated_people"] > 0
    people = f"{facts['generated_people']:,} generated people ({facts['generated_images']:,} crops{_told(facts)})"
    return people if new else "no generated people"


def _told(facts: dict[str, Any]) -> str:
    """What the training made of the generated crops, where that is not their pids at full weight."""
    label, weight = facts.get("generated_label", "table"), facts.get("generated_weight", 1)
    policy = "" if label in ("table", "new", "same") else f', label policy "{label}"'
    return policy if weight == 1 else f"{policy}, weight {weight:g}"


def _certainty(told: Difference) -> str:
    if told.verdict == "single":
        return (
            "Without several seeds on each side this may be chance: in Alvarez-Gonzalez's tables (thesis, 5.10 and "
            "5.11) single runs whose data hardly differ lie half a point apart."
        )
    sure = f"The 95 % interval of the difference is {told.interval()} points"
    if told.verdict == "noise":
        return f"{sure}. It holds zero, so the difference may be chance."
    return f"{sure}, so chance alone is an unlikely reason."


def small_print(evidence: Evidence) -> str:
    """How the figures of the headline were made."""
    if not evidence.baseline:
        return evidence.fidelity[0].seen if evidence.fidelity else ""
    parts = [f"Baseline: {_runs(evidence.baseline)}."]
    if evidence.extended:
        parts.append(f"Extended: {_runs(evidence.extended)}.")
    if max(len(evidence.baseline), len(evidence.extended)) > 1:
        parts.append("± is the sample standard deviation over the seeds.")
    tests = {
        "paired": "The interval is Student's t on the differences of runs with equal seeds.",
        "welch": "The interval is Welch's t, as the seeds of the two sides differ.",
    }
    if evidence.extended:
        told = compare(evidence, "mAP")
        parts.append(tests.get(told.test, ""))
        if 0 < told.pairs < max(len(evidence.baseline), len(evidence.extended)):
            parts.append(f"Difference and interval rest on the {told.pairs} seeds that both sides have.")
    return " ".join(part for part in parts if part)


def _runs(runs: Sequence[ReidRun]) -> str:
    if len(runs) == 1:
        return f"a single run, seed {runs[0].seed}"
    return f"{len(runs)} seeds: {', '.join(str(run.seed) for run in runs)}"


def warnings(evidence: Evidence) -> Iterator[str]:
    """What makes the comparison unfair or the figures wrong, each in one sentence."""
    every = [*evidence.baseline, *evidence.extended]
    yield from _confounds(evidence)
    if len({run.protocol for run in every}) > 1:
        yield "The runs were evaluated by different protocols (see below), so their figures must not be compared."
    if len({run.test for run in every}) > 1:
        yield "The runs were evaluated on different crops, so their figures must not be compared."
    if any(run.facts["generated_images"] for run in evidence.baseline):
        yield "The baseline was trained with generated crops too."
    if evidence.extended and not all(run.facts["generated_images"] for run in evidence.extended):
        yield "An extended run was trained without a generated crop."
    yield from leaks(evidence)


def _confounds(evidence: Evidence) -> Iterator[str]:
    if not evidence.extended:
        return
    before, after = (sorted({run.facts["steps"] for run in runs}) for runs in (evidence.baseline, evidence.extended))
    if before != after:
        yield (
            f"Confounded: the baseline was trained for {_numbers(before)} steps and the extended runs for "
            f"{_numbers(after)}. Part of any difference is the length of the training, not the generated people. Train "
            "both with the same steps."
        )
    configs = [run.config for run in (*evidence.baseline, *evidence.extended)]
    treated = _differing([run.config for run in evidence.extended if run.config is not None])
    changed = sorted(
        name
        for name in _differing([config for config in configs if config is not None])
        if name in treated or not name.startswith("generated_")  # these belong to what the extended runs are about
    )
    if changed:
        yield f"Confounded: the trainings also differ in {', '.join(changed)}."
    if None in configs:
        yield (
            "Not every training is among the runs, so it was not checked that they differ in nothing but the crops and "
            "the seed. Add the folders of reidgen train-reid to the report's runs."
        )


def _differing(configs: Sequence[dict[str, Any]]) -> set[str]:
    """Options of the training, other than its seed and length, that are not equal in all runs."""
    names = {name for config in configs for name in config} - {"seed", "steps", "epochs", "checkpoint_sec", "device"}
    return {name for name in names if any(config.get(name) != configs[0].get(name) for config in configs)}


def leaks(evidence: Evidence) -> Iterator[str]:
    """Whether the generator has seen test people, in one sentence."""
    splits = evidence.generator_splits - {"train"}
    if splits:
        yield (
            f"The generator, or one it was transferred from, learned from the split {' and '.join(sorted(splits))}: it "
            "may have seen test people, and what the re-ID network gains from its crops it may have from them."
        )


def _numbers(values: Sequence[int]) -> str:
    return " and ".join(f"{value:,}" for value in values)
