"""Figures of merit: pure functions on arrays."""

from reidgen.metrics.ranking import Ranking, rank, rank_features
from reidgen.metrics.ssim import ssim

__all__ = ["Ranking", "rank", "rank_features", "ssim"]
