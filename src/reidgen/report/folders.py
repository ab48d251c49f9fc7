"""Run folders as the page sees them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidgen.engine.runs.metrics_log import MetricsLog
from reidgen.engine.runs.records import Fields, read_json
from reidgen.engine.runs.run import read_run
from reidgen.errors import RunError

PEOPLE, GENERATOR, GENERATED, FILTERED, EXTENDED = "people", "train-generator", "generated", "filter", "extend"
FIDELITY, ENCODER, CONVERTED = "fidelity", "train-encoder", "convert"
TRANSLATOR, TRANSLATED, UNSUPERVISED = "train-translator", "generate translate", "train-unsupervised"
KINDS = {
    "prepare": PEOPLE,
    "render": PEOPLE,
    "train-generator": GENERATOR,
    "convert": CONVERTED,
    "generate people": GENERATED,
    "generate variants": GENERATED,
    "train-encoder": ENCODER,
    "filter": FILTERED,
    "extend": EXTENDED,
    "train-reid": "train-reid",
    "evaluate": "evaluate",
    "fidelity": FIDELITY,
    "train-translator": TRANSLATOR,
    "generate translate": TRANSLATED,
    "train-unsupervised": UNSUPERVISED,
    # listed with their options, without a part of their own
    "annotate": "annotate",
    "pairs": "pairs",
    "start": "start",
    "train-rotator": "train-rotator",
    "generate rotate": "generate rotate",
}


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Attributes:
        path: The folder.
        record: Its run.json.
        kind: What it is to the page.
    """

    path: Path
    record: dict[str, Any]
    kind: str

    @classmethod
    def read(cls, path: Path | str) -> "Run":
        """Open a finished run.

        Raises:
            RunError: There is none, it has not finished, or it is of a stage that the page knows nothing of.
        """
        record = read_run(path)
        verb = record["stage"]
        stage = verb if verb in KINDS else verb.split()[0].split("-")[0]
        if stage not in KINDS:
            what, fix = f"{path} is of a stage that a report cannot show.", f"the same without {path}"
            raise RunError(what, got=verb, allowed=", ".join(KINDS), fix=fix)
        return cls(Path(path), record, KINDS[stage])

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of its metrics.jsonl."""
        return MetricsLog(self.path / "metrics.jsonl").read()

    def json(self, name: str, fields: Fields) -> dict[str, Any]:
        """One of its JSON files, with at least the given fields.

        Raises:
            RunError: It is missing or damaged.
        """
        return read_json(self.path / name, fields)
