"""Are two crops of the same person? A threshold on their similarity, and how often it takes two people for one."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 1024  # rows compared at once with all others


class FalseMatches(NamedTuple):
    """Pairs of crops of two people.

    Attributes:
        pairs: How many there are.
        matched: How many reach the threshold.
    """

    pairs: int
    matched: int

    @property
    def rate(self) -> float | None:
        """Share of the pairs that reach it, 0 to 1; None without pairs."""
        return self.matched / self.pairs if self.pairs else None

    def __str__(self) -> str:
        if self.rate is None:
            return "how often two people reach it is not known: no two crops of the gallery are of known people"
        return f"{100 * self.rate:.3f} % of {self.pairs:,} pairs of crops of two people in the gallery reach it"


def false_matches(embeddings: Tensor, pids: np.ndarray, threshold: float) -> FalseMatches:
    """Count the pairs of crops of two people whose cosine similarity is at or above a threshold.

    Alvarez-Gonzalez, thesis, section 4.2: above a certain threshold "it is determined that the images correspond to the
    same object or person".

    Args:
        embeddings: (N, D), none of them 0.
        pids: int64 (N,); two crops of pid 0, the distractors, are not a pair: they may show one person.
        threshold: -1 to 1.
    """
    directions = functional.normalize(embeddings.float(), dim=1)
    people = torch.from_numpy(pids).to(embeddings.device)
    pairs = matched = 0
    for first in range(0, len(people), BLOCK):
        rows, others = slice(first, first + BLOCK), slice(first, None)
        differ = (people[rows, None] != people[None, others]).triu(diagonal=1)
        alike = directions[rows] @ directions[others].T >= threshold
        pairs, matched = pairs + int(differ.sum()), matched + int((differ & alike).sum())
    return FalseMatches(pairs, matched)
