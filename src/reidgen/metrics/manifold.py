"""Improved precision and recall: what share of one set lies within the neighbourhoods of the other."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidgen.errors import DataError

BLOCK = 1024  # rows of a distance matrix in memory at a time


@dataclass(frozen=True)
class Manifold:
    """Overlap of a real and a generated set of features, all from 0 to 1.

    Attributes:
        precision: Share of generated features within the neighbourhood of a real one: how real they look.
        recall: Share of real features within the neighbourhood of a generated one: how much is covered.
        density: How many real neighbourhoods hold a generated feature, over k; may exceed 1.
        coverage: Share of real neighbourhoods that hold a generated feature.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Tensor | np.ndarray, fake: Tensor | np.ndarray, *, neighbours: int = 3) -> Manifold:
    """Improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2), density and coverage.

    A feature's neighbourhood is the ball up to the k-th nearest other feature of its own set. Both sets should have the
    same number of features, as the balls of a smaller set are larger. Density and coverage: Naeem et al. 2020,
    equations 3 and 4.

    Args:
        real: Features (N, D), N > neighbours.
        fake: Features (M, D), M > neighbours.
        neighbours: k.

    Raises:
        DataError: A set has no k neighbours, or the widths differ.
    """
    real, fake = torch.as_tensor(real), torch.as_tensor(fake)
    few = min(len(real), len(fake)) <= neighbours
    if few or real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
        raise DataError("The neighbourhoods need two sets of features.", got=shapes, allowed=f"more than {neighbours}")
    real_radius, fake_radius = (_radii(one, neighbours) for one in (real, fake))
    holders, held = torch.zeros(len(fake), dtype=torch.int64), torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for first in range(0, len(real), BLOCK):
        rows = slice(first, first + BLOCK)
        distances = _squared(real[rows], fake)
        inside = distances <= real_radius[rows, None]
        holders += inside.sum(0)
        held[rows] = inside.any(1)
        recalled[rows] = (distances <= fake_radius).any(1)
    return Manifold(
        precision=float((holders > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(holders.double().mean() / neighbours),
        coverage=float(held.double().mean()),
    )


def _radii(features: Tensor, neighbours: int) -> Tensor:
    """Squared distance of each feature to its k-th nearest other one."""
    radii = []
    for first in range(0, len(features), BLOCK):
        distances = _squared(features[first : first + BLOCK], features)
        own = torch.arange(len(distances))
        distances[own, first + own] = torch.inf  # by place, not by value: a twin is another feature
        radii.append(distances.kthvalue(neighbours, dim=1).values)
    return torch.cat(radii)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M)."""
    products = torch.addmm(b.square().sum(1)[None], a, b.T, alpha=-2)
    return products.add_(a.square().sum(1, keepdim=True)).clamp_(min=0)
