"""What a threshold costs: which share of reference crops, about which nothing is wrong, each threshold would reject."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidgen.errors import ConfigError
from reidgen.files import write_bytes, write_json, write_text
from reidgen.filters.base import Filter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 0.05
WIDE = 2  # margins of a support vector machine span more, and no table should have a hundred rows
REFERENCE, OTHERS = "#5b8db8", "#c2582e"
TENTHS = tuple(round(0.1 * k, 1) for k in range(1, 10))  # at which the thesis, figure 5.3, counts
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
        return self._share(self.scores, threshold)

    def rows(self) -> list[dict[str, Any]]:
        """The shares of reference crops and of the others that each threshold rejects (thesis, figure 5.3).

        The thresholds are a grid of 0.05 over the scores (0.25 where they span more than 2), 0.1 to 0.9 where they
        are probabilities or SSIM, a few quantiles, and the threshold in force. `others_rejected` is None where there
        are no others.
        """
        step = STEP if np.ptp(self.scores) <= WIDE else 5 * STEP
        low, high = np.floor(self.scores.min() / step), np.ceil(self.scores.max() / step)
        grid = np.round(np.arange(low, high + 1) * step, 10)
        tenths = TENTHS if self.scores.min() >= -1 and self.scores.max() <= 1 else ()
        wanted = {float(t) for t in (*grid, *tenths, *np.quantile(self.scores, QUANTILES), _in_force(self.filter))}
        others = len(self.others) > 0
        return [
            {
                "threshold": t,
                "share_rejected": self.share(t),
                "others_rejected": self._share(self.others, t) if others else None,
            }
            for t in sorted(wanted)
            if self._allowed(t)
        ]

    def _share(self, scores: np.ndarray, threshold: float) -> float:
        verdicts = replace(self.filter, threshold=threshold).rejected(scores)  # type: ignore[type-var]
        return sum(verdict is not None for verdict in verdicts) / len(verdicts)

    def _allowed(self, threshold: float) -> bool:
        """Whether the filter can have this threshold: a probability of 1 cannot be exceeded."""
        try:
            replace(self.filter, threshold=threshold)  # type: ignore[type-var]
        except ConfigError:
            return False
        return True

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
            f"{'** (in force)' if row['threshold'] == in_force else ''} | {_percent(row['share_rejected'])} | "
            f"{_percent(row['others_rejected'])} |"
            for row in self.rows()
        ]
        return (
            f"# Calibration of the filter {self.filter.name}\n\nRule: {self.filter.rule}.\n"
            f"Reference: {self.reference}, {len(self.scores):,} of them with a score.\n\n"
            "| threshold | reference crops rejected, % | scored crops rejected, % |\n|---:|---:|---:|\n"
            + "\n".join(lines)
            + "\n"
        )

    def figure(self) -> bytes:
        """PNG of two panels, of the reference crops and of the others: the scores (Alvarez-Gonzalez, thesis, figure
        5.4), and which share each threshold rejects (figure 5.3).
        """
        from matplotlib.figure import Figure  # an import that a filter without a picture need not wait for

        figure = Figure(figsize=(10, 3.6), dpi=120, layout="constrained")
        histogram, rates = figure.subplots(1, 2)
        self._draw_scores(histogram)
        self._draw_rates(rates)
        for axes in (histogram, rates):
            axes.axvline(_in_force(self.filter), color="black", lw=1, ls="--", label=_label(self.filter))
            axes.spines[["top", "right"]].set_visible(False)
        histogram.legend(loc="best", frameon=False, fontsize=8)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
        return stream.getvalue()

    def _draw_scores(self, axes: "Axes") -> None:
        both = np.concatenate([self.scores, self.others])
        bins = np.linspace(both.min(), max(both.max(), both.min() + STEP), 61).tolist()
        weights = [np.full(len(s), 100 / max(len(s), 1)) for s in (self.scores, self.others)]
        axes.hist(self.scores, bins, weights=weights[0], color=REFERENCE, label=self.reference)
        if self.others.size:
            axes.hist(
                self.others, bins, weights=weights[1], histtype="step", color=OTHERS, lw=1.4, label="scored crops"
            )
        axes.set(xlabel=f"score of the filter {self.filter.name}", ylabel="crops, %")

    def _draw_rates(self, axes: "Axes") -> None:
        rows = self.rows()
        for name, colour in (("share_rejected", REFERENCE), ("others_rejected", OTHERS)):
            known = [(row["threshold"], share) for row in rows if (share := row[name]) is not None]
            if known:
                axes.plot([t for t, _ in known], [100 * s for _, s in known], ".-", color=colour, lw=1.4, ms=4)
        axes.set(xlabel="threshold", ylabel="crops rejected, %", ylim=(-2, 102))

    def write(self, folder: Path | str) -> None:
        """Write `calibration_<filter>.json`, `.md` and `.png`."""
        stem = Path(folder) / f"calibration_{self.filter.name}"
        write_json(stem.with_suffix(".json"), self.as_dict())
        write_text(stem.with_suffix(".md"), self.markdown())
        write_bytes(stem.with_suffix(".png"), self.figure())


def _label(filter_: Filter) -> str:
    return f"threshold {_in_force(filter_):.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _in_force(filter_: Filter) -> float:
    assert filter_.threshold is not None, "calibrated() comes first"
    return filter_.threshold
