"""Is a crop the person that its label says? By the embedding of a re-ID network that has not learned from the crop."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from reidgen.backbones.reid_model import load_reid
from reidgen.config import Device
from reidgen.config.fidelity import REID
from reidgen.data.table import ReidTable
from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import ConfigError, option
from reidgen.filters.features.claims import Claims, claims_among_themselves, claims_on_reference, has_real_people
from reidgen.filters.features.embedding import feature_hash, features_of
from reidgen.filters.features.neighbours import BLOCK
from reidgen.filters.features.seen import check_unseen, tell_known_people
from reidgen.filters.sizes import SizedFilter, crop_size
from reidgen.filters.thresholds import QuantileFilter


@dataclass(frozen=True)
class IdentityFilter(SizedFilter, QuantileFilter):
    """Rejects crops that are nearer to another person than to the one they claim to be.

    The score is the cosine similarity to the nearest crop of the claimed person, less that to the nearest crop of
    anybody else: above 0 the nearest person is the claimed one. Generated crops of real people are compared with the
    reference's crops; crops of new people with the other crops of their own table. A crop never meets itself.

    Attributes:
        model: Run folder of train-reid, or its reid.safetensors. It must not have learned from the crops that it
            judges, nor from other generated crops of real people whom they claim to be.
        threshold: Lowest score that is kept. None: the 5 % quantile of real crops, each compared with the other ones.
        people: "real": every crop claims to be the reference's person of its pid. "new": people are those of the table.
            "auto": real where a crop's parents lead to a crop of the reference, new where it has none outside.
        cameras: "other" leaves out crops of the claimed person by the crop's own camera (for a generated crop that of
            the real crop it was made from), which look alike for other reasons than the person; "all" leaves them in.
        size: (height, width) at which crops are compared; None takes the size of the table's first crop.
        batch: Crops a forward pass.
        device: Where the network runs.
    """

    name: ClassVar[str] = "identity"
    by_hand: ClassVar[str] = option(identity_threshold=0)
    needs: ClassVar[str] = "people with crops of two cameras, or with two crops where all are of one camera"
    model: str
    threshold: float | None = None
    people: Literal["auto", "real", "new"] = "auto"
    cameras: Literal["other", "all"] = "other"
    size: tuple[int, int] | None = None
    batch: int = 64
    device: Device = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", str(self.model).removeprefix(REID))
        cut = self.threshold
        if cut is not None and not -2 <= cut <= 2:
            raise ConfigError("IdentityFilter's threshold must be a difference of cosines.", got=cut, allowed="-2 to 2")
        if self.people not in ("auto", "real", "new") or self.cameras not in ("other", "all"):
            got = f"people {self.people}, cameras {self.cameras}"
            raise ConfigError("IdentityFilter has no such choice.", got=got, allowed="auto, real or new; other or all")
        if self.batch < 1:
            raise ConfigError("IdentityFilter's batch must be positive.", got=self.batch, allowed=">= 1")

    @property
    def rule(self) -> str:
        """Which crops are rejected, in words and numbers."""
        others = " by other cameras" if self.cameras == "other" else ""
        return (
            f"similarity to the claimed person's crops{others} less that to anybody else's below {self.cut}, or "
            f"nothing of that person to compare with (network {self.model})"
        )

    def inputs(self) -> dict[str, str]:
        """SHA-256 of the network's weights."""
        return {"model": feature_hash(REID + self.model, self.device)}

    def scores(
        self, table: ReidTable, reference: ReidTable | None = None, *, kept: ScoreFolder | None = None
    ) -> np.ndarray:
        """float64 (N,) from -2 to 2; -inf: nothing to compare with; NaN: distractors and junk, which claim nobody.

        Args:
            table: The crops. Crops of the reference itself are compared with the others of it.
            reference: Real crops with the people that generated crops claim to be.
            kept: Where finished blocks are kept.

        Raises:
            WeightsError: The network has learned from these crops or from other generated ones of these people, or
                nobody knows; or it is missing or damaged.
            ConfigError: Crops claim to be real people and there is no reference.
            DataError: The reference lacks a claimed person or a parent; or there is nobody else to compare with.
        """
        if not len(table):
            return np.empty(0)
        model = load_reid(self.model, device=self.device)
        real = has_real_people(table, reference, self.people)
        check_unseen(model, self.model, table, real)
        if reference is not None and table.rows.equals(reference.rows):
            tell_known_people(model, self.model, reference)
        scores = np.full(len(table), np.nan)
        people = table.pids > 0
        for which, what in ((real & people, "real"), (~real & people, "new")):
            if which.any():
                claims = self._claims(table.where(which), reference if what == "real" else None)
                folder = None if kept is None else kept.below(what)
                scores[which] = in_blocks(self.name, len(claims), claims.margins, kept=folder, block=BLOCK)
        return scores

    def rejected(self, scores: np.ndarray) -> list[str | None]:
        """`identity:alone` without anything to compare with, `identity` below the threshold, None else."""
        assert self.threshold is not None, "calibrated() comes first"
        alone, below = np.isneginf(scores), scores < self.threshold
        return ["identity:alone" if a else "identity" if b else None for a, b in zip(alone, below, strict=True)]

    def _claims(self, crops: ReidTable, reference: ReidTable | None) -> Claims:
        def embed(table: ReidTable) -> Tensor:
            size = self.size or crop_size(table)
            return features_of(table, REID + self.model, size=size, batch=self.batch, device=self.device)

        if reference is None:
            return claims_among_themselves(crops, embed(crops), cameras=self.cameras)
        people = reference.where(reference.pids > 0)
        return claims_on_reference(crops, embed(crops), people, embed(people), cameras=self.cameras)
