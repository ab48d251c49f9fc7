"""What the page is made of: everything that run folders say, read once and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reidgen.data.schema import UNKNOWN
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, RunError, option
from reidgen.fidelity.result import Fidelity
from reidgen.report.folders import (
    CONVERTED,
    ENCODER,
    EXTENDED,
    FIDELITY,
    FILTERED,
    GENERATED,
    GENERATOR,
    PEOPLE,
    TRANSLATED,
    TRANSLATOR,
    UNSUPERVISED,
    Run,
)
from reidgen.report.sections.reid_runs import ReidRun, read_reid_run, weights_hash

ALONE = (FIDELITY, TRANSLATOR, TRANSLATED, UNSUPERVISED)  # kinds of runs that make a page without an evaluation


@dataclass(frozen=True)
class Evidence:
    """All that the page is made of.

    Attributes:
        baseline: Evaluated runs without generated people, one a seed; may be empty beside runs of `ALONE`.
        extended: Evaluated runs with generated people; may be empty.
        runs: All run folders, those of the evaluations first.
    """

    baseline: Sequence[ReidRun]
    extended: Sequence[ReidRun]
    runs: Sequence[Run]

    @classmethod
    def read(cls, baseline: Sequence[Path], extended: Sequence[Path], runs: Sequence[Path]) -> "Evidence":
        """Read all folders.

        Args:
            baseline: Evaluation folders.
            extended: Evaluation folders.
            runs: Folders of other stages, in any order; at most one each of those that the page shows once.

        Raises:
            RunError: A folder is not of a finished run, or of another stage than it should be.
            ConfigError: There is neither a baseline nor a run of `ALONE`, a folder or a seed comes twice in a
                group, or there are two of a kind.
        """
        others = [Run.read(path) for path in runs]
        evaluations = [[_evaluation(path) for path in group] for group in (baseline, extended)]
        trainings = {weights_hash(run): run for run in others if run.kind == "train-reid"}
        before, after = ([read_reid_run(run, trainings) for run in group] for group in evaluations)
        _check(before, after, others)
        return cls(before, after, [*others, *evaluations[0], *evaluations[1]])

    def only(self, kind: str) -> Run | None:
        """The run of a kind that the page shows once."""
        return next((run for run in self.runs if run.kind == kind), None)

    @cached_property
    def people(self) -> ReidTable | None:
        """The real or rendered people, from the first that is there: a prepared, annotated or extended table."""
        run = self.only(PEOPLE) or self.only("annotate") or self.only(EXTENDED)
        return None if run is None else ReidTable.read(run.path)

    @cached_property
    def generated(self) -> ReidTable | None:
        """The generated crops, with verdicts where they were filtered."""
        run = self.only(FILTERED) or self.only(GENERATED)
        return None if run is None else ReidTable.read(run.path)

    @cached_property
    def trainings_of_generator(self) -> list[dict[str, Any]]:
        """Facts of the generator's training and of those it was transferred from; empty where no run tells them.

        Weights that came from elsewhere have facts without `origins` and `split`.
        """
        run, made = self.only(GENERATOR) or self.only(CONVERTED), self.only(GENERATED)
        if run is None and made is None:
            return []
        facts = run.record["summary"] if run is not None else made.record["summary"]["generator_training"]  # type: ignore[union-attr]
        return [*facts.get("ancestors", []), facts]

    @cached_property
    def fidelity(self) -> list[Fidelity]:
        """What measurements of generated crops found, in the order of their folders."""
        return [Fidelity.read(run.path) for run in self.runs if run.kind == FIDELITY]

    @cached_property
    def trainings_of_translators(self) -> list[dict[str, Any]]:
        """Facts of the translators' trainings, from their own runs and from those of translated crops."""
        own = [run.record["summary"] for run in self.runs if run.kind == TRANSLATOR]
        made = [run.record["summary"]["translator_training"] for run in self.runs if run.kind == TRANSLATED]
        return [*own, *(facts for several in made for facts in several)]

    @property
    def learned_from(self) -> frozenset[str]:
        """Origins of all crops that the generator has seen, `unknown` among them; empty where no run tells them.

        Variants of people were made to look like these people, so the generator has seen them in effect. Of crops that
        another program made nobody knows it.
        """
        trainings = [*self.trainings_of_generator, *self.trainings_of_translators]
        seen = frozenset(origin for facts in trainings for origin in facts.get("origins", ["unknown"]))
        made = self.generated
        if any((one.rows["generator"] == UNKNOWN).any() for one in (made, self.people) if one is not None):
            seen |= {"unknown"}
        if made is None or "parent_origin" not in made.rows.columns:
            return seen
        return seen | frozenset(made.rows["parent_origin"].fill_null("unknown"))

    @property
    def generator_splits(self) -> frozenset[str]:
        """The splits that the generator has seen, `unknown` among them."""
        trainings = [*self.trainings_of_generator, *self.trainings_of_translators]
        return frozenset(facts.get("split", "unknown") for facts in trainings)

    @property
    def protocols(self) -> list[str]:
        """Every protocol that a figure on the page was made by, with the sizes of its test."""
        return list(dict.fromkeys(run.test_in_words for run in (*self.baseline, *self.extended)))


def _evaluation(path: Path) -> Run:
    run = Run.read(path)
    if run.kind != "evaluate":
        raise RunError(
            f"{path} is not an evaluation.",
            got=f"a run of {run.record['stage']}",
            allowed="a folder of reidgen evaluate",
            fix=f"{option('runs')} for folders of other stages",
        )
    return run


def _check(baseline: Sequence[ReidRun], extended: Sequence[ReidRun], others: Sequence[Run]) -> None:
    if not baseline and (extended or not any(run.kind in ALONE for run in others)):
        raise ConfigError(
            "A report needs at least one baseline.",
            got="none",
            allowed=f"folders of reidgen evaluate; or none, and a folder of {', '.join(ALONE)} among {option('runs')}",
            fix=option(baseline="DIR"),
        )
    for name, runs in (("baseline", baseline), ("extended", extended)):
        seeds = [run.seed for run in runs]
        if len(set(seeds)) < len(seeds):
            raise ConfigError(
                f"Two runs of the {name} have one seed, so they are the same run or differ in more than the seed.",
                got=", ".join(f"{run.name} (seed {run.seed})" for run in runs),
                allowed="one evaluation a seed",
            )
    for kind in (PEOPLE, GENERATOR, CONVERTED, ENCODER, GENERATED, FILTERED, EXTENDED):
        several = [str(run.path) for run in others if run.kind == kind]
        if len(several) > 1:
            raise ConfigError(f"{option('runs')} has two folders of one kind.", got=", ".join(several), allowed="one")
