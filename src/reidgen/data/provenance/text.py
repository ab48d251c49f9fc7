"""What all kinds of operations share: a text is read back by a pattern whose groups are named as the fields."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import unquote

from reidgen.errors import DataError

DIGITS = 16  # of a file's SHA-256
HASH = f"[0-9a-f]{{{DIGITS}}}"
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


class Operation:
    """How a crop is made; kinds are frozen dataclasses whose `str` fits their pattern.

    Attributes:
        command: That makes such crops.
        form: The text in short, for messages.
        pattern: Of the text. Names in it are percent-encoded; what is left out has the field's default.
    """

    command: ClassVar[str]
    form: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read the text back.

        Raises:
            DataError: It is the text of another kind, or of a version that wrote less down.
        """
        found = cls.pattern.fullmatch(text or "")
        if found is None:
            raise DataError(
                f"The crop was made by another command than {cls.command}, or by another version of it.",
                got=f"operation {text!r}",
                allowed=cls.form,
            )
        kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        parts = found.groupdict().items()
        return cls(**{name: _value(kinds[name], part) for name, part in parts if part is not None})

    def in_words(self, row: Mapping[str, Any]) -> str:
        """How the crop of a row came about."""
        raise NotImplementedError


def maker(row: Mapping[str, Any]) -> str:
    """The weights that a row names, by the first digits of their hash."""
    return (row["generator"] or "of an unknown hash")[:8]


def _value(kind: Any, text: str) -> Any:
    if kind in (int, int | None):
        return int(text)
    if kind is float:
        return float(text)
    return unquote(text) if kind in (str, str | None) else tuple(map(int, re.findall(r"\d+", text)))
