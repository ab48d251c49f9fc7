"""The part of a re-ID training's config that says what is minimised."""

import math
from dataclasses import dataclass

from reidgen.config.base import Part, check_not_negative, check_shares, require
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class LossesConfig(Part):
    """The losses of a batch.

    Attributes:
        losses: Names, each with ":WEIGHT" where it is not 1: cross-entropy, triplet (hardest positive and negative),
            triplet-soft, triplet-weighted, circle, center.
        margin: Margin of "triplet", in the unit of the distance.
        label_smoothing: Epsilon of Szegedy et al. 2016; 0 is plain cross entropy.
    """

    losses: tuple[str, ...] = ("cross-entropy",)
    margin: float = 0.3
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "margin")
        check_shares(self, "label_smoothing")
        assert self.loss_weights, "an unusable one has raised"

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of each loss, in order."""
        weights = {}
        for text in self.losses:
            name, _, weight = text.partition(":")
            try:
                weights[name] = float(weight) if weight else 1.0
            except ValueError:
                weights[name] = math.nan
            require(
                0 < weights[name] < math.inf,
                "A loss has no usable weight.",
                got=text,
                allowed="NAME or NAME:WEIGHT > 0",
            )
        require(
            len(weights) == len(self.losses) > 0,
            f"{option('losses')} must name one or more, each once.",
            got=" ".join(self.losses),
            allowed="each once",
        )
        return weights
