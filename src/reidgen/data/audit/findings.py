"""The outcome of an audit: what was found, as JSON and as a table for a terminal."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from reidgen.engine.runs.records import check_fields, damaged, fields_of, read_values
from reidgen.errors import DataError

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
COUNTS = ("crops", "people", "distractors", "junk", "cameras")
FILES_SHOWN, PEOPLE_SHOWN = 5, 20  # of a finding on the screen; audit.json has all


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: "error" makes a training or an evaluation wrong or impossible, "warning" may, "note" is good to know.
        what: The kind of finding.
        reason: Why it is one, with numbers.
        files: The files concerned; files that belong together are joined by " = ".
        people: The people concerned.
    """

    severity: Severity
    what: str
    reason: str
    files: tuple[str, ...] = ()
    people: tuple[int, ...] = ()

    def which(self) -> str:
        """The first files or people concerned, and how many more there are."""
        if not self.files and not self.people:
            return ""
        shown = (
            [*map(_short, self.files[:FILES_SHOWN])]
            if self.files
            else [", ".join(map(str, self.people[:PEOPLE_SHOWN]))]
        )
        more = len(self.files) - FILES_SHOWN if self.files else len(self.people) - PEOPLE_SHOWN
        return "\n".join([*shown, *([f"and {more:,} more"] if more > 0 else [])])


@dataclass(frozen=True)
class Audit:
    """The outcome of an audit.

    Attributes:
        name: The dataset's name.
        counts: Crops of people, people, distractors, junk and cameras of each split.
        sizes: How many crops have which size "HEIGHTxWIDTH", most frequent first.
        findings: Errors first.
        bad_files: Unreadable and absurd images and those that are not plain RGB, which "drop" leaves out.
    """

    name: str
    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    findings: tuple[Finding, ...]
    bad_files: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The audit as plain JSON types."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path | str) -> "Audit":
        """The audit of a folder that `prepare` wrote.

        Raises:
            DataError: There is none.
            RunError: It is damaged.
        """
        path = Path(folder) / "audit.json"
        if not path.is_file():
            raise DataError(f"{path} is missing.", got="no such file", allowed="a folder written by reidgen prepare")
        values = read_values(path, cls)
        for number, found in enumerate(values["findings"]):
            check_fields(path, found, fields_of(Finding), f"findings.{number}.")
            if found["severity"] not in SEVERITIES:
                raise damaged(path, f"findings.{number}.severity is {found['severity']}", ", ".join(SEVERITIES))
        for split, counts in values["counts"].items():
            check_fields(path, counts, dict.fromkeys(COUNTS, int), f"counts.{split}.")
        if not values["counts"]:
            raise damaged(path, "counts is empty")
        check_fields(path, values["sizes"], dict.fromkeys(values["sizes"], int), "sizes.")
        findings = [
            Finding(found["severity"], found["what"], found["reason"], tuple(found["files"]), tuple(found["people"]))
            for found in values["findings"]
        ]
        return cls(values["name"], values["counts"], values["sizes"], tuple(findings), tuple(values["bad_files"]))

    def table(self) -> Group:
        """The audit for a terminal: counts of each split, then the findings. Give it to rich's print."""
        return Group(self._counts_table(), self._findings_table() if self.findings else "No findings.")

    def _counts_table(self) -> Table:
        sizes = ", ".join(f"{size} ({number:,})" for size, number in list(self.sizes.items())[:3])
        more = f", and {len(self.sizes) - 3:,} more sizes" if len(self.sizes) > 3 else ""
        title = f"{self.name}: crops of {sizes}{more}" if sizes else self.name
        table = Table(title=Text(title), title_justify="left")
        table.add_column("split")
        columns = list(next(iter(self.counts.values())))
        for column in columns:
            table.add_column(column, justify="right")
        for split, numbers in self.counts.items():
            table.add_row(split, *(f"{numbers[column]:,}" for column in columns))
        return table

    def _findings_table(self) -> Table:
        table = Table(title=f"Findings: {len(self.findings)}", title_justify="left", show_lines=True)
        for column in ("severity", "found", "why", "which"):
            table.add_column(column, overflow="fold")
        for found in self.findings:
            severity = Text(found.severity, STYLES[found.severity])
            table.add_row(severity, Text(found.what), Text(found.reason), Text(found.which()))
        return table


def _short(files: str) -> str:
    """The first of files that belong together, and how many more there are."""
    names = files.split(" = ")
    more = len(names) - FILES_SHOWN
    return files if more <= 0 else f"{' = '.join(names[:FILES_SHOWN])} = {more:,} more"
