"""From embeddings to the distances that a gallery is ranked by, as the knobs of a ranking say."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import numpy as np
from torch import Tensor

from reidgen.config import RankingConfig
from reidgen.data.table import JUNK, ReidTable
from reidgen.errors import DataError, option
from reidgen.metrics.ranking import distance_blocks
from reidgen.metrics.reranking.expansion import expand_gallery, expand_queries
from reidgen.metrics.reranking.rerank import Reranked

Ranking = TypeVar("Ranking", bound=RankingConfig)
FLIPS = {"sum": "sum of the embeddings of the crop and of its mirror image", "none": "embedding of the crop"}


def as_trained(config: Ranking, training: object) -> Ranking:
    """The config with the metric and the mirroring of a network's recipe where it leaves them to that.

    Args:
        config: How crops are compared.
        training: Config of the network's training; one that is of no recipe has cosine distance and the sum with the
            mirrored crop.

    Raises:
        ConfigError: An expansion goes with the metric that was asked for, but not with the recipe's.
    """
    metric: Any = config.metric if config.metric != "recipe" else getattr(training, "test_metric", "cosine")
    flip: Any = config.flip if config.flip != "recipe" else getattr(training, "test_flip", "sum")
    return dataclasses.replace(config, metric=metric, flip=flip)


def gallery_of(table: ReidTable, protocol: Literal["market", "all"]) -> ReidTable:
    """The gallery crops that count: under "market" no junk, which is in nobody's ranking and so nobody's neighbour.

    Raises:
        DataError: Nothing but junk is there.
    """
    counted = table.where(table.pids != JUNK) if protocol == "market" else table
    if len(table) and not len(counted):
        raise DataError(
            f"The gallery of {table.name or 'the table'} is nothing but junk.",
            got=f"{len(table):,} crops of pid {JUNK}",
            allowed=f"a crop of somebody, for {option(protocol='market')}",
            fix=option(protocol="all"),
        )
    return counted


def ranking_blocks(
    query: Tensor, gallery: Tensor, config: RankingConfig, *, own: np.ndarray | None = None
) -> Iterator[Any]:
    """Distances (B, G) of some queries to the whole gallery, and so on to the last query.

    Gallery expansion comes first, then query expansion, then re-ranking; each works on what the one before made.

    Args:
        query: Embeddings (Q, D).
        gallery: Embeddings (G, D), on the same device: all crops that count, as neighbours too.
        config: How they are compared.
        own: int64 (Q,), the gallery crop that is the query itself, -1 where none is. It is nobody's neighbour in both
            places; only to re-ranking an expanded embedding and the one it comes from are two.

    Raises:
        DataError: An embedding is not finite or has no direction, or there are too few for the neighbours asked for.
    """
    count, powers = config.expansion_neighbours, {"average": 0.0, "alpha": config.expansion_alpha}
    if config.gallery_expansion != "none":
        gallery = expand_gallery(gallery, neighbours=count, alpha=powers[config.gallery_expansion])
    if config.query_expansion != "none":
        query = expand_queries(query, gallery, neighbours=count, alpha=powers[config.query_expansion], own=own)
    if config.rerank == "none":
        yield from distance_blocks(query, gallery, metric=config.distance)
        return
    same = config.query_expansion == config.gallery_expansion == "none"
    reranked = Reranked.of(
        query,
        gallery,
        k1=config.rerank_k1,
        k2=config.rerank_k2,
        lambda_=config.rerank_lambda,
        metric=config.distance,
        own=own if same else None,
    )
    for _, distances in reranked.blocks():
        yield distances


def compared_in_words(config: RankingConfig) -> str:
    """How crops are compared, for a protocol: metric, feature, and whatever is done to the ranking."""
    words = [f"{config.distance} distance", FLIPS[config.mirror]]
    for side, kind in (("gallery", config.gallery_expansion), ("query", config.query_expansion)):
        if kind != "none":
            power = f" to the power of {config.expansion_alpha:g}" if kind == "alpha" else ""
            weights = f"by cosine{power}" if kind == "alpha" else "alike"
            words.append(f"{side} expanded by the {config.expansion_neighbours} nearest gallery crops, {weights}")
    if config.rerank != "none":
        words.append(
            f"re-ranked by k-reciprocal encoding over queries and gallery (k1 {config.rerank_k1}, "
            f"k2 {config.rerank_k2}, lambda {config.rerank_lambda:g})"
        )
    return ", ".join(words)
