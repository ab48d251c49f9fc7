"""What the page asks its server: addresses, and the answers."""

import base64
import secrets
import struct
import tempfile
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flask import Flask, Response, abort, jsonify, request
from PIL import Image

from reidgen.data.pixels.images import read_rgb
from reidgen.errors import DataError, RunError, option
from reidgen.view.curves import curves
from reidgen.view.guard import guarded
from reidgen.view.journal import Journal
from reidgen.view.relatives import Relatives, in_words
from reidgen.view.reviewed import write_reviewed
from reidgen.view.shown import Shown
from reidgen.view.thumbnails import coded, thumbnails

if TYPE_CHECKING:
    from reidgen.regenerate import Maker
    from reidgen.view.ranked import Query, Ranker

ASSETS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
AT_ONCE = 400  # thumbnails in one answer
PICTURES = 16  # brought from elsewhere, that are kept


class Answers:
    """The answers about some tables and runs; each method is an address.

    Args:
        shown: Tables and runs.
        journal: Where decisions go; None: the page is to look alone.
        makers: What can make crops again.
        rankers: Networks that search.
    """

    def __init__(
        self,
        shown: Shown,
        *,
        journal: Journal | None = None,
        makers: "Sequence[Maker]" = (),
        rankers: "Sequence[Ranker]" = (),
    ) -> None:
        self.shown, self.journal, self.makers, self.rankers = shown, journal, makers, rankers
        self._pictures: dict[str, Image.Image] = {}  # that were brought to be searched for, the last few
        self.columns = shown.columns()
        self._computing = threading.Lock()  # one network at a time

    def index(self) -> Response:
        """The page itself."""
        return self.asset("index.html")

    def asset(self, name: str) -> Response:
        """One of its files."""
        file = files("reidgen.view") / "assets" / name
        kind = ASSETS.get(name.rpartition(".")[2])
        if kind is None or not file.is_file():
            abort(404, f"There is no {name!a}.")
        return Response(file.read_bytes(), mimetype=kind)

    def about(self) -> Response:
        """What there is: the columns and their words, the runs."""
        named = {name: labels for name, (_, labels) in self.columns.items()}
        who = None if self.journal is None else self.journal.who
        runs, networks = [str(run) for run in self.shown.runs], [one.name for one in self.rankers]
        known = {"crops": len(self.shown.crops), "columns": named, "scores": self.shown.scores}
        return jsonify(**known, reviewer=who, runs=runs, networks=networks)

    def column(self, name: str) -> Response:
        """A column as little-endian int32, float64 or, of scores, float32."""
        if name not in self.columns:
            abort(404, f"There is no column {name!a}.")
        values = self.columns[name][0]
        return Response(values.astype(values.dtype.newbyteorder("<")).tobytes(), mimetype="application/octet-stream")

    def thumbnails(self) -> Response:
        """Thumbnails of the crops `rows`: their lengths as uint32, then the files; none of a crop that is not read."""
        rows = self._rows(request.args.get("rows", ""))
        chosen = self.shown.crops.take(rows)
        made = thumbnails(list(zip(chosen.paths, chosen.shown, strict=True)))
        lengths = struct.pack(f"<{len(made)}I", *map(len, made))
        return Response(b"".join([lengths, *made]), mimetype="application/octet-stream")

    def picture(self, row: int) -> Response:
        """A crop in its own size, coded anew: what else its file holds does not get out."""
        chosen = self.shown.crops.take(self._rows(str(row)))
        picture = read_rgb(chosen.paths[0], shown=chosen.shown[0])
        return Response(coded(picture, "PNG"), mimetype="image/png")

    @cached_property
    def relatives(self) -> Relatives:
        """The parents of all crops, found when they are first asked for."""
        return Relatives(self.shown)

    def person(self, row: int) -> Response:
        """A crop's person: what is known of the crop, and the person's other crops in groups."""
        self._rows(str(row))
        groups = [{"title": title, "rows": rows} for title, rows in self.relatives.groups(row)]
        known = self.shown.crops.rows.row(row, named=True)
        facts = [[name, _text(value)] for name, value in known.items() if value is not None]
        program = self.relatives.program(row)
        return jsonify(words=in_words(self.shown, row), facts=facts, groups=groups, program=program)

    def again(self, row: int) -> Response:
        """A crop made again, as a picture of its own, and how it compares with the file."""
        from reidgen.view.again import made_again  # takes seconds to import

        self._rows(str(row))
        with self._computing:
            pixels, same, difference = made_again(self.relatives, row, self.makers)
        return jsonify(picture=_address(Image.fromarray(pixels)), same=same, difference=difference)

    def decisions(self) -> Response:
        """The decisions after the number `since`."""
        return jsonify([] if self.journal is None else self.journal.entries(request.args.get("since", 0, type=int)))

    def decide(self) -> Response:
        """Take a decision into the journal."""
        self.check_unchanged()
        asked = request.get_json()
        known = {"verdict": str, "seen": int, "row": int, "other": int, "undoes": int}
        right = isinstance(asked, dict) and {"verdict", "seen"} <= asked.keys() <= known.keys()
        if not right or any(type(value) is not known[name] for name, value in asked.items()):
            raise DataError("This is no decision.", got=str(asked)[:80], allowed=", ".join(known))
        return jsonify(self._journal().add(**asked))

    def write(self) -> Response:
        """Write the tables with verdicts."""
        return jsonify(folders=[str(folder) for folder in write_reviewed(self._journal())])

    def upload(self) -> Response:
        """Take a picture to search for; the answer names it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "picture"
            file.write_bytes(request.get_data())
            try:
                picture = read_rgb(file)
            except DataError as error:
                raise DataError("This is no picture.", got=error.got, allowed=error.allowed) from error
        key = secrets.token_urlsafe(8)
        self._pictures[key] = picture
        while len(self._pictures) > PICTURES:
            self._pictures.pop(next(iter(self._pictures)))
        return jsonify(picture=key)

    def search(self) -> Response:
        """The crops nearest to the query by a network; or that it is still looking at all crops."""
        ranker, query, _ = self._asked()
        if not ranker.ready:
            return jsonify(waiting=True)
        with self._computing:
            rows, distances = ranker.ranked(query, AT_ONCE)
        return jsonify(rows=rows, distances=distances, compared=ranker.compared)

    def maps(self) -> Response:
        """Maps of a network over the query and some crops, as pictures of their own."""
        ranker, query, asked = self._asked()
        rows = self._rows(",".join(map(str, asked.get("rows", ())))).tolist()
        with self._computing:
            drawn = ranker.maps(query, rows)
        return jsonify([_address(one) for one in drawn])

    def _asked(self) -> "tuple[Ranker, Query, dict[str, Any]]":
        """Network and query of a request."""
        asked = request.get_json()
        network = asked.get("network") if isinstance(asked, dict) else None
        if type(network) is not int or not 0 <= network < len(self.rankers):
            what, fix = "There is no such network.", f"reidgen view ... {option(model='RUN')}"
            raise DataError(what, got=network, allowed=f"one of {len(self.rankers)} that were given", fix=fix)
        if "picture" not in asked:
            return self.rankers[network], int(self._rows(str(asked.get("row")))[0]), asked
        if asked["picture"] not in self._pictures:
            allowed = f"one of the last {PICTURES}"
            raise DataError("The picture is not there any more.", allowed=allowed, fix="drop it again")
        return self.rankers[network], self._pictures[asked["picture"]], asked

    def curves(self, run: int) -> Response:
        """The figures of a run so far, if it has others than the size `known`."""
        if run >= len(self.shown.runs):
            abort(404, "There is no such run.")
        return jsonify(curves(self.shown.runs[run], request.args.get("known", -1, type=int)))

    def _journal(self) -> Journal:
        if self.journal is None:
            what, fix = "Decisions have no place to go.", f"reidgen view ... {option(out='DIR')}"
            raise DataError(what, got=f"no {option('out')}", allowed="a folder for the review", fix=fix)
        return self.journal

    def _rows(self, text: str) -> np.ndarray:
        """Numbers of crops, as a request gives them."""
        numbers = text.split(",") if text else []
        if len(numbers) > AT_ONCE or not all(one.isdecimal() and int(one) < len(self.shown.crops) for one in numbers):
            what, got = "A request names crops that there are not.", f"{text[:40]!a}"
            raise DataError(what, got=got, allowed=f"up to {AT_ONCE} numbers below {len(self.shown.crops)}")
        self.check_unchanged()
        return np.array(numbers, dtype=np.int64)

    def check_unchanged(self) -> None:
        """Raise `RunError` where a table is another than the one that the page shows."""
        if changed := self.shown.changed():
            raise RunError(
                f"The table in {changed[0]} has changed since this page was opened.",
                got="another metadata.parquet",
                allowed="the table that is shown",
                fix="end reidgen view with Ctrl-C and start it again; decisions are kept",
            )

    def addresses(self) -> list[tuple[str, str, Any]]:
        """Method, address and answer of everything."""
        return [
            ("GET", "/", self.index),
            ("GET", "/assets/<name>", self.asset),
            ("GET", "/about", self.about),
            ("GET", "/column/<path:name>", self.column),
            ("GET", "/thumbnails", self.thumbnails),
            ("GET", "/picture/<int:row>", self.picture),
            ("GET", "/person/<int:row>", self.person),
            ("POST", "/again/<int:row>", self.again),
            ("GET", "/curves/<int:run>", self.curves),
            ("POST", "/upload", self.upload),
            ("POST", "/search", self.search),
            ("POST", "/maps", self.maps),
            ("GET", "/decisions", self.decisions),
            ("POST", "/decide", self.decide),
            ("POST", "/write", self.write),
        ]


def _address(picture: Image.Image) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(coded(picture, 'PNG')).decode()}"


def _text(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return ", ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in values)


def application(answers: Answers, *, token: str, port: int) -> Flask:
    """The whole as a WSGI application.

    Args:
        answers: What it answers.
        token: Who does not bring it gets nothing.
        port: Where it is served.
    """
    app = Flask("reidgen.view", static_folder=None)
    for method, address, answer in answers.addresses():
        app.add_url_rule(address, endpoint=address, view_func=answer, methods=[method])
    return guarded(app, token, port)
