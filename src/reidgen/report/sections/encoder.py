"""The part of the page about an encoder: its losses, on those it learned from and on people who were kept out."""

from collections.abc import Sequence
from typing import Any

from reidgen.report.evidence import Evidence
from reidgen.report.folders import ENCODER
from reidgen.report.html.figures import Line, chart, legend
from reidgen.report.html.markup import Markup, section, soft, tag

TITLES = {"perceptual": "Perceptual distance", "l2": "L2", "reid": "1 - cosine of re-ID embeddings"}


def encoder(evidence: Evidence) -> Markup | None:
    """The losses over the training (Alvarez-Gonzalez, thesis, figures 5.9 to 5.14)."""
    run = evidence.only(ENCODER)
    if run is None:
        return None
    records, facts = run.metrics, run.record["summary"]
    drawn = [
        chart(title, _lines(records, loss), xlabel="step", name=f"encoder-{loss}")
        for loss, title in TITLES.items()
        if loss in records[-1]
    ]
    return section(
        "The encoder",
        soft(
            f"Trained on {facts['images']:,} crops of {facts['people']:,} people of the split {facts['split']}; the "
            f"test is on {len(facts['held_out_people']):,} others. Distances of the last pass.",
        ),
        legend([("training", "base", False), ("test", "base", True)]),
        tag("div", *drawn, class_="plots"),
    )


def _lines(records: Sequence[dict[str, Any]], loss: str) -> list[Line]:
    tested = [record for record in records if f"test_{loss}" in record]
    return [
        Line([record["step"] for record in records], [record[loss] for record in records]),
        Line([record["step"] for record in tested], [record[f"test_{loss}"] for record in tested], dashed=True),
    ]
