"""Does a crop lie where real crops lie? k-nearest-neighbour precision, crop by crop.

Kynkäänniemi et al. 2019, *Improved precision and recall metric for assessing generative models*, equations 1 and 3.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from reidgen.data.table import ReidTable
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import ConfigError, DataError, option
from reidgen.filters.features.embedding import FeatureFilter, rows_in
from reidgen.filters.features.neighbours import BLOCK, NOBODY, Neighbourhoods
from reidgen.filters.thresholds import needs_reference
from reidgen.metrics.exact import exact_squares, margin_of
from reidgen.metrics.neighbours import squares_to

CAP = 1000.0  # of a score: a crop that is a real one would have an infinite one


@dataclass(frozen=True)
class RealismFilter(FeatureFilter):
    """Rejects crops that are far from all real crops, compared with how far real ones are from each other.

    Each real crop has a ball that reaches to its k-th nearest neighbour. A crop's score is the largest ratio of a
    ball's radius to the distance from its centre: 1 or more lies within a ball. A real crop is scored as if its person
    were not in the set, so its score is like that of a crop of somebody new. The published precision is threshold 1.

    Attributes:
        neighbours: k.
        among: "people" counts k other people, each by the nearest crop, and leaves the person of a scored real crop
            out. "crops" counts crops, as published: where people have several, the balls are as large as a person.
        balls: "all" keeps all balls, as precision does (equation 1); "half" leaves out the half with the largest radii,
            as the published score of a single crop does (equation 3).
    """

    name: ClassVar[str] = "realism"
    by_hand: ClassVar[str] = option(realism_threshold=1)
    needs: ClassVar[str] = "crops of people (pid > 0)"
    compares: ClassVar[bool] = True
    neighbours: int = 3
    among: Literal["people", "crops"] = "people"
    balls: Literal["half", "all"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1:
            raise ConfigError("RealismFilter's neighbours must be positive.", got=self.neighbours, allowed=">= 1")
        if self.among not in ("people", "crops") or self.balls not in ("half", "all"):
            got = f"among {self.among}, balls {self.balls}"
            raise ConfigError("RealismFilter has no such choice.", got=got, allowed="people or crops; half or all")

    @property
    def rule(self) -> str:
        """Which crops are rejected, in words and numbers."""
        kept = "the smaller half of the balls" if self.balls == "half" else "all balls"
        return (
            f"largest ratio of a real crop's radius to the distance below {self.cut} (radius: {self.neighbours} "
            f"nearest {'other people' if self.among == 'people' else 'other crops'}, {kept}, features {self.features})"
        )

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,): the largest ratio of radius to distance over the balls of real crops, at most 1000.

        Args:
            table: The crops. Those that are in the reference too, the same files, are left out of it for their score.
            reference: Real crops; those of distractors and junk have no ball.
            kept: Where finished blocks are kept.

        Raises:
            ConfigError: There is no reference.
            DataError: The reference has too few people, or crops, for k neighbours.
        """
        needs_reference(self.name, reference)
        assert reference is not None
        if not len(table):
            return np.empty(0)
        people = reference.where(reference.pids > 0)
        groups = torch.tensor(people.pids if self.among == "people" else np.arange(len(people)))
        self._check(people, len(groups.unique()))
        hoods = Neighbourhoods.of(self.features_of(people), groups, self.neighbours)
        crops, rows = self.features_of(table), rows_in(table, people)
        own = torch.from_numpy(np.where(rows >= 0, groups.numpy()[rows], NOBODY))

        def score(part: slice) -> np.ndarray:
            return _realism(crops[part], own[part], hoods, self.balls)

        return in_blocks(self.name, len(table), score, kept=kept, block=BLOCK)

    def _check(self, people: ReidTable, groups: int) -> None:
        if groups < self.neighbours + 2:
            raise DataError(
                "The realism filter has too few real crops for its neighbourhoods.",
                got=f"{groups} {self.among} in {people.name or 'the reference'} (pid > 0)",
                allowed=f"{self.neighbours + 2} {self.among} or more for {self.neighbours} neighbours",
                fix=f"{option('reference')} with the whole train split, or {option(realism_neighbours=1)}",
            )


def _realism(crops: Tensor, own: Tensor, hoods: Neighbourhoods, balls: Literal["half", "all"]) -> np.ndarray:
    """The largest ratios: a matrix product finds those that may be it, their differences say it.

    Which half of the balls is the smaller one, those of the median radius included, is asked without the scored crop's
    own group too: its neighbours have small radii because of it.
    """
    squares, margin = squares_to(hoods.features)(crops), margin_of(hoods.features, crops)
    asked, of_row = own.unique(return_inverse=True)
    radii = hoods.radii_without(asked)
    out = hoods.groups[None] == asked[:, None]
    if balls == "half":
        out |= radii > radii.masked_fill(out, torch.nan).nanmedian(dim=1, keepdim=True).values
    radii = radii.masked_fill(out, -1.0)[of_row]
    coarse = radii.float()
    least = (coarse / (squares + margin).sqrt().clamp(min=1e-9)).amax(dim=1, keepdim=True)
    may_be = (coarse >= 0) & (coarse >= 0.999999 * least * (squares - margin).clamp(min=0).sqrt())
    rows, columns = np.nonzero(may_be.numpy())
    radius = radii.numpy()[rows, columns]
    distance = np.sqrt(exact_squares(crops, hoods.features, rows, columns))
    far = (distance > 0) & (radius < distance * CAP)
    ratios = np.where(far, radius / np.where(far, distance, 1.0), CAP)
    return np.maximum.reduceat(ratios, np.searchsorted(rows, np.arange(len(crops))))
