"""The knobs of ranking a gallery: how embeddings are compared, for an evaluation and for a search."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import (
    Device,
    check_between,
    check_counts,
    check_not_negative,
    check_seed,
    check_shares,
    require,
)
from reidgen.errors import option

Expansion = Literal["none", "average", "alpha"]


@dataclass(frozen=True, kw_only=True)
class RankingConfig:
    """How embeddings are made and compared.

    Attributes:
        metric: Distance between embeddings; "recipe" is the one of the network's training.
        flip: "sum" adds the embedding of the mirrored crop, "none" does not; "recipe" likewise.
        batch: Crops embedded at once.
        query_expansion: "average" puts the mean of a query and of the gallery crops nearest to it in its place (Chum et
            al. 2007), "alpha" weighs them by cosine to the power of alpha (Radenovic et al. 2018).
        gallery_expansion: The same for each gallery crop among the others (database-side augmentation).
        expansion_neighbours: How many nearest crops an expansion takes.
        expansion_alpha: The power of "alpha".
        rerank: "k-reciprocal" re-ranks the gallery (Zhong et al. 2017).
        rerank_k1: Neighbours in a reciprocal list, beside the crop itself.
        rerank_k2: Crops whose vectors are averaged, itself included.
        rerank_lambda: Share of the plain distance.
        embeddings: "cached" keeps them in the cache folder by weights and crops, "computed" neither reads nor keeps
            any (decoded crops are kept there all the same).
    """

    metric: Literal["recipe", "cosine", "euclid"] = "recipe"
    flip: Literal["recipe", "sum", "none"] = "recipe"
    batch: int = 64
    query_expansion: Expansion = "none"
    gallery_expansion: Expansion = "none"
    expansion_neighbours: int = 5
    expansion_alpha: float = 3.0
    rerank: Literal["none", "k-reciprocal"] = "none"
    rerank_k1: int = 20
    rerank_k2: int = 6
    rerank_lambda: float = 0.3
    embeddings: Literal["cached", "computed"] = "cached"
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "batch", "expansion_neighbours", "rerank_k1", "rerank_k2")
        check_not_negative(self, "expansion_alpha")
        check_seed(self.seed)
        check_shares(self, "rerank_lambda")
        require(
            self.metric != "euclid" or self.query_expansion == self.gallery_expansion == "none",
            "Expansions are means of embeddings of length 1.",
            got=option(metric=self.metric),
            allowed=option(metric="cosine"),
            fix=f"{option(metric='cosine')}, or no {option('query_expansion')} and no {option('gallery_expansion')}",
        )

    @property
    def distance(self) -> Literal["cosine", "euclid"]:
        """The metric, where it is no longer left to the recipe."""
        assert self.metric != "recipe", "reid.rankings.as_trained comes first"
        return self.metric

    @property
    def mirror(self) -> Literal["sum", "none"]:
        """The mirroring, where it is no longer left to the recipe."""
        assert self.flip != "recipe", "reid.rankings.as_trained comes first"
        return self.flip


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(RankingConfig):
    """The protocol of an evaluation; the result carries it.

    Attributes:
        protocol: "market" removes gallery crops of the query's person and camera, and junk; it is also the protocol of
            CUHK03 (new) and MSMT17. "all" removes none of these.
        multi_query: "none" ranks for each query crop. "queries" ranks once for each person and camera, by the mean
            embedding of its query crops. A folder of crops named as in Market-1501, such as its gt_bbox, is
            Market-1501's multi-query protocol: the mean is of the crops there.
        ranked: Queries whose ranked list is kept for the report.
    """

    protocol: Literal["market", "all"] = "market"
    multi_query: str = "none"
    ranked: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "ranked")


@dataclass(frozen=True, kw_only=True)
class GallerySearchConfig(RankingConfig):
    """What a search shows.

    Attributes:
        protocol: "all" shows every gallery crop but the query's own file; "market" leaves out crops of the query's
            person and camera and junk, for which names or tables have to say who and where.
        same_above: Similarity (1 - cosine distance) from which two crops count as the same person. The run says how
            often two people of the gallery reach it. None: no crop is called the same.
        top: Gallery crops in each list.
        shown: Queries on the sheet; all are in the table.
        height: Pixels of a crop on the sheet.
        pictures: "as-shown" turns images as their EXIF asks and lays their transparent parts over white; None reads
            pixels as they are stored.
        maps: Maps of where the network looks, over the crops of the sheet. "energy": length of the last map's vectors.
            "match": the part of each place in the likeness to the query. "class": the part in the score of the training
            person that the crop resembles most (Zhou et al. 2016).
    """

    protocol: Literal["all", "market"] = "all"
    same_above: float | None = None
    top: int = 10
    shown: int = 10
    height: int = 128
    pictures: Literal["as-shown"] | None = None
    maps: Literal["none", "energy", "match", "class"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "top", "shown")
        if self.same_above is not None:
            self._check_similarity()
        check_between(self, 32, 1024, "height")

    def _check_similarity(self) -> None:
        check_between(self, -1, 1, "same_above")
        plain = self.rerank == self.query_expansion == self.gallery_expansion == "none"
        require(
            plain and self.metric != "euclid",
            f"{option('same_above')} is a cosine of two crops, which this search does not compare by.",
            got=f"{option(metric=self.metric)} {option(rerank=self.rerank)} "
            f"{option(query_expansion=self.query_expansion)} {option(gallery_expansion=self.gallery_expansion)}",
            allowed=f"{option(metric='cosine')}, without re-ranking and expansion",
            fix=option(metric="cosine"),
        )
