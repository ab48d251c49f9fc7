"""Figures of merit: pure functions on arrays."""

from reidgen.metrics.clusters.agreement import cross_agreement
from reidgen.metrics.clusters.clustering import dbscan
from reidgen.metrics.fidelity.scores import frechet_distance, kernel_distance, precision_recall
from reidgen.metrics.ranking import Ranking, rank, rank_features
from reidgen.metrics.reranking.expansion import expand_gallery, expand_queries
from reidgen.metrics.reranking.jaccard import jaccard_distance
from reidgen.metrics.reranking.rerank import rerank
from reidgen.metrics.ssim import ssim

__all__ = [
    "Ranking",
    "cross_agreement",
    "dbscan",
    "expand_gallery",
    "expand_queries",
    "frechet_distance",
    "jaccard_distance",
    "kernel_distance",
    "precision_recall",
    "rank",
    "rank_features",
    "rerank",
    "ssim",
]
