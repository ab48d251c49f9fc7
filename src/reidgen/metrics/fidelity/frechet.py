"""Fréchet distance of two sets of features, from a nuclear norm: real, and right for singular covariances too."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg.lapack import dpstrf
from torch import Tensor

from reidgen.errors import DataError

Array = Tensor | np.ndarray
COVARIANCE_TOLERANCE = 1e-6  # of its largest entry: statistics may come from float32


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Gaussian needs to know of a set of features; sets are added without their features.

    Attributes:
        count: Features in the set.
        mean: float64 (D,).
        scatter: Sum of the outer products of the centred features, float64 (D, D).
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, features: Array) -> "Moments":
        """The moments of features (N, D)."""
        rows = _matrix(features)
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    @classmethod
    def over(cls, blocks: Iterable[Array]) -> "Moments":
        """The moments of features that come in blocks (N_i, D); only a block is in memory.

        Raises:
            DataError: There is no block.
        """
        total = None
        for block in blocks:
            part = cls.of(block)
            total = part if total is None else total.add(part)
        if total is None:
            raise DataError("There are no features to take moments of.", got="no block", allowed="at least one")
        return total

    def add(self, other: "Moments") -> "Moments":
        """The moments of both sets together (Chan et al. 1983, *Algorithms for computing the sample variance*)."""
        count = self.count + other.count
        step = other.mean - self.mean
        between = torch.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Tensor:
        """Sample covariance, divided by count - 1, float64 (D, D)."""
        return self.scatter / (self.count - 1)


Gaussian = Array | Moments | tuple[Array, Array]


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)), the distance of Heusel et al. 2017 (FID on Inception's features).

    With factors S = F F^T, the trace of the root is the nuclear norm of F1^T F2: the sum of its singular values. A
    factor is the centred features themselves where there are fewer of them than dimensions, and otherwise a Cholesky
    factor of the covariance, with pivoting where that is singular. No root of a matrix is taken, nothing turns complex,
    and singular covariances need no constant on their diagonal.

    Args:
        a: Features (N, D) with N >= 2, their `Moments`, or (mean, covariance) as (D,) and (D, D).
        b: The same of the other set.

    Returns:
        The distance, >= 0, in float64.

    Raises:
        DataError: The widths differ, there are fewer than two features, a value is not finite, or a covariance is not
            symmetric or has a variance below zero.

    >>> features = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet_distance(features, features + 3), 6)
    18.0
    """
    (mean_a, factor_a), (mean_b, factor_b) = _factored(a), _factored(b)
    if len(mean_a) != len(mean_b):
        raise DataError(
            "The two sets of features differ in width.", got=f"{len(mean_a)} and {len(mean_b)}", allowed="equal widths"
        )
    cross = _nuclear_norm(factor_a.T @ factor_b, len(mean_a))
    traces = factor_a.square().sum() + factor_b.square().sum()
    return max(float((mean_a - mean_b).square().sum() + traces - 2 * cross), 0.0)


def _nuclear_norm(matrix: Tensor, width: int) -> Tensor:
    """Sum of the singular values of a matrix (R, R') of the ranks of two covariances of (width, width)."""
    if min(matrix.shape) < width:
        return torch.linalg.svdvals(matrix).sum()  # a rank that is not full has values near zero: keep their digits
    return torch.linalg.eigvalsh(matrix @ matrix.T).clamp_(min=0).sqrt_().sum()  # half of the time


def _factored(given: Gaussian) -> tuple[Tensor, Tensor]:
    """Mean (D,) and a factor (D, R) of the covariance."""
    if isinstance(given, tuple):
        mean, covariance = (torch.as_tensor(part, dtype=torch.float64) for part in given)
        _check(mean, covariance, f"{tuple(mean.shape)} and {tuple(covariance.shape)}", mean.ndim == 1)
        lopsided = (covariance - covariance.T).abs().max()
        if lopsided > COVARIANCE_TOLERANCE * covariance.abs().max():
            raise DataError("A covariance is not symmetric.", got=f"a difference of {lopsided:.3g}", allowed="none")
        return mean, _root(covariance)
    if isinstance(given, Moments):
        moments = given
    else:
        rows = _matrix(given)
        if 1 < len(rows) < rows.shape[1]:
            mean = rows.mean(0)
            return mean, (rows - mean).T / (len(rows) - 1) ** 0.5
        moments = Moments.of(rows)
    if moments.count < 2:
        raise DataError("A covariance needs two features.", got=moments.count, allowed=">= 2")
    return moments.mean, _root(moments.covariance)


def _root(covariance: Tensor) -> Tensor:
    """A factor (D, R) of a positive semi-definite matrix (D, D) of rank R."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return factor
    packed, pivots, rank, _ = dpstrf(covariance.numpy(), lower=1)
    factor = torch.zeros(len(covariance), rank, dtype=torch.float64)
    factor[torch.from_numpy(pivots - 1).long()] = torch.from_numpy(np.tril(packed)[:, :rank].copy())
    left = (covariance - factor @ factor.T).abs().max()
    if left > COVARIANCE_TOLERANCE * covariance.abs().max():  # pivoting stops early where a variance is below zero
        raise DataError("A covariance has a variance below zero.", got=f"{left:.3g} left over", allowed="none")
    return factor


def _matrix(features: Array) -> Tensor:
    rows = torch.as_tensor(features).to("cpu", torch.float64)
    if rows.ndim != 2 or not len(rows):
        raise DataError("Features are not a matrix.", got=tuple(rows.shape), allowed="(N, D) with N >= 1")
    _check(rows[0], rows, tuple(rows.shape), True)
    return rows


def _check(mean: Tensor, rows: Tensor, shapes: object, fits: bool) -> None:
    if not fits or rows.ndim != 2 or rows.shape[1] != len(mean):
        raise DataError("Mean and covariance do not fit.", got=shapes, allowed="(D,) and (D, D)")
    if not bool(mean.isfinite().all() and rows.isfinite().all()):
        raise DataError("A feature is not finite.", got="nan or inf", allowed="finite numbers")
