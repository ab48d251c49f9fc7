"""Arms of a sweep: `NAME: OPTION=VALUE ...` read into what is other than in the baseline."""

import shlex
from dataclasses import dataclass

from reidgen.config.base import require
from reidgen.config.sweep.axes import Axis, read_axis
from reidgen.errors import NO_VALUE, ConfigError, option, respelled

BASELINE = "baseline"
GENERATED = "generated"
EXAMPLE = "rendered start: weights=runs/start"


@dataclass(frozen=True)
class Arm:
    """What a training has that the baseline has not.

    Attributes:
        name: In words, as tables and figures show it.
        generated: Folder of the table that extend adds; None adds nothing.
        options: Options of extend and of the training, as axes of one value each.
    """

    name: str = BASELINE
    generated: str | None = None
    options: tuple[Axis, ...] = ()


def read_arm(text: str) -> Arm:
    """Read `new people: generated=runs/kept label=new generated_label=lsro`; quotes keep spaces within a value.

    Args:
        text: NAME: OPTION=VALUE ...; `generated` is a folder, all else an option that an axis may vary.

    Raises:
        ConfigError: There is no name or no option, no such option, or a value is not one of it.

    >>> read_arm("both: generated=runs/kept weights=runs/start").options[0].values
    ('runs/start',)
    """
    name, _, listed = (part.strip() for part in text.partition(":"))
    try:
        words = [word.partition("=") for word in _words(listed)]
    except ValueError:  # a quotation without its end
        words = []
    require(
        bool(name and words) and all(word[2] for word in words),
        f"{option('arm')} has to be a name with options.",
        got=text,
        allowed="NAME: OPTION=VALUE ...",
        fix=option(arm=EXAMPLE),
    )
    require(name != BASELINE, "No arm is the baseline.", got=name, allowed="another name", fix=option(arm=EXAMPLE))
    folders = [value for key, _, value in words if key == GENERATED]
    options = [_option(name, key, value) for key, _, value in words if key != GENERATED]
    names = [one.name for one in options] + [GENERATED] * len(folders)
    twice = f"{option('arm')} {name} gives an option twice."
    require(len(set(names)) == len(names), twice, got=", ".join(names), allowed="each once")
    require(
        bool(folders) or all(one.where == "training" for one in options),
        f"{option('arm')} {name} says how crops are added, and not which.",
        got=", ".join(names),
        allowed=f"{GENERATED}=DIR beside options of extend",
        fix=option(arm=f"{name}: generated=runs/kept {listed}"),
    )
    return Arm(name, folders[0] if folders else None, tuple(options))


def _words(text: str) -> list[str]:
    """The words of a command line; backslashes, as in paths of Windows, are themselves."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    return list(lexer)


def _option(arm: str, key: str, value: str) -> Axis:
    """One option, with errors that speak of the arm."""

    def of_arm(name: str, value: object = NO_VALUE) -> str:
        if name != "axis":
            return option(name) if value is NO_VALUE else option(**{name: value})
        return option("arm") if value is NO_VALUE else option(arm=f"{arm}: {value}")

    try:
        axis = read_axis(f"{key}={value}")
    except ConfigError as error:
        raise respelled(error, of_arm) from error
    require(
        axis.where != "sweep" and len(axis.values) == 1,
        f"{option('arm')} {arm} has one value for each option of extend or train-reid.",
        got=f"{key}={value}",
        allowed="OPTION=VALUE",
        fix=option(axis=f"{key}={value}"),
    )
    return axis
