"""Errors that a user can act on: what is wrong, what was given, what is allowed, what to type."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a file could steer a terminal with


_OPTION = re.compile("\x02([a-z0-9_.]+)(?:=([^\x02\x03]*))?\x03")  # as `option` writes it
Raised = TypeVar("Raised", bound="ReidgenError")
Spelling = Callable[[str, object], str]
NO_VALUE: Any = object()  # of an option that is named alone


def option(name: str = "", /, **value: object) -> str:
    """An option in a text of an error, which each front end spells in its own words.

    `option("psi")` is --psi on the command line and psi in Python; `option(psi=0.5)` is --psi 0.5 and psi=0.5.

    Args:
        name: Name of the field or argument.
        value: In place of it, one name with the value that is meant.
    """
    if name:
        return f"\x02{name}\x03"
    ((name, given),) = value.items()
    return f"\x02{name}={json.dumps(given, default=str)}\x03"


def in_python(name: str, value: object = NO_VALUE) -> str:
    """`psi`, or `psi=0.5`."""
    return name if value is NO_VALUE else f"{name}={f'{value:g}' if isinstance(value, float) else repr(value)}"


def on_command_line(name: str, value: object = NO_VALUE) -> str:
    """`--psi`, or `--psi 0.5`; the parts of a tuple one after the other, and yes and no as a flag."""
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{words}" if value else f"--no-{words}"
    values = value if isinstance(value, tuple) else () if value is NO_VALUE else (value,)
    return command(f"--{words}", *(f"{one:g}" if isinstance(one, float) else one for one in values))


def of_part(part: str) -> Spelling:
    """Spells an option as that of a part of a config, itself still an `option`."""

    def of_that(name: str, value: object = NO_VALUE) -> str:
        return option(f"{part}.{name}") if value is NO_VALUE else option(**{f"{part}.{name}": value})

    return of_that


def spelled(text: str, spelling: Spelling = in_python) -> str:
    """A text with its options as a front end spells them."""

    def one(found: re.Match[str]) -> str:
        try:
            value = NO_VALUE if found[2] is None else json.loads(found[2])
        except json.JSONDecodeError:  # the name of a file that looks like an option
            return found[0]
        return spelling(found[1], tuple(value) if isinstance(value, list) else value)

    return _OPTION.sub(one, text)


_SPELLING: ContextVar[Spelling] = ContextVar("_SPELLING", default=in_python)


@contextlib.contextmanager
def front_end(spelling: Spelling) -> Iterator[None]:
    """Within it, `say` spells options so."""
    before = _SPELLING.set(spelling)
    try:
        yield
    finally:
        _SPELLING.reset(before)


def say(text: str) -> None:
    """Write a note or a warning on the error stream, with its options as the front end spells them."""
    sys.stderr.write(spelt_out(spelled(text, _SPELLING.get())) + "\n")
    sys.stderr.flush()


class ReidgenError(ValueError):
    """An error of the user's input, told in four parts; control characters in what a file said are spelt out.

    The options in it are in Python's words; `told` has it in those of another front end.

    Args:
        what: One sentence that names the file, column or `option` and says what is wrong with it.
        got: What was found there.
        allowed: What would have been accepted.
        fix: What to type or change.
    """

    def __init__(self, what: str, *, got: object = None, allowed: object = None, fix: str | None = None) -> None:
        self.parts: dict[str, Any] = {"what": what, "got": got, "allowed": allowed, "fix": fix}
        super().__init__(self.told(in_python))

    what = property(lambda self: self._part("what"))
    got = property(lambda self: self._part("got"))
    allowed = property(lambda self: self._part("allowed"))
    fix = property(lambda self: self._part("fix"))

    def _part(self, name: str) -> Any:
        part = self.parts[name]
        return spelled(part) if isinstance(part, str) else part

    def told(self, spelling: Spelling) -> str:
        """The whole text, with options as a front end spells them."""
        names = {"what": "", "got": "  got: ", "allowed": "  allowed: ", "fix": "  try: "}
        lines = [f"{names[name]}{part}" for name, part in self.parts.items() if part is not None]
        return spelt_out(spelled("\n".join(lines), spelling))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes from one process to another, whatever its own arguments are."""
        return again, (type(self), self.parts)


def again(kind: type[Raised], parts: dict[str, Any], **other: Any) -> Raised:
    """An error of a kind with the parts of another, some of them changed."""
    error = kind.__new__(kind)
    ReidgenError.__init__(error, **{**parts, **other})
    return error


def respelled(error: Raised, spelling: Spelling) -> Raised:
    """An error whose options are other options, as `spelling` names them."""
    return again(
        type(error),
        {name: spelled(part, spelling) if isinstance(part, str) else part for name, part in error.parts.items()},
    )


def spelt_out(text: str) -> str:
    """A text for a terminal in which control characters, such as of a file's name, are escaped; lines stay lines."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def command(*words: object) -> str:
    """A command line that can be pasted into a shell, whatever is in the names of its files.

    >>> command("reidgen", "report", "--title", "two words")
    "reidgen report --title 'two words'"
    """
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


class DataError(ReidgenError):
    """A dataset, a table or an image is not what it should be."""


class ConfigError(ReidgenError):
    """An option has a value that is not allowed, or two options do not go together."""


class WeightsError(ReidgenError):
    """A weight file is missing, damaged, or of another network."""


class RunError(ReidgenError):
    """A run folder belongs to another run, is in use, or is not finished."""


class TrainingError(ReidgenError):
    """A training cannot go on: a loss that is not a number, or memory that ran out."""


class MissingExtraError(ReidgenError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed.",
            fix=f"pip install 'reidgen[{extra}]'",
        )


@contextlib.contextmanager
def importing(package: str, *, extra: str, purpose: str, module: str | None = None) -> Iterator[None]:
    """Around the import of an optional dependency: whatever goes wrong in it is told.

    Raises:
        MissingExtraError: It is not installed.
        ConfigError: It is there and cannot be imported, such as timm beside a torchvision of another torch.
    """
    try:
        yield
    except Exception as error:  # an import runs the package's own code, which raises what it likes
        if isinstance(error, ModuleNotFoundError) and error.name == (module or package):
            raise MissingExtraError(package, extra=extra, purpose=purpose) from error
        raise ConfigError(
            f"{purpose} needs the package {package}, which is installed and cannot be imported.",
            got=f"{type(error).__name__}: {(str(error).splitlines() or ['no reason'])[0]}",
            allowed="packages that fit each other (for timm: a torchvision that was built for this torch)",
            fix=f"python -m pip install --upgrade 'reidgen[{extra}]', or the package that the reason names",
        ) from error
