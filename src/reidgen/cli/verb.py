"""What a verb is: a name, the config of its options, and a function whose arguments say what it reads."""

import inspect
import itertools
import json
import sys
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from reidgen.cli.arguments import DRY_RUN, READ, Tensorboard
from reidgen.cli.examples import FIRST
from reidgen.cli.groups import parameters, together
from reidgen.config import as_dict
from reidgen.errors import ConfigError
from reidgen.files import check_apart


@dataclass(frozen=True, kw_only=True)
class Named:
    """An option whose names give the other options their defaults, such as --recipe.

    Attributes:
        option: As it is typed.
        names: All names.
        first: The name where none is given.
        config: The config of a name.
    """

    option: str
    names: Collection[str]
    first: str
    config: Callable[[Any], Any]

    def asked(self, given: Sequence[str]) -> str:
        """The name that a command line gives, read before other options are; a wrong one is left to the parser."""
        values = [after for before, after in itertools.pairwise(given) if before == self.option]
        values += [text.removeprefix(f"{self.option}=") for text in given if text.startswith(f"{self.option}=")]
        return next((name for name in self.names if name in values), self.first)

    def check(self, verb: str, given: Sequence[str]) -> None:
        """Raise `ConfigError` for an option that only other names have; unknown ones are left to the parser."""
        asked, has = self.asked(given), {name: {one.name for one in fields(self.config(name))} for name in self.names}
        for text in given:
            field = text.removeprefix("--").removeprefix("no-").partition("=")[0].replace("-", "_")
            others = [name for name, known in has.items() if field in known]
            if text.startswith("--") and others and field not in has[asked]:
                raise ConfigError(
                    f"{text.partition('=')[0]} goes with other names than {self.option} {asked}.",
                    got=f"{self.option} {asked}",
                    allowed=f"an option of {', '.join(others)}",
                    fix=f"reidgen {verb} {self.option} {asked} --help for its own",
                )


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb of `reidgen`.

    Attributes:
        name: As it is typed, such as `generate people`.
        run: What it does. Its arguments are what is read, `out` and `config`; its first line of words is the help, and
            what it returns is the answer that is printed.
        config: The config with the defaults of its options, or the names that give them.
        trains: Whether it takes --tensorboard.
        plan: What a dry run prints, from the same arguments; by default the name, the arguments and the config.
    """

    name: str
    run: Callable[..., str]
    config: Any
    trains: bool = False
    plan: Callable[..., Mapping[str, Any]] | None = None
    dry_run: str = DRY_RUN

    def command(self, given: Sequence[str] = ()) -> Callable[..., Callable[[], None]]:
        """The function for the parser, with the defaults that a command line asks for; it returns what is to be run."""

        def command(**options: Any) -> Callable[[], None]:
            return lambda: run(**options)

        def run(*, dry_run: bool, tensorboard: bool = False, **told: Any) -> None:
            inputs = together(kind, told)
            if inputs.get("out"):
                check_apart(str(inputs["out"]), [str(inputs[name]) for name in READ if inputs.get(name)])
            if dry_run:
                plan = self.plan(**inputs) if self.plan else self._planned(**inputs)
                sys.stdout.write(f"{json.dumps(plan, indent=2)}\n")
                return
            follow(tensorboard)
            sys.stdout.write(f"{self.run(**inputs)}\n")

        config, name = self._config(given)
        kind, listed = type(config), self._parameters(config, name)
        command.__doc__ = self.run.__doc__
        command.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in listed}
        return command

    def check(self, given: Sequence[str]) -> None:
        """Raise `ConfigError` for an option that the name which a command line asks for does not have."""
        if isinstance(self.config, Named):
            self.config.check(self.name, given)

    def _config(self, given: Sequence[str]) -> tuple[Any, str]:
        """The config with the defaults that a command line asks for, and the name that gives them, if one does."""
        if not isinstance(self.config, Named):
            return self.config, ""
        name = self.config.asked(given)
        return self.config.config(name), name

    def _parameters(self, config: Any, named: str) -> list[inspect.Parameter]:
        """Those of `run` with their types and defaults, the groups of its config, and the flags of every verb."""
        flags: dict[str, Any] = {"dry_run": Annotated[FlagCreatePairsOff[bool], arg(help=self.dry_run)]}
        if self.trains:
            flags = {"tensorboard": Tensorboard, **flags}
        hints = typing.get_type_hints(self.run, include_extras=True)
        defaults = {self.config.option.removeprefix("--"): named} if named else {}
        own = inspect.signature(self.run).parameters
        keyword = inspect.Parameter.KEYWORD_ONLY
        return [
            *(
                inspect.Parameter(name, keyword, annotation=hints[name], default=defaults.get(name, one.default))
                for name, one in own.items()
                if name != "config"
            ),
            *parameters(config, FIRST.get(self.name, ())),
            *(inspect.Parameter(name, keyword, annotation=hint, default=False) for name, hint in flags.items()),
        ]

    def _planned(self, *, config: Any, out: Any = None, **inputs: Any) -> dict[str, Any]:
        said = {name: str(value) for name, value in {**inputs, "out": out}.items()}
        return {"stage": self.name, **said, "config": as_dict(config)}


def verb(name: str, config: Any, **more: Any) -> Callable[[Callable[..., str]], Verb]:
    """The verb of a function: its name, the config of its options, and what else `Verb` has."""
    return lambda run: Verb(name=name, run=run, config=config, **more)


def by_name(*verbs: Verb) -> dict[str, Verb]:
    """Verbs by the last word of their names."""
    return {one.name.rpartition(" ")[2]: one for one in verbs}


def follow(tensorboard: bool) -> None:
    """Let event files follow the metrics of what is run now.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    if tensorboard:
        from reidgen.engine.runs.tensorboard import turn_on

        turn_on()
