"""Whom a crop is made from, what was made from it, and how, in words."""

import numpy as np

from reidgen.data.provenance import Operation, Rendering, Style, Translation, View, read_operation
from reidgen.data.table import DISTRACTOR
from reidgen.errors import DataError
from reidgen.files import file_sha256
from reidgen.view.shown import Shown

AS_IT_CAME = "As recorded or rendered"
MADE_FROM = "Made from"
TITLES: dict[type, str] = {Style: "Generated", Translation: "As other cameras would show it", View: "From other sides"}
GROUPS = (AS_IT_CAME, *TITLES.values())
LOADERS: dict[type, str] = {Style: "rg.load_generator", Translation: "rg.load_translator", View: "rg.load_rotator"}


class Relatives:
    """The parents of all crops that are shown.

    Attributes:
        parents: int64 (N,), the crop that each was made from; -1 where it has none, or it is not shown.
    """

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        rows = shown.crops.rows
        self._names: dict[str, list[int]] = {}
        for row, name in enumerate(rows["file_name"]):
            self._names.setdefault(name, []).append(row)
        of_origin = rows["parent_origin"] if "parent_origin" in rows.columns else [None] * rows.height
        named = zip(rows["parent"], of_origin, strict=True)
        found = [-1 if name is None else self._parent(row, name, origin) for row, (name, origin) in enumerate(named)]
        self.parents = np.array(found, dtype=np.int64)

    def _parent(self, row: int, name: str, origin: str | None) -> int:
        """The crop of a name. A crop may have the very name of the one that it was made from, in another table."""
        found = [one for one in self._names.get(name, ()) if one != row]
        if len(found) < 2:
            return found[0] if found else -1
        operation = operation_of(self.shown, row)
        if isinstance(operation, Translation | View):  # these know the content
            return next((one for one in found if _content(self.shown, one).startswith(operation.crop)), -1)
        origins, tables = self.shown.crops.rows["origin"], self.shown.table
        return max(found, key=lambda one: (origin == origins[one], tables[one] == tables[row], -one))

    def ancestors(self, row: int) -> list[int]:
        """The crop that a crop was made from, the one that that was made from, and so on; the first is the last one."""
        chain = [row]
        while (parent := int(self.parents[chain[-1]])) >= 0 and parent not in chain:
            chain.append(parent)
        return chain[:0:-1]

    def groups(self, row: int) -> list[tuple[str, list[int]]]:
        """Ancestors of a crop, then its person's crops by kind; those from other sides by angle.

        The person of the first ancestor counts too, and what was made of these crops, in whichever table it is.
        """
        ancestors = self.ancestors(row)
        own = np.zeros(len(self.parents), dtype=bool)
        own[[row, *ancestors]] = True
        for one in (row, *ancestors[:1]):
            table, pid = self.shown.person(one)
            if pid > DISTRACTOR:  # the others are not one person
                own |= (self.shown.table == table) & (self.shown.crops.pids == pid)
        while (grown := own | (own[self.parents] & (self.parents >= 0))).sum() > own.sum():
            own = grown
        people: dict[str, list[tuple[int, int]]] = {}
        for one in np.flatnonzero(own).tolist():
            operation = operation_of(self.shown, one)
            angle = operation.angle if isinstance(operation, View) else 0
            people.setdefault(TITLES.get(type(operation), AS_IT_CAME), []).append((angle, one))
        parts = [(title, [one for _, one in sorted(people[title])]) for title in GROUPS if title in people]
        return [(MADE_FROM, ancestors), *parts] if ancestors else parts

    def program(self, row: int) -> str | None:
        """A program that makes a crop again; None where its row does not say how it was made."""
        shown, operation = self.shown, operation_of(self.shown, row)
        if operation is None:
            return None
        more = "" if isinstance(operation, Rendering) else f', weights={LOADERS[type(operation)]}("FOLDER")'
        if isinstance(operation, Translation | View):
            parent = int(self.parents[row])
            more += f", sources={_opened('FOLDER' if parent < 0 else str(shown.folders[shown.table[parent]]))}"
        number = row - int(np.argmax(shown.table == shown.table[row]))
        table = _opened(str(shown.folders[shown.table[row]]))
        return f"import reidgen as rg\n\ntable = {table}\npixels = rg.regenerate(table, {number}{more})"


def operation_of(shown: Shown, row: int) -> Operation | None:
    """How a crop was made; None where the table does not say, or not in a way that can be read."""
    try:
        return read_operation(shown.crops.rows["operation"][row])
    except DataError:
        return None


def in_words(shown: Shown, row: int) -> str:
    """How a crop came about, in a sentence or two."""
    operation, known = operation_of(shown, row), shown.crops.rows.row(row, named=True)
    if operation is not None:
        return operation.in_words(known)
    text = known["operation"]
    return f"The table says of how it was made: {text}" if text else f"A {known['origin']} crop, as it came."


def _opened(folder: str) -> str:
    return f'rg.load_dataset("reidgen", root={folder!r})'


def _content(shown: Shown, row: int) -> str:
    try:
        return file_sha256(shown.path(row))
    except OSError:
        return ""
