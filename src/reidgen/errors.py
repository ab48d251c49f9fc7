"""Errors that a user can act on: what is wrong, what was given, what is allowed, what to type."""

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a file could steer a terminal with


class ReidgenError(ValueError):
    """An error of the user's input, told in four parts; control characters in what a file said are spelt out.

    Args:
        what: One sentence that names the file, column or option and says what is wrong with it.
        got: What was found there.
        allowed: What would have been accepted.
        fix: What to type or change.
    """

    def __init__(self, what: str, *, got: object = None, allowed: object = None, fix: str | None = None) -> None:
        self.what, self.got, self.allowed, self.fix = what, got, allowed, fix
        parts = [what]
        parts += [
            f"  {name}: {text}" for name, text in (("got", got), ("allowed", allowed), ("try", fix)) if text is not None
        ]
        super().__init__(spelt_out("\n".join(parts)))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes from one process to another, whatever its own arguments are."""
        return _again, (type(self), self.what, self.got, self.allowed, self.fix)


def spelt_out(text: str) -> str:
    """A text for a terminal in which control characters, such as of a file's name, are escaped; lines stay lines."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def command(*words: object) -> str:
    """A command line that can be pasted into a shell, whatever is in the names of its files."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


def _again(kind: type[ReidgenError], what: str, got: object, allowed: object, fix: str | None) -> ReidgenError:
    error = kind.__new__(kind)
    ReidgenError.__init__(error, what, got=got, allowed=allowed, fix=fix)
    return error


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
