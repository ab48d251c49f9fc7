"""Is a crop something new? Near duplicates within a person, and copies of the crops a generator learned from."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from reidgen.data.table import ReidTable
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.engine.progress import progress
from reidgen.errors import DataError, option
from reidgen.filters.base import verdict_about
from reidgen.filters.features.embedding import FeatureFilter, rows_in
from reidgen.filters.features.neighbours import BLOCK, NOBODY, Neighbourhoods
from reidgen.filters.thresholds import needs_reference
from reidgen.metrics.exact import exact_smallest, exact_squares, margin_of
from reidgen.metrics.neighbours import squares_to


@dataclass(frozen=True)
class DiversityFilter(FeatureFilter):
    """Rejects crops that are nearly an earlier crop of the same person.

    The score is the distance between features to the nearest earlier crop of the person that is kept itself, in table
    order. A person's first crop has none, nor have distractors and junk: no score, and kept. An open threshold is the
    5 % quantile of real crops, each against all earlier ones.
    """

    name: ClassVar[str] = "diversity"
    by_hand: ClassVar[str] = option(diversity_threshold=0.1)
    needs: ClassVar[str] = "at least one person with two crops"
    score: ClassVar[str] = "distance"

    @property
    def rule(self) -> str:
        """Which crops are rejected, in words and numbers."""
        return f"distance to an earlier kept crop of the same person below {self.cut} (features {self.features})"

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,): distance to the nearest earlier kept crop of the person, NaN where there is none.

        Which crops are kept is decided by the threshold; while it is open, all are.

        Args:
            table: The crops; the order of its rows counts.
            reference: Not used; each person is its own reference.
            kept: Not used: all that takes long is kept with the features.
        """
        return self._nearest(table)[0] if len(table) else np.empty(0)

    def pointed(
        self, verdicts: list[str | None], table: ReidTable, reference: ReidTable | None = None
    ) -> list[str | None]:
        """The verdicts with the crop that each rejected one is like: `diversity:like=FILE`."""
        if not any(verdicts):
            return verdicts
        names, near = table.rows["file_name"], self._nearest(table)[1].tolist()
        return [v and verdict_about("diversity:like", names[n]) for v, n in zip(verdicts, near, strict=True)]

    def _nearest(self, table: ReidTable) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the nearest earlier kept crop of the person, and its row, -1 where there is none."""
        crops = self.features_of(table)
        scores, near = np.full(len(table), np.nan), np.full(len(table), -1)
        order = np.argsort(table.pids, kind="stable")
        order = order[table.pids[order] > 0]
        people = np.split(order, np.flatnonzero(np.diff(table.pids[order])) + 1) if len(order) else []
        with progress(self.name, len(order)) as bar:
            for rows in people:
                scores[rows], places = _to_earlier_kept(crops[rows], self.threshold or 0.0)
                near[rows] = np.where(places >= 0, rows[places], -1)
                bar.advance(len(rows))
        return scores, near


def _to_earlier_kept(crops: Tensor, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """For the crops of a person, one after the other: distance to the nearest kept one before, and its place."""
    scores, places = np.full(len(crops), np.nan), np.full(len(crops), -1)
    kept = [0]
    for row in range(1, len(crops)):
        found = exact_squares(crops, crops, np.array(kept), np.full(len(kept), row))
        best = int(found.argmin())
        scores[row], places[row] = np.sqrt(found[best]), kept[best]
        if scores[row] >= threshold:
            kept.append(row)
    return scores, places


@dataclass(frozen=True)
class CopiesFilter(FeatureFilter):
    """Rejects crops that are copies of real ones: much nearer to one than its own nearest neighbour is.

    The score is the distance to the nearest real crop over the distance from that one to its nearest other real crop
    (at most 1000). A real crop is scored as if it were not among the real ones.
    """

    name: ClassVar[str] = "copies"
    by_hand: ClassVar[str] = option(copies_threshold=0.5)
    needs: ClassVar[str] = "three real crops or more"
    compares: ClassVar[bool] = True

    @property
    def rule(self) -> str:
        """Which crops are rejected, in words and numbers."""
        return (
            f"distance to the nearest real crop, over that one's to its nearest other real crop, below {self.cut} "
            f"(features {self.features})"
        )

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,): the ratio of distances, 0 for an exact copy.

        Args:
            table: The crops. Those that are in the reference too, the same files, are left out of it for their score.
            reference: Real crops, best those that the generator learned from.
            kept: Where finished blocks are kept.

        Raises:
            ConfigError: There is no reference.
            DataError: The reference has fewer than three crops.
        """
        needs_reference(self.name, reference)
        assert reference is not None
        if not len(table):
            return np.empty(0)
        if len(reference) < 3:
            got = f"{len(reference)} crops in {reference.name or 'the reference'}"
            raise DataError("The copies filter has too few real crops.", got=got, allowed="three or more")
        hoods = Neighbourhoods.of(self.features_of(reference), torch.arange(len(reference)), 1)
        crops, own = self.features_of(table), torch.from_numpy(rows_in(table, reference))

        def score(part: slice) -> np.ndarray:
            near, distance = _nearest(crops[part], own[part], hoods.features)
            spacing = _spacing(hoods, near, own[part])
            ratio = distance / np.where(spacing > 0, spacing, 1.0)
            return np.where((distance > 0) & (distance >= spacing * CAP), CAP, ratio)

        return in_blocks(self.name, len(table), score, kept=kept, block=BLOCK)

    def pointed(
        self, verdicts: list[str | None], table: ReidTable, reference: ReidTable | None = None
    ) -> list[str | None]:
        """The verdicts with the real crop that each rejected one copies: `copies:of=FILE`."""
        rows = np.flatnonzero([verdict is not None for verdict in verdicts])
        if not rows.size or reference is None:
            return verdicts
        crops, real, own = self.features_of(table)[rows], self.features_of(reference), rows_in(table, reference)[rows]
        told, names = list(verdicts), reference.rows["file_name"]
        for first in range(0, len(rows), BLOCK):
            part = slice(first, first + BLOCK)
            near, _ = _nearest(crops[part], torch.from_numpy(own[part]), real)
            for row, place in zip(rows[part].tolist(), near.tolist(), strict=True):
                told[row] = verdict_about("copies:of", names[place])
        return told


CAP = 1000.0  # of a ratio: twins among the real crops have no distance between them


def _nearest(crops: Tensor, own: Tensor, real: Tensor) -> tuple[Tensor, np.ndarray]:
    """The row of the nearest real crop that is not the crop itself, and the distance to it."""
    squares = squares_to(real)(crops)
    squares[torch.arange(len(real))[None] == own[:, None]] = torch.inf
    near, found = exact_smallest(crops, real, squares, 1, margin_of(crops, real))
    return torch.from_numpy(near[:, 0]), np.sqrt(found[:, 0])


def _spacing(hoods: Neighbourhoods, near: Tensor, own: Tensor) -> np.ndarray:
    """Distance from each of some real crops to its nearest other one that is not the scored crop itself."""
    first, second = hoods.near[near].unbind(1)
    itself = (hoods.near_groups[near, 0] == own) & (own != NOBODY)
    return torch.where(itself, second, first).numpy()
