"""The journal of a review: one decision a line, appended by any number of windows and programs, never changed."""

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reidgen.data.table import DISTRACTOR
from reidgen.engine.runs.lock import alone
from reidgen.engine.runs.records import Fields, check_fields, damaged
from reidgen.errors import DataError, ReidgenError
from reidgen.files import file_sha256, naming
from reidgen.view.shown import Shown

NAME, LOCK = "decisions.jsonl", ".decisions.lock"
ON_A_CROP, MERGE, UNDO = ("keep", "reject", "wrong person"), "merge", "undo"
DIGITS = 16  # of a file's SHA-256
LINE: Fields = {
    "number": int,
    "verdict": str,
    "who": str,
    "when": str,
    **dict.fromkeys(("table", "crop", "content", "other", "other_content"), (str, type(None))),
    "undoes": (int, type(None)),
}
Entry = dict[str, Any]


class ConflictError(ReidgenError):
    """Somebody else has decided on the same crop or person since the page last looked."""


class Journal:
    """The decisions of one review. A crop is known by its name and content, so that decisions outlive the table.

    Entries are the lines, with `row` and `other_row`: the crops' numbers, -1 of one that is not shown.

    Args:
        folder: Where the journal is, or shall be.
        shown: The crops.
        who: The reviewer's name.

    Raises:
        RunError: The journal is damaged.
    """

    def __init__(self, folder: Path, shown: Shown, who: str) -> None:
        self.path, self.shown, self.who = folder / NAME, shown, who
        self._entries: list[Entry] = []
        self._position = 0
        self._alone = threading.RLock()
        self._rows: dict[str, list[int]] = {}
        for row, name in enumerate(shown.crops.rows["file_name"]):
            self._rows.setdefault(name, []).append(row)
        self.entries()

    def entries(self, since: int = 0) -> list[Entry]:
        """All decisions after the one of a number, those of other programs included."""
        with self._alone:
            self._read()
            return self._entries[since:]

    def standing(self) -> list[Entry]:
        """The decisions that have not been taken back, in order."""
        undone = {one["undoes"] for one in self.entries()}
        return [one for one in self.entries() if one["verdict"] != UNDO and one["number"] not in undone]

    def add(self, verdict: str, *, seen: int, row: int = -1, other: int = -1, undoes: int | None = None) -> Entry:
        """Append a decision; it is on the disk when this returns.

        Args:
            verdict: keep, reject or wrong person of the crop `row`; merge of the people of `row` and `other`; undo of
                the decision number `undoes`.
            seen: Number of the last decision that whoever decides knows of.
            row: See above.
            other: See above.
            undoes: See above.

        Raises:
            ConflictError: A later decision is about the same crop or person, or took the same one back.
            DataError: There is no such verdict, crop or decision, or the two people are one, or of two tables.
        """
        with self._alone, alone(self.path.with_name(LOCK)):
            self._read()
            line = self._line(verdict, row, other, undoes)
            self._check_seen(line, seen)
            self._append(line)
            self._read()
            return self._entries[-1]

    def _line(self, verdict: str, row: int, other: int, undoes: int | None) -> Entry:
        if verdict == UNDO:
            if undoes not in {one["number"] for one in self.standing()}:
                raise ConflictError("This decision has been taken back already.", got=undoes, allowed="one that stands")
        else:
            self._check(verdict, row, other)
        crop, content = self._known(-1 if verdict == UNDO else row)
        second, second_content = self._known(other if verdict == MERGE else -1)
        return {
            "number": len(self._entries) + 1,
            "verdict": verdict,
            "table": None if verdict == UNDO else self.shown.names[self.shown.table[row]],
            "crop": crop,
            "content": content,
            "other": second,
            "other_content": second_content,
            "undoes": undoes,
            "who": self.who,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _check(self, verdict: str, row: int, other: int) -> None:
        if verdict not in (*ON_A_CROP, MERGE):
            raise DataError("There is no such verdict.", got=verdict, allowed=", ".join((*ON_A_CROP, MERGE, UNDO)))
        rows = [row, other] if verdict == MERGE else [row]
        if not all(0 <= one < len(self.shown.crops) for one in rows):
            raise DataError("A decision is about a crop that is not shown.", got=rows, allowed="numbers of crops")
        if verdict == MERGE:
            (table, pid), (other_table, other_pid) = people = [self.shown.person(one) for one in rows]
            if pid == other_pid or table != other_table or min(pid, other_pid) <= DISTRACTOR:
                got = " and ".join(f"person {of} of {self.shown.names[where]}" for where, of in people)
                raise DataError("These are not two people.", got=got, allowed="two people of one table, above 0")

    def _known(self, row: int) -> tuple[str | None, str | None]:
        """Name and content of a crop."""
        if row < 0:
            return None, None
        return self.shown.crops.rows["file_name"][row], file_sha256(self.shown.path(row))[:DIGITS]

    def _row(self, table: str | None, name: str | None, content: str | None) -> int:
        """The crop of a name and content, of the table of that name if it is there; -1 where none is shown."""
        known = self._rows.get(name or "", ())
        for row in sorted(known, key=lambda one: self.shown.names[self.shown.table[one]] != table):
            with contextlib.suppress(OSError):  # gone since: not the crop that was decided on
                if file_sha256(self.shown.path(row))[:DIGITS] == content:
                    return row
        return -1

    def _check_seen(self, line: Entry, seen: int) -> None:
        about = self._about(self._placed(line))
        for later in self._entries[max(0, seen) :]:
            if about & self._about(later):
                raise ConflictError(
                    f"{later['who']} has decided on this since: {later['verdict']}.",
                    got=f"a decision made after {seen:,} others",
                    allowed=f"one that knows of all {len(self._entries):,}",
                    fix="look at the crop again, and decide once more",
                )

    def _about(self, entry: Entry) -> set[Any]:
        """What a decision is about: a crop, or two people."""
        if entry["verdict"] == UNDO:
            return self._about(self._entries[entry["undoes"] - 1])
        if entry["verdict"] != MERGE:
            return {(entry["table"], entry["crop"], entry["content"])}
        return {self.shown.person(row) for row in (entry["row"], entry["other_row"]) if row >= 0}

    def _placed(self, line: Mapping[str, Any]) -> Entry:
        row = self._row(line["table"], line["crop"], line["content"])
        return {**line, "row": row, "other_row": self._row(line["table"], line["other"], line["other_content"])}

    def _append(self, line: Entry) -> None:
        """Write a line after the last whole one: what a killed program left unfinished was never a decision."""
        with naming(self.path), self.path.open("ab") as stream:
            stream.truncate(self._position)
            stream.write(json.dumps(line).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _read(self) -> None:
        """Take in the whole lines that have come since."""
        if not self.path.exists():
            if self._position:
                raise damaged(self.path, "no such file")
            return
        with self.path.open("rb") as stream:
            if stream.seek(0, os.SEEK_END) < self._position:
                raise damaged(self.path, "fewer decisions than were made")
            stream.seek(self._position)
            new = stream.read()
        whole = new[: new.rfind(b"\n") + 1]
        for text in whole.splitlines():
            self._entries.append(self._placed(self._parsed(text, len(self._entries) + 1)))
        self._position += len(whole)

    def _parsed(self, text: bytes, number: int) -> Entry:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise damaged(self.path, f"line {number:,} is no JSON") from error
        check_fields(self.path, line, LINE)
        right = line["number"] == number and line["verdict"] in (*ON_A_CROP, MERGE, UNDO)
        if not right or (line["verdict"] == UNDO and not 0 < (line["undoes"] or 0) < number):
            raise damaged(self.path, f"line {number:,} is not the decision of that number")
        return line
