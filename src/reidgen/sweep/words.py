"""Errors of the stages that a sweep is made of, with the options as they are typed for a sweep."""

import dataclasses
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from reidgen.config import ExtendConfig, ReidConfig
from reidgen.errors import ConfigError, DataError

OPTION = re.compile(r"--([a-z][a-z-]*)( \d+| [a-z]+(?=$|[,;]))?")


@contextmanager
def in_words_of_sweep(varied: Collection[str]) -> Iterator[None]:
    """Name the options in an error of extend or train-reid as a sweep has them: `--axis`, `--extend...`, `--reid...`.

    Args:
        varied: Names of the sweep's axes.

    Raises:
        ConfigError: The same error in other words.
        DataError: Likewise.
    """
    try:
        yield
    except (ConfigError, DataError) as error:
        said = {part: getattr(error, part) for part in ("got", "allowed", "fix")}
        more = {part: text if text is None else translated(str(text), varied) for part, text in said.items()}
        raise type(error)(translated(error.what, varied), **more) from error


def translated(text: str, varied: Collection[str]) -> str:
    """A text with the options of extend and train-reid as those of sweep; whole commands stay as they are."""
    clauses = re.split(r"(, or |, and |; )", text)
    return "".join(
        clause if "reidgen " in clause else OPTION.sub(lambda found: _option(found, varied), clause)
        for clause in clauses
    )


def _option(found: re.Match[str], varied: Collection[str]) -> str:
    """`--people 6`, where people are varied, becomes `--axis people=...` with values up to 6."""
    name, value = found[1].replace("-", "_"), found[2] or ""
    if name in varied:
        if not value:
            return f"--axis {name}"
        return f"--axis {name}=...,{value.strip()}" if value.strip().isdigit() else f"--axis {name}={value.strip()}"
    for part, config in (("extend", ExtendConfig), ("reid", ReidConfig)):
        if name in {field.name for field in dataclasses.fields(config)}:
            return f"--{part}.{found[1]}{value}"
    return found[0]
