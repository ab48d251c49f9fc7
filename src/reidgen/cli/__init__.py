"""The command line `reidgen VERB ...`. Imports no torch: each verb loads its stage when it is run."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import tyro

from reidgen.cli.examples import examples
from reidgen.cli.generate import GENERATE
from reidgen.cli.generators import TRAINED
from reidgen.cli.groups import GROUP
from reidgen.cli.machine import HERE
from reidgen.cli.reid import REID
from reidgen.cli.tables import JUDGED, MADE
from reidgen.cli.verb import Verb
from reidgen.errors import ReidgenError, front_end, of_part, on_command_line, respelled
from reidgen.files import DISK_FULL

DESCRIPTION = (
    "Grow a person re-identification training set with generated people, and measure honestly whether it helped."
)
EXIT_USER_ERROR, EXIT_INTERRUPTED, EXIT_UNREAD = 2, 130, 141
VERBS: dict[str, Verb] = {**MADE, **TRAINED, **JUDGED, **REID}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `reidgen VERB ...`; a user's error is printed and ends with status 2."""
    # Threads that wait for work sleep instead of spinning: on a machine that does something else too, spinning made a
    # training ten times slower (docs/log.md). It has to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # a locale may lack what is printed, and a file's name may be no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with front_end(on_command_line):
            try:
                _dispatch(given)
            finally:
                sys.stdout.flush()  # a reader that has gone, such as `head`, shows here at the latest
    except ReidgenError as error:
        sys.exit(_complain(f"error: {error.told(on_command_line)}", EXIT_USER_ERROR))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _unread():
            sys.exit(EXIT_UNREAD)
        if error.filename is None and error.errno not in DISK_FULL:  # no file of the user's: something of ours
            raise
        name = "A file" if error.filename is None else error.filename
        sys.exit(_complain(f"error: {name} cannot be read or written.\n  got: {error.strerror}", EXIT_USER_ERROR))
    except KeyboardInterrupt:
        sys.exit(_complain("stopped; the same command goes on from the last checkpoint.", EXIT_INTERRUPTED))


def _unread() -> bool:
    """Whether the reader of what is printed has gone; what is still to be printed is then dropped."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status


def _dispatch(given: list[str]) -> None:
    if given == ["--version"]:
        import reidgen

        sys.stdout.write(f"reidgen {reidgen.__version__}\n")
    elif given[:1] == ["generate"]:
        _run(_commands(GENERATE, given[1:]), given[1:], "reidgen generate", str(generate.__doc__))
    else:
        before, after = _commands({**MADE, **TRAINED}, given), _commands({**JUDGED, **REID}, given)
        _run({**before, "generate": generate, **after, **HERE}, given, "reidgen", DESCRIPTION)


def generate() -> None:
    """Make crops with a trained generator: people, variants, translations, other views, a video, a grid."""


def _commands(verbs: Mapping[str, Verb], given: Sequence[str]) -> dict[str, Callable[..., Any]]:
    if given and given[0] in verbs:
        verbs[given[0]].check(given)
    return {name: one.command(given) for name, one in verbs.items()}


def _run(commands: dict[str, Callable[..., Any]], given: Sequence[str], prog: str, description: str) -> None:
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            run = tyro.extras.subcommand_cli_from_dict(commands, prog=prog, description=description, args=given)
    except SystemExit as stop:
        if not stop.code:
            sys.stdout.write(examples(f"{prog} {given[0]}".removeprefix("reidgen ") if given else ""))
        _refused(stop, told.getvalue())
    run()


def _refused(stop: SystemExit, told: str) -> NoReturn:
    """What the parser said; or our own error, of a part such as `sweep --reid.dropout`, with that part's options."""
    refusal = stop.__context__
    own = refusal.__context__ if refusal else None
    if not isinstance(own, ReidgenError):
        sys.stderr.write(told)
        raise stop
    part = str(getattr(refusal, "arg", "")).partition(f".{GROUP}")[2].partition(".")[2]
    part = part.removesuffix("augment").removesuffix(".")  # whose errors say it themselves
    raise (respelled(own, of_part(part)) if part else own) from None
