"""Kernel distance (KID): the squared maximum mean discrepancy under a cubic kernel, without bias at any number."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidgen.errors import DataError

BLOCK = 1024  # rows of a kernel matrix in memory at a time


@dataclass(frozen=True)
class KernelDistance:
    """Estimates of one squared discrepancy.

    Attributes:
        full: From all pairs of features.
        mean: Mean over the subsets.
        sd: Sample standard deviation over the subsets; of single subsets, not of their mean. 0 for one subset.
        subsets: How many subsets were drawn.
        size: Features of each set in a subset.
    """

    full: float
    mean: float
    sd: float
    subsets: int
    size: int


def kernel_distance(
    a: Tensor | np.ndarray, b: Tensor | np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3, from all features and over random subsets.

    Binkowski et al. 2018, *Demystifying MMD GANs*, section 3 and appendix: 100 subsets of 1,000 by their code.

    Args:
        a: Features (N, D), N >= 2.
        b: Features (M, D), M >= 2.
        subsets: How many subsets are drawn, each without repetition.
        size: Features of each set in a subset; fewer where a set is smaller.
        seed: Of the draws.

    Raises:
        DataError: A set has fewer than two features, or the widths differ.
    """
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise DataError("A kernel distance needs two sets of features.", got=shapes, allowed="(N, D) and (M, D), >= 2")
    size, rng = min(size, len(a), len(b)), np.random.default_rng(seed)
    drawn = [
        squared_mmd(*(one[torch.from_numpy(rng.choice(len(one), size, replace=False))] for one in (a, b)))
        for _ in range(subsets)
    ]
    sd = float(np.std(drawn, ddof=1)) if subsets > 1 else 0.0
    return KernelDistance(squared_mmd(a, b), float(np.mean(drawn)), sd, subsets, size)


def squared_mmd(a: Tensor, b: Tensor) -> float:
    """The unbiased estimate from all pairs of a (N, D) and b (M, D): may be below zero. float64, in blocks."""
    n, m = len(a), len(b)
    within = _kernel_sum(a) / (n * (n - 1)) + _kernel_sum(b) / (m * (m - 1))
    return within - 2 * _kernel_sum(a, b) / (n * m)


def _kernel_sum(a: Tensor, b: Tensor | None = None) -> float:
    """Sum of the kernel over all pairs of a and b, or over all pairs of two different rows of a."""
    total = 0.0
    for first in range(0, len(a), BLOCK):
        rows = a[first : first + BLOCK].double()
        if b is not None:
            total += sum(float(_kernel(rows, b[at : at + BLOCK]).sum()) for at in range(0, len(b), BLOCK))
            continue
        own = _kernel(rows, rows)
        total += float(own.sum() - own.diagonal().sum())  # pairs below the block count twice: the kernel is symmetric
        total += 2 * sum(float(_kernel(rows, a[at : at + BLOCK]).sum()) for at in range(first + BLOCK, len(a), BLOCK))
    return total


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.double().T).div_(a.shape[1]).add_(1).pow_(3)
