"""From the description of a sweep to its points and runs: the whole grid, and which points are the same training."""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from reidgen.config import ExtendConfig, ReidConfig, SweepConfig, UnsupervisedConfig, require
from reidgen.config.base import refilled
from reidgen.config.reid.ways import WAYS
from reidgen.config.sweep.arms import BASELINE, Arm
from reidgen.config.sweep.axes import Axis, share_in_words, shown
from reidgen.errors import ConfigError, option
from reidgen.reid.ranking.rankings import as_trained

Training = ReidConfig | UnsupervisedConfig
ABOUT_GENERATED = "generated_"  # options of train-reid with these names say nothing where there are no generated crops


@dataclass(frozen=True)
class Job:
    """One training and its evaluation.

    Attributes:
        name: Its folder below the sweep's `runs`.
        seed: Of the training, and of the choice of real people.
        share: Share of the real train people.
        extend: What is added; None adds nothing.
        training: The training.
        generated: Folder of its arm's table; None: the sweep's.
    """

    name: str
    seed: int
    share: float
    extend: ExtendConfig | None
    training: Training
    generated: str | None = None

    @property
    def takes_generated(self) -> bool:
        """Whether it has a use for generated crops."""
        blind = isinstance(self.training, UnsupervisedConfig) and self.training.takes_generated
        return blind or self.extend is not None

    @property
    def steps(self) -> int | None:
        """Its length, where that does not hang on its crops."""
        one = self.training
        return one.epochs * one.epoch_steps if isinstance(one, UnsupervisedConfig) else one.steps


@dataclass(frozen=True)
class Point:
    """A place of the grid with a seed, and its job; the points without generated crops share one."""

    values: dict[str, Any]
    job: Job


def plan(config: SweepConfig, *, generated: bool, steps_of: Callable[[ReidConfig], int] | None = None) -> list[Point]:
    """All points of a sweep: values of the first axis outermost, seeds innermost.

    Args:
        config: The sweep.
        generated: Whether there is a table of generated crops.
        steps_of: Steps of a training that has none of its own, by the epochs on all of the real table; None leaves
            each training its epochs.

    Raises:
        ConfigError: An axis needs generated crops and there are none, or a combination of values is not allowed.
    """
    axes = config.axes
    require(
        bool(axes),
        "The sweep has no axis.",
        got="none",
        allowed=f"{option('preset')} or {option('axis')}",
        fix=option(preset="people"),
    )
    require(
        not (generated and config.arms),
        "Each arm has its own generated crops.",
        got=option("generated"),
        allowed=option(arm="NAME: generated=DIR"),
        fix=f"leave {option('generated')} out",
    )
    labels = config.trains == "reid"
    if not (labels and generated) and not any(arm.generated for arm in config.arms):
        _check_needs_none(axes, config)
    arms = {arm.name: arm for arm in config.arms}
    points = []
    for values in itertools.product(*(axis.values for axis in axes)):
        made = dict(zip((axis.name for axis in axes), values, strict=True))
        arm = arms.get(made.get("arm", BASELINE), Arm())
        own = (*axes, *arm.options), {**made, **{one.name: one.values[0] for one in arm.options}}
        extend = _extend(config, *own) if labels and (generated or arm.generated) else None
        training = _training(config, *own, extend is not None)
        if arm.options:
            plain = _with_steps(_training(config, axes, made, False), config, steps_of)
            training = _as_long(training, plain, arm, config)
        else:
            training = _with_steps(training, config, steps_of)
        name = _name(axes, made, extend is not None)
        share = made.get("real", 1.0)
        for seed in config.all_seeds:
            seeded = dataclasses.replace(training, seed=seed)
            job = Job(f"{name}/seed-{seed}", seed, share, extend, seeded, arm.generated)
            points.append(Point(made, job))
    unused = config.reid.generated_features is not None and all(
        getattr(point.job.training, "generated_features", None) is None for point in points
    )
    taken = labels or not generated or any(point.job.takes_generated for point in points)
    require(
        taken,
        "No training of the sweep takes generated crops.",
        got=option("generated"),
        allowed=f"{option(preset='ways')}, or {option('unsupervised.views')} or {option('unsupervised.generated_use')}",
        fix=f"leave {option('generated')} out",
    )
    require(
        not unused,
        f"{option('reid.generated_features')} belong to label slsr, which no point has.",
        got=str(config.reid.generated_features),
        allowed="a sweep with slsr, or no features",
        fix=option(axis="generated_label=lsro,slsr"),
    )
    return points


def jobs(points: Iterable[Point]) -> list[Job]:
    """Each job once, in the order of its first point."""
    return list({point.job.name: point.job for point in points}.values())


def _check_needs_none(axes: Iterable[Axis], config: SweepConfig) -> None:
    needy = next((axis.name for axis in axes if axis.where == "extend" or axis.name == "generated"), None)
    if needy is not None or config.extend != ExtendConfig():
        raise ConfigError(
            f"{option('axis' if needy else 'extend')}{f' {needy}' if needy else ''} needs generated crops.",
            got=f"no {option('generated')}" if config.trains == "reid" else option(trains=config.trains),
            allowed=f"the {option('out')} of reidgen filter or generate, and {option(trains='reid')}",
            fix=option(generated="runs/kept"),
        )


def _extend(config: SweepConfig, axes: Iterable[Axis], made: dict[str, Any]) -> ExtendConfig | None:
    """What a combination adds; None for no crop at all."""
    changes = {axis.name: made[axis.name] for axis in axes if axis.where == "extend"}
    extend = dataclasses.replace(config.extend, **changes)
    nothing = made.get("generated") == "without" or 0 in (extend.people, extend.crops_per_person)
    return None if nothing else extend


def _training(config: SweepConfig, axes: Iterable[Axis], made: dict[str, Any], generated: bool) -> Training:
    ours = [axis for axis in axes if axis.where == "training"]
    outer = {axis.field: made[axis.name] for axis in ours if "." not in axis.field}
    nested: dict[str, dict[str, Any]] = {}
    for axis in ours:
        field, _, inner = axis.field.partition(".")
        if inner:
            nested.setdefault(field, {})[inner] = made[axis.name]
    base: Training = config.training
    recipe = outer.pop("recipe", base.recipe)
    base = base if recipe == base.recipe else refilled(base, "recipe", recipe)
    inner_configs = {name: dataclasses.replace(getattr(base, name), **new) for name, new in nested.items()}
    training = dataclasses.replace(base, **{**outer, **inner_configs})
    if isinstance(training, UnsupervisedConfig):
        return _in_way(training, made.get("way", "baseline"), config)
    if not generated:
        return without_generated(training)
    return training if training.generated_label == "slsr" else dataclasses.replace(training, generated_features=None)


def _in_way(training: UnsupervisedConfig, name: str, config: SweepConfig) -> UnsupervisedConfig:
    """A training in a way of using turned people; at lengths of epochs with those that the source gave it."""
    training = dataclasses.replace(training, **WAYS[name])
    twice = config.length == "epochs" and training.longer
    return dataclasses.replace(training, epochs=2 * training.epochs) if twice else training


def _with_steps(training: Training, config: SweepConfig, steps_of: Callable[[ReidConfig], int] | None) -> Training:
    """A training that has epochs alone with the steps that these are on all of the real table."""
    if isinstance(training, ReidConfig) and training.steps is None and config.length == "steps" and steps_of:
        return dataclasses.replace(training, steps=steps_of(training))
    return training


def _as_long(training: Training, plain: Training, arm: Arm, config: SweepConfig) -> ReidConfig:
    """An arm's training with the length of the baseline's.

    Raises:
        ConfigError: The arm asks for another length or batch, or its networks would be tested in another way.
    """
    assert isinstance(training, ReidConfig) and isinstance(plain, ReidConfig), "arms are trainings with labels"
    lengths = [one.name for one in arm.options if one.name in ("steps", "epochs")]
    require(
        not lengths and training.batch == plain.batch,
        f"{option('arm')} {arm.name} is a training of another length than the baseline.",
        got=", ".join(lengths) or f"batch {training.batch}",
        allowed=f"the baseline's steps and batch {plain.batch}",
        fix=f"batch={plain.batch} in the arm, and {option('reid.steps')} for all",
    )
    tests = [as_trained(config.evaluate, one) for one in (plain, training)]
    require(
        tests[0] == tests[1],
        f"{option('arm')} {arm.name} is tested in another way than the baseline, by its recipe.",
        got=f"{tests[1].metric}, flip {tests[1].flip}",
        allowed=f"{tests[0].metric}, flip {tests[0].flip}",
        fix=f"{option(**{'evaluate.metric': tests[0].metric})} {option(**{'evaluate.flip': tests[0].flip})}",
    )
    return dataclasses.replace(training, epochs=plain.epochs, steps=plain.steps)


def without_generated(reid: ReidConfig) -> ReidConfig:
    """The same training with the defaults of all options about generated crops."""
    names = [field.name for field in dataclasses.fields(reid) if _about_generated(field.name)]
    silent: dict[str, Any] = {name: getattr(ReidConfig(), name) for name in names}
    return dataclasses.replace(reid, **silent)


def _about_generated(name: str) -> bool:
    return name.startswith(ABOUT_GENERATED)


def _name(axes: Iterable[Axis], made: dict[str, Any], generated: bool) -> str:
    """The folder of a combination: what tells it from others, without what says nothing without generated crops."""
    parts = [] if generated or made.get("arm", BASELINE) != BASELINE else [BASELINE]
    for axis in axes:
        if (
            axis.name == "generated"
            or made[axis.name] == BASELINE
            or (not generated and (axis.where == "extend" or _about_generated(axis.name)))
        ):
            continue
        value = made[axis.name]
        text = share_in_words(value).replace("/", "of") if axis.name == "real" else shown(value)
        parts.append(f"{axis.name}-{text}")
    return "_".join(_safe(part) for part in parts) or "generated"


def _safe(part: str) -> str:
    """A part of a folder's name; where letters had to go, a few digits of a hash keep it from being another's."""
    clean = re.sub(r"[^\w.+-]", "-", part)
    return clean if clean == part else f"{clean}-{hashlib.sha256(part.encode()).hexdigest()[:6]}"
