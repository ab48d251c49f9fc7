"""What all configs share: plain values for JSON, and checks that raise errors in four parts."""

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from reidgen.errors import ConfigError, option

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What configs are made of: a config inherits its parts, and so has all their fields flat.

    Each part checks its own fields in `__post_init__`, and calls that of the next part first.
    """

    def __post_init__(self) -> None:
        """The end of the chain."""


class GivenBy:
    """The default of a field whose value a named training gives: a recipe, or a preset."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return f"of the {self.what}"


def fill(config: Any, values: Mapping[str, Any]) -> None:
    """Give the fields of a config that have no value yet those of its recipe or preset."""
    for field in dataclasses.fields(config):
        if isinstance(getattr(config, field.name), GivenBy):
            object.__setattr__(config, field.name, values[field.name])


def as_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON types: nested dataclasses become dicts, tuples become lists."""
    return {name: _plain(value) for name, value in dataclasses.asdict(config).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


Config = TypeVar("Config")


def refilled(config: Config, field: str, name: str, **changes: Any) -> Config:
    """A config under another recipe or preset: what it has beyond its own one's values stays, all else becomes new.

    Args:
        config: A config whose recipe or preset gives values.
        field: "recipe" or "preset".
        name: The new one.
        changes: Further fields.

    Raises:
        ConfigError: The name is unknown, or the values do not go together.
    """
    plain: Any = type(config)(**{field: getattr(config, field)})
    names = [one.name for one in dataclasses.fields(plain) if one.name != field]
    own = {one: getattr(config, one) for one in names if getattr(config, one) != getattr(plain, one)}
    return type(config)(**{field: name, **own, **changes})


def from_dict(kind: type[Config], known: Any) -> Config:
    """The config that `as_dict` gave: dicts become the nested dataclasses again, lists tuples.

    Raises:
        ConfigError: There is a field that this version does not know, or a value of another type, or not allowed.
    """
    require(isinstance(known, dict), "A config must be a set of fields.", got=_shown(known), allowed="name: value")
    hints = typing.get_type_hints(kind)
    for name in known:
        require(name in hints, "A config has an unknown field.", got=_shown(name), allowed=", ".join(hints))
    return kind(**{name: typed(hints[name], value, name) for name, value in known.items()})


def typed(hint: Any, value: Any, name: str) -> Any:
    """A value of a JSON file as the type that its field has.

    Args:
        hint: The type: a dataclass, `tuple`, `list`, `dict`, `Literal`, union, plain type, or `Any`.
        value: As JSON has it; lists become tuples where the hint says so, whole numbers stay so where a float may be.
        name: The field, for the error.

    Raises:
        ConfigError: It is of another type, or a whole number of more than 62 bits.
    """
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(typing.cast(type, hint), value)
    kind, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind in (typing.Union, types.UnionType):
        fitting = [one for one in parts if _of(one, value)]
        return typed(fitting[0] if fitting else parts[0], value, name)
    allowed = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
    require(_of(hint, value), f"The field {name} is of another type.", got=_shown(value), allowed=allowed)
    if kind in (tuple, list) and parts:
        each = [parts[0]] * len(value) if kind is list or parts[-1] is Ellipsis else parts
        require(len(each) == len(value), f"{name} has another length.", got=len(value), allowed=len(each))
        return kind(typed(one, item, name) for one, item in zip(each, value, strict=True))
    return tuple(value) if kind is tuple else value


def _of(hint: Any, value: Any) -> bool:
    """Whether a JSON value is of a type, its items aside."""
    kind = typing.get_origin(hint) or hint
    if kind is Literal:
        return any(type(one) is type(value) and one == value for one in typing.get_args(hint))
    if kind in (int, float) and type(value) is int:
        return abs(value) < 2**62
    if kind is tuple:
        return isinstance(value, (list, tuple))
    if dataclasses.is_dataclass(kind):
        return isinstance(value, dict)
    return kind is Any or type(value) is kind


def _shown(value: Any) -> str:
    """A value of a file in a message: short, however long or deep it is."""
    return reprlib.repr(value)


def require(condition: bool, what: str, *, got: object, allowed: object, fix: str | None = None) -> None:
    """Raise `ConfigError` in four parts unless the condition holds."""
    if not condition:
        raise ConfigError(what, got=got, allowed=allowed, fix=fix)


def check_counts(config: Any, *names: str) -> None:
    """Raise `ConfigError` unless each named field is at least 1, or None."""
    for name in names:
        value = getattr(config, name)
        what, fix = f"{option(name)} must be positive.", f"{option(**{name: 1})}, or more"
        require(value is None or value >= 1, what, got=value, allowed=">= 1", fix=fix)


def check_not_negative(config: Any, *names: str) -> None:
    """Raise `ConfigError` unless each named field is finite and at least 0, or None."""
    for name in names:
        value, what = getattr(config, name), f"{option(name)} must not be negative."
        _check_finite(name, value, ">= 0")
        require(value is None or value >= 0, what, got=value, allowed=">= 0", fix=option(**{name: 0}))


def check_positive(config: Any, *names: str) -> None:
    """Raise `ConfigError` unless each named field is finite and above 0."""
    for name in names:
        value = getattr(config, name)
        _check_finite(name, value, "> 0")
        require(value > 0, f"{option(name)} must be positive.", got=value, allowed="> 0")


def _check_finite(name: str, value: float | None, allowed: str) -> None:
    finite = value is None or math.isfinite(value)
    require(finite, f"{option(name)} must be a finite number.", got=value, allowed=allowed)


def check_seed(seed: int) -> None:
    """Raise `ConfigError` for a negative seed."""
    require(seed >= 0, f"{option('seed')} must not be negative.", got=seed, allowed=">= 0", fix=option(seed=0))


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raise `ConfigError` unless (height, width) are between 4 and 1024; name is the field."""
    height, width = size
    require(
        4 <= height <= 1024 and 4 <= width <= 1024,
        f"{option(name)} must be a size that can be used.",
        got=f"{height}x{width}",
        allowed="(height, width), each from 4 to 1024",
        fix=option(**{name: (128, 64)}),
    )


def check_between(config: Any, low: float, high: float, *names: str) -> None:
    """Raise `ConfigError` unless each named field lies from `low` to `high`, both included, or is None."""
    for name in names:
        value = getattr(config, name)
        inside = value is None or low <= value <= high
        require(inside, f"{option(name)} is out of range.", got=value, allowed=f"{low:g} to {high:g}")


def check_shares(config: Any, *names: str) -> None:
    """Raise `ConfigError` unless each named field, or each number of it, is from 0 to 1."""
    for name in names:
        value = getattr(config, name)
        for share in value if isinstance(value, tuple) else (value,):
            require(0 <= share <= 1, f"{option(name)} is a share.", got=share, allowed="0 to 1")
