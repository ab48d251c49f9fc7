"""Improved precision and recall: what share of one set lies within the neighbourhoods of the other."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidgen.errors import DataError
from reidgen.metrics.exact import are_many, exact_smallest, exact_squares, margin_of, sharper_squares
from reidgen.metrics.neighbours import squares_to

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
    real, fake = torch.as_tensor(real).cpu(), torch.as_tensor(fake).cpu()
    few = min(len(real), len(fake)) <= neighbours
    if few or real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
        raise DataError("The neighbourhoods need two sets of features.", got=shapes, allowed=f"more than {neighbours}")
    margin = margin_of(real, fake)
    real_radius, fake_radius = (_radii(one, neighbours, margin) for one in (real, fake))
    holders, held = torch.zeros(len(fake), dtype=torch.int64), torch.zeros(len(real), dtype=torch.bool)
    recalled, squares_of = torch.zeros(len(real), dtype=torch.bool), squares_to(fake.float())
    for first in range(0, len(real), BLOCK):
        rows = slice(first, first + BLOCK)
        squares = squares_of(real[rows].float())
        inside = _within(squares, real_radius[rows, None], real[rows], fake, margin)
        holders += inside.sum(0)
        held[rows] = inside.any(1)
        recalled[rows] = _within(squares, fake_radius[None], real[rows], fake, margin).any(1)
    return Manifold(
        precision=float((holders > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(holders.double().mean() / neighbours),
        coverage=float(held.double().mean()),
    )


def _radii(features: Tensor, neighbours: int, margin: float) -> Tensor:
    """Squared distance of each feature to its k-th nearest other one, float64: equal where two are each other's."""
    radii, squares_of = [], squares_to(features.float())
    for first in range(0, len(features), BLOCK):
        part = features[first : first + BLOCK]
        squares = squares_of(part.float())
        own = torch.arange(len(squares))
        squares[own, first + own] = torch.inf  # by place, not by value: a twin is another feature
        radii.append(exact_smallest(part, features, squares, neighbours, margin)[1][:, -1])
    return torch.from_numpy(np.concatenate(radii))


def _within(squares: Tensor, radii: Tensor, real: Tensor, fake: Tensor, margin: float) -> Tensor:
    """Bool (N, M): whether squared distances are within squared radii; those near the rim are computed anew."""
    away = squares - radii.float()
    inside = away <= 0
    rows, columns = np.nonzero((away.abs() <= margin).numpy())
    rims = radii.expand_as(inside)
    if are_many(rows, columns):
        sharper, unsure = sharper_squares(real, fake, rows, columns)
        sharp = torch.from_numpy(sharper) - rims[rows, columns]
        inside[rows, columns] = sharp <= 0
        left = (sharp.abs() <= unsure).numpy()
        rows, columns = rows[left], columns[left]
    exact = torch.from_numpy(exact_squares(real, fake, rows, columns))
    inside[rows, columns] = exact <= rims[rows, columns]
    return inside
