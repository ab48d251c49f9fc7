"""Errors that a user can act on: what is wrong, what was given, what is allowed, what to type."""

from typing import Any


class ReidgenError(ValueError):
    """An error of the user's input, told in four parts.

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
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes from one process to another, whatever its own arguments are."""
        return _again, (type(self), self.what, self.got, self.allowed, self.fix)


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
