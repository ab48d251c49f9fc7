"""What a sweep varies: `NAME=V1,V2,...` read into values of the option that it names."""

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from reidgen.config.base import require
from reidgen.config.extend import ExtendConfig
from reidgen.config.reid import ReidConfig
from reidgen.config.reid.ways import WAYS
from reidgen.errors import ConfigError, option

ALIASES = {"crops": "crops_per_person"}
OWN = ("real", "generated", "way")
NOT_AXES = {
    "seed": f"{option(seeds='N')} repeats each point with N seeds",
    "device": "one for all runs",
    "checkpoint_sec": "one for all runs",
}
LISTED: dict[str, tuple[str, ...]] = {"generated": ("without", "with"), "way": tuple(WAYS)}


@dataclass(frozen=True)
class Axis:
    """One thing that a sweep varies.

    Attributes:
        name: `real` (share of the real train people), `generated` (without or with generated crops), `way` (of using
            turned people in a training without labels), or a field of
            ExtendConfig or of the training's config, nested ones as `augment.pad`; a name that both have is extend's,
            and `reid.NAME` the other's.
        where: Which config has the field; "sweep" for those that are the sweep's own.
        values: In the order given. A share is a float, no limit is None.
    """

    name: str
    where: Literal["sweep", "extend", "training"]
    values: tuple[Any, ...]

    @property
    def field(self) -> str:
        """The field of the config."""
        return self.name.removeprefix("reid.")


def read_axis(text: str, training: type = ReidConfig) -> Axis:
    """Read `people=0,10,...,320`, `real=all,1/2,1/4`, `lr=0.05,0.1` or `size=64x32,128x64`.

    `A,B,...,Z` goes on in steps of B - A up to Z. `all` and `none` stand for no limit, where there may be none.

    Args:
        text: NAME=V1,V2,...
        training: Config of the trainings.

    Raises:
        ConfigError: There is no such option, a value is not one of it, or a value comes twice.

    >>> read_axis("people=0,10,...,40").values
    (0, 10, 20, 30, 40)
    """
    given, equals, listed = text.partition("=")
    name = ALIASES.get(given.strip().replace("-", "_"), given.strip().replace("-", "_"))
    words = [word.strip() for word in listed.split(",")]
    require(
        bool(equals and all(words)),
        f"{option('axis')} has to be a name with values.",
        got=text,
        allowed="NAME=V1,V2,...",
        fix=option(axis="people=0,10,...,320"),
    )
    where, kind = _field(name, training)
    words = _continued(text, words)
    values = tuple(_value(name, kind, word) for word in words)
    require(
        len(set(map(repr, values))) == len(values),
        f"{option('axis')} {given} has a value twice.",
        got=listed,
        allowed="each value once",
    )
    return Axis(name, where, values)


def shown(value: Any) -> str:
    """A value as it is typed: None is `all`, a share a fraction, a size HxW.

    >>> shown((64, 32)), shown(None)
    ('64x32', 'all')
    """
    if value is None:
        return "all"
    if isinstance(value, tuple):
        return ("+" if any(isinstance(part, str) for part in value) else "x").join(map(str, value))
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def share_in_words(share: float) -> str:
    """`all`, `1/2`, or the number.

    >>> share_in_words(0.25)
    '1/4'
    """
    fraction = Fraction(share).limit_denominator(1000)
    return "all" if share == 1 else str(fraction) if math.isclose(float(fraction), share) else f"{share:g}"


def fields_of(config: type) -> dict[str, Any]:
    """Type of each field that may be an axis, nested ones as `augment.pad`."""
    hints = typing.get_type_hints(config)
    found = {}
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            found.update({f"{field.name}.{inner}": hint for inner, hint in fields_of(kind).items()})  # type: ignore[arg-type]
        elif field.name not in NOT_AXES:
            found[field.name] = kind
    return found


def _field(name: str, training: type) -> tuple[Literal["sweep", "extend", "training"], Any]:
    if name in NOT_AXES:
        raise ConfigError(f"A sweep does not vary {name}.", got=option(axis=f"{name}=..."), fix=NOT_AXES[name])
    if name in OWN:
        blind = name != "way" or training is not ReidConfig
        require(blind, "A way is of trainings without labels.", got=name, allowed=option(trains="unsupervised"))
        return "sweep", None
    extend, reid = fields_of(ExtendConfig), fields_of(training)
    reid |= {f"reid.{field}": kind for field, kind in reid.items() if field in extend}
    if name in extend:
        return "extend", extend[name]
    if name in reid:
        return "training", reid[name]
    known = (*OWN, *ALIASES, *extend, *reid)
    near = difflib.get_close_matches(name, known, n=1)
    raise ConfigError(
        f"{option('axis')} {name} has to name an option.",
        got=name,
        allowed=", ".join(known),
        fix=option(axis=f"{near[0]}=...") if near else None,
    )


def _continued(text: str, words: list[str]) -> list[str]:
    """`0,10,...,320` written out."""
    if "..." not in words:
        return words
    fix = option(axis="people=0,10,...,320")
    at = words.index("...")
    wrong = f"{option('axis')} {text.partition('=')[0]} does not say how to go on."
    fits = at >= 2 and at == len(words) - 2
    require(fits, wrong, got=text, allowed="two numbers, ..., and the last one", fix=fix)
    try:
        a, b, end = (int(words[i]) for i in (at - 2, at - 1, at + 1))
    except ValueError as error:
        raise ConfigError(wrong, got=text, allowed="whole numbers around ...", fix=fix) from error
    step = b - a
    require(step > 0 and end > b, wrong, got=text, allowed="ascending numbers", fix=fix)
    require((end - b) % step == 0, wrong, got=text, allowed=f"a last number that is {b} and a multiple of {step}")
    return [*words[:at], *(str(n) for n in range(b + step, end + 1, step))]


def _value(name: str, kind: Any, word: str) -> Any:
    if name in LISTED:
        known = LISTED[name]
        require(word in known, f"{option('axis')} {name} has another value.", got=word, allowed=", ".join(known))
        return word
    if name == "real":
        return _share(word)
    try:
        return _typed(kind, word)
    except ValueError as error:
        raise ConfigError(
            f"{option('axis')} {name} has a value of another kind.", got=word, allowed=_kind_in_words(kind)
        ) from error


def _share(word: str) -> float:
    try:
        share = 1.0 if word == "all" else float(Fraction(word))
    except (ValueError, ZeroDivisionError):
        share = -1.0
    allowed = "all, or a share of the real train people from 0 to 1, as 1/4 or 0.25"
    require(
        0 <= share <= 1,
        f"{option('axis')} real takes shares.",
        got=word,
        allowed=allowed,
        fix=option(axis="real=all,1/2,1/4,1/8"),
    )
    return share


def _typed(kind: Any, word: str) -> Any:
    """A word as a value of a type; raises ValueError where it is none."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if type(None) in inner and word in ("all", "none"):
            return None
        for one in inner:
            try:
                return _typed(one, word)
            except ValueError:
                continue
        raise ValueError(word)
    if origin is Literal:
        return _one_of({str(value): value for value in inner}, word)
    if origin is tuple:
        parts = word.split("+" if str in inner else "x")
        kinds = [inner[0]] * len(parts) if inner[-1] is Ellipsis else list(inner)
        if len(parts) != len(kinds):
            raise ValueError(word)
        return tuple(_typed(one, part) for one, part in zip(kinds, parts, strict=True))
    if kind is bool:
        return _one_of({"true": True, "false": False}, word.lower())
    if kind in (int, float, str):
        return kind(word)
    raise ValueError(word)


def _one_of(values: dict[str, Any], word: str) -> Any:
    if word not in values:
        raise ValueError(word)
    return values[word]


def _kind_in_words(kind: Any) -> str:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return ", ".join(map(str, inner))
    if origin is tuple:
        return "words with + between them" if str in inner else "numbers with x between them, as 64x32"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("all" if one is type(None) else _kind_in_words(one) for one in inner)
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "a word")
