"""Figures of merit: pure functions on arrays."""

from reidgen.metrics.fidelity import frechet_distance, kernel_distance, precision_recall
from reidgen.metrics.ranking import Ranking, rank, rank_features
from reidgen.metrics.ssim import ssim

__all__ = [
    "Ranking",
    "frechet_distance",
    "kernel_distance",
    "precision_recall",
    "rank",
    "rank_features",
    "ssim",
]
