"""Errors of the stages that a sweep is made of, with the options as a sweep has them."""

import dataclasses
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from reidgen.config import ExtendConfig, ReidConfig, UnsupervisedConfig
from reidgen.errors import NO_VALUE, ConfigError, DataError, again, option, respelled


@contextmanager
def in_words_of_sweep(varied: Collection[str], training: type = ReidConfig, *, of: str = "") -> Iterator[None]:
    """Name the options in an error of extend or of a training as a sweep has them: `axis`, `extend.NAME`, `reid.NAME`.

    Args:
        varied: Names of the sweep's axes.
        training: Config of the trainings.
        of: What the error is about, told before it: the run of an arm, which has options of its own.

    Raises:
        ConfigError: The same error in other words.
        DataError: Likewise.
    """

    def of_sweep(name: str, value: object = NO_VALUE) -> str:
        return _option(name, value, varied, training)

    try:
        yield
    except (ConfigError, DataError) as error:
        told = respelled(error, of_sweep)
        raise again(
            type(error), told.parts, what=f"{of}: {told.parts['what']}" if of else told.parts["what"]
        ) from error


def _option(name: str, value: object, varied: Collection[str], training: type) -> str:
    """`people`, 6, where people are varied, becomes the axis `people=...,6`: values up to 6."""
    if name in varied:
        if value is NO_VALUE:
            return f"{option('axis')} {name}"
        return option(axis=f"{name}=...,{value}" if isinstance(value, int) else f"{name}={value}")
    own = "unsupervised" if training is UnsupervisedConfig else "reid"
    for part, config in (("extend", ExtendConfig), (own, training)):
        if name in {field.name for field in dataclasses.fields(config)}:
            name = f"{part}.{name}"
            break
    return option(name) if value is NO_VALUE else option(**{name: value})
