"""The server of the page: bound to this machine alone, until Ctrl-C."""

import contextlib
import getpass
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidgen.config import ViewConfig
from reidgen.errors import ConfigError, importing, option, say
from reidgen.files import check_apart
from reidgen.view.journal import Journal
from reidgen.view.reviewed import check_out, write_reviewed
from reidgen.view.shown import Shown

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

    from reidgen.regenerate import Maker
    from reidgen.view.ranked import Ranker

HOST = "127.0.0.1"


def view(
    folders: Sequence[Path],
    config: ViewConfig,
    *,
    models: Sequence[Path] = (),
    weights: Sequence[Path] = (),
    out: Path | None = None,
) -> list[Path]:
    """Serve the page about some folders until Ctrl-C.

    Args:
        folders: Tables, run folders, or folders of such.
        config: Where it is served, and who reviews.
        models: Run folders of train-reid, whose networks search.
        weights: Generators, translators and rotators that can make crops again.
        out: Folder of the review; None: decisions are not taken.

    Returns:
        The folders of the reviewed tables; none where nothing was decided.

    Raises:
        MissingExtraError: The extra view is not installed.
        ConfigError: The port is in use.
        DataError: A folder holds nothing to show.
        RunError: `out` holds something else than a review.
    """
    with importing("flask", extra="view", purpose="The page"):
        from reidgen.view.app import Answers, application
    shown = Shown.read(folders, without=out if out is not None and out.exists() else None)
    journal = None if out is None else _journal(out, shown, config)
    answers = Answers(shown, journal=journal, makers=_makers(weights, config), rankers=_rankers(models, shown, config))
    with started(lambda token, port: application(answers, token=token, port=port), config.port) as (server, address):
        say(f"{address}  (this machine alone; Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return write_reviewed(journal) if journal is not None and journal.entries() else []


@contextlib.contextmanager
def started(application: "Callable[[str, int], Flask]", port: int) -> "Iterator[tuple[BaseWSGIServer, str]]":
    """A server that listens at a port of this machine, and the address with its token; closed at the end.

    Args:
        application: Makes the application of a token and a port.
        port: 0 takes any that is free.

    Raises:
        ConfigError: The port cannot be had.
    """
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:
            """Nothing: a line for each request helps nobody."""

    with contextlib.closing(_listening(port)) as listening:
        port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
        made = application(token, port)
        server = make_server(HOST, port, made, threaded=True, request_handler=Quiet, fd=listening.fileno())
        with contextlib.closing(server.socket):
            yield server, f"http://{HOST}:{port}/?token={token}"


def _rankers(models: Sequence[Path], shown: Shown, config: ViewConfig) -> "list[Ranker]":
    if not models or not len(shown.crops):
        return []
    from reidgen.view.ranked import Ranker

    return [Ranker(path, shown, device=config.device) for path in models]


def _makers(weights: Sequence[Path], config: ViewConfig) -> "list[Maker]":
    if not weights:
        return []
    from reidgen.view.again import load_makers  # takes seconds to import

    return load_makers(weights, device=config.device)


def _journal(out: Path, shown: Shown, config: ViewConfig) -> Journal:
    check_apart(out, shown.folders)
    check_out(out)
    return Journal(out, shown, config.reviewer or getpass.getuser())


def _listening(port: int) -> socket.socket:
    """A socket at a port of this machine; 0 takes any that is free.

    Raises:
        ConfigError: Something else listens there.
    """
    listening = socket.socket()
    if sys.platform != "win32":  # there it would let two programs have one port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{option('port')} {port} cannot be had.",
            got=(error.strerror or type(error).__name__).lower(),
            allowed="a port that nothing listens at",
            fix=f"{option(port=port + 1)}, or {option(port=0)} for any that is free",
        ) from error
    return listening
