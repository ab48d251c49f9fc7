"""What a threshold costs: which share of reference crops, about which nothing is wrong, each threshold would reject."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reidgen.files import write_bytes, write_json, write_text
from reidgen.filters.base import Filter

STEP = 0.05
QUANTILES = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of reference crops, and what they say about thresholds.

    Attributes:
        filter: The filter, with the threshold in force.
        reference: What the reference crops are, in words.
        scores: float64 (N,): scores of the reference crops that have one.
        others: float64 (M,): scores of the crops to be filtered, drawn beside them; may be empty.
    """

    filter: Filter
    reference: str
    scores: np.ndarray
    others: np.ndarray

    def share(self, threshold: float) -> float:
        """Share of the reference crops that the filter's rule rejects with this threshold."""
        verdicts = replace(self.filter, threshold=threshold).rejected(self.scores)  # type: ignore[type-var]
        return sum(verdict is not None for verdict in verdicts) / len(verdicts)

    def rows(self) -> list[dict[str, float]]:
        """Threshold and share, on a grid of 0.05 over the scores, at a few quantiles, and at the threshold in force."""
        low, high = np.floor(self.scores.min() / STEP), np.ceil(self.scores.max() / STEP)
        grid = np.round(np.arange(low, high + 1) * STEP, 10)
        wanted = {float(t) for t in (*grid, *np.quantile(self.scores, QUANTILES))}
        return [{"threshold": t, "share_rejected": self.share(t)} for t in sorted(wanted | {_in_force(self.filter)})]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the scores, as JSON types."""
        return {
            "filter": self.filter.name,
            "rule": self.filter.rule,
            "threshold": self.filter.threshold,
            "reference": self.reference,
            "scored": len(self.scores),
            "quantiles": {str(q): float(np.quantile(self.scores, q)) for q in (*QUANTILES, 0.5, 0.9)},
            "thresholds": self.rows(),
        }

    def markdown(self) -> str:
        """The table of thresholds for people to read."""
        in_force = _in_force(self.filter)
        lines = [
            f"| {'**' if row['threshold'] == in_force else ''}{row['threshold']:.4f}"
            f"{'** (in force)' if row['threshold'] == in_force else ''} | {100 * row['share_rejected']:.2f} |"
            for row in self.rows()
        ]
        return (
            f"# Calibration of the filter {self.filter.name}\n\nRule: {self.filter.rule}.\n"
            f"Reference: {self.reference}, {len(self.scores):,} of them with a score.\n\n"
            "| threshold | reference crops rejected, % |\n|---:|---:|\n" + "\n".join(lines) + "\n"
        )

    def histogram(self) -> bytes:
        """PNG of the scores of the reference crops (Alvarez-Gonzalez, thesis, figure 5.4) and of the others."""
        figure = Figure(figsize=(7, 3.6), dpi=120, layout="constrained")
        axes = figure.add_subplot()
        both = np.concatenate([self.scores, self.others])
        bins = np.linspace(both.min(), max(both.max(), both.min() + STEP), 61).tolist()
        weights = [np.full(len(s), 100 / max(len(s), 1)) for s in (self.scores, self.others)]
        axes.hist(self.scores, bins, weights=weights[0], color="#5b8db8", label=self.reference)
        if self.others.size:
            axes.hist(
                self.others, bins, weights=weights[1], histtype="step", color="#c2582e", lw=1.4, label="scored crops"
            )
        axes.axvline(
            _in_force(self.filter), color="black", lw=1, ls="--", label=f"threshold {_in_force(self.filter):.3f}"
        )
        axes.set(xlabel=f"score of the filter {self.filter.name}", ylabel="crops, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
        return stream.getvalue()

    def write(self, folder: Path | str) -> None:
        """Write `calibration_<filter>.json`, `.md` and `.png`."""
        stem = Path(folder) / f"calibration_{self.filter.name}"
        write_json(stem.with_suffix(".json"), self.as_dict())
        write_text(stem.with_suffix(".md"), self.markdown())
        write_bytes(stem.with_suffix(".png"), self.histogram())


def _in_force(filter_: Filter) -> float:
    assert filter_.threshold is not None, "calibrated() comes first"
    return filter_.threshold
