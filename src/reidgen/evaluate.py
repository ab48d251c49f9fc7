"""Evaluating a re-ID network: rank the gallery for each query, and say by which protocol."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from reidgen.backbones.reid_model import ReidModel
from reidgen.config import EvaluateConfig, as_dict
from reidgen.data.disk import parquet
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.runs.records import NUMBER, check_fields, read_values, write_checked
from reidgen.errors import RunError, command, option
from reidgen.files import write_bytes
from reidgen.generators.inversion.encoder import TrainedEncoder
from reidgen.metrics.counting import Persons
from reidgen.metrics.ranking import Ranking, check_embeddings, nearest, rank_blocks
from reidgen.metrics.reranking.expansion import pool_groups
from reidgen.reid.cache import embeddings_of
from reidgen.reid.ranking.queries import Queries, check_asked, own_pictures
from reidgen.reid.ranking.rankings import as_trained, compared_in_words, gallery_of, ranking_blocks

RESULT, QUERIES = "result.json", "queries.parquet"
SCHEMA_VERSION = 1
LISTED = 10  # gallery crops in each ranked list
RULES = {
    "market": "gallery crops of the query's person and camera and junk (pid -1) removed, distractors (pid 0) kept",
    "all": "nothing removed from the gallery but the query's own picture",
}
LISTS: dict[str, Any] = {
    "ranked_files": pl.List(pl.String),
    "ranked_paths": pl.List(pl.String),
    "ranked_pids": pl.List(pl.Int64),
    "ranked_camids": pl.List(pl.Int64),
    "correct": pl.List(pl.Boolean),
}
PER_QUERY = {
    **dict.fromkeys(("file_name", "path"), pl.String),
    **dict.fromkeys(("pid", "camid"), pl.Int64),
    **dict.fromkeys(("ap", "ap_trapezoid", "inp"), pl.Float64),
    "first_rank": None,
    **LISTS,
}


@dataclass(frozen=True, eq=False)
class Result:
    """What an evaluation found, and all that is needed to compare it with another.

    Attributes:
        mAP: Mean average precision, AP = mean of j / rank_j, over the queries with a match.
        mAP_trapezoid: The same by Market-1501's original code; never above mAP.
        mINP: Mean of n / rank of the last of n positives.
        rank1: Share of matched queries whose nearest gallery crop is of the person; rank5, rank10 and rank20 likewise.
        cmc: Shares for the first 1 to 50 gallery crops.
        num_queries: All queries, with a match or without; persons and cameras where several crops are one query.
        num_unmatched: Queries without a match in the gallery; they are in no mean.
        num_gallery: Gallery crops, junk and distractors included.
        protocol: The protocol in words.
        facts: dataset, split, hashes of crops (`crops`) and network (`model`), the training's seed, and what the
            training knows of itself: steps, epochs, images, people, generated share and its crops' hash (`table`).
            Where several crops are one query, also how many there were (`pooled`).
        config: The evaluation's options.
        per_query: One row a query (of several crops the first): file_name, path, pid, camid, ap, ap_trapezoid, inp,
            first_rank (0 without a match); for the first `ranked` queries also the lists ranked_files, ranked_paths,
            ranked_pids, ranked_camids and correct of the nearest ten gallery crops after removal, null for the others.
    """

    mAP: float
    mAP_trapezoid: float
    mINP: float
    rank1: float
    rank5: float
    rank10: float
    rank20: float
    cmc: list[float]
    num_queries: int
    num_unmatched: int
    num_gallery: int
    protocol: str
    facts: dict[str, Any]
    config: dict[str, Any]
    per_query: pl.DataFrame

    def __str__(self) -> str:
        unmatched = f" ({self.num_unmatched:,} without a match, left out)" if self.num_unmatched else ""
        return (
            f"mAP {self.mAP:.2%}  rank-1 {self.rank1:.2%}  rank-5 {self.rank5:.2%}  rank-10 {self.rank10:.2%}  "
            f"rank-20 {self.rank20:.2%}  mINP {self.mINP:.2%}  mAP by trapezoid {self.mAP_trapezoid:.2%}\n"
            f"{self.num_queries:,} queries{unmatched}, {self.num_gallery:,} gallery crops; {self.protocol}"
        )

    def write(self, folder: Path | str) -> None:
        """Write result.json and queries.parquet."""
        known = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "per_query"}
        write_bytes(Path(folder) / QUERIES, parquet.encode(self.per_query))
        write_checked(Path(folder) / RESULT, {"schema_version": SCHEMA_VERSION, **known})

    @classmethod
    def read(cls, folder: Path | str) -> "Result":
        """Read what `write` wrote.

        Raises:
            RunError: The folder holds no result, or a damaged one.
        """
        folder = Path(folder)
        if not (folder / RESULT).is_file() or not (folder / QUERIES).is_file():
            raise RunError(
                f"{folder} holds no result.",
                got=f"no {RESULT} and {QUERIES}",
                allowed=f"the {option('out')} of reidgen evaluate, finished",
                fix=f"reidgen evaluate --model DIR --data DIR {command('--out', folder)}",
            )
        known = read_values(folder / RESULT, cls, without=["per_query"])
        cmc = {str(k): share for k, share in enumerate(known["cmc"])}
        check_fields(folder / RESULT, cmc, dict.fromkeys(cmc, NUMBER), "cmc.")
        return cls(**known, per_query=parquet.decode_of_run(folder / QUERIES, PER_QUERY))


def evaluate_reid(
    model: ReidModel | TrainedEncoder,
    table: ReidTable,
    config: EvaluateConfig = EvaluateConfig(),
    *,
    out: Path | str | None = None,
) -> Result:
    """Rank the gallery split for each crop of the query split by distance of embeddings.

    Crops that a filter has rejected are not left out: the test stays the same whatever was filtered.

    Args:
        model: The network; it computes on the device that it was loaded on. An encoder's w+ are embeddings too.
        table: Crops, of which splits query and gallery are used.
        config: The protocol.
        out: Run folder; None writes nothing. Of a finished run the result is read.

    Raises:
        DataError: A split is empty, a query has no person or no crop in the folder of `multi_query`, no query has a
            match, a crop cannot be decoded, or there are too few crops for the neighbours asked for.
        RunError: `out` belongs to another run.
    """
    check_asked(table)
    query, gallery = table.query, table.gallery
    crops = ReidTable.concat([query, gallery], name=table.name)
    config = as_trained(config, model.config)
    queries = Queries.of(query, config.multi_query)
    hashes = {"model": model.hash, "crops": crops.hash()}
    if queries.pool is not query:
        hashes["pool"] = queries.pool.hash()
    if out is None:
        return _evaluate(model, queries, gallery, config, hashes)
    with RunFolder.begin(out, stage="evaluate", config=config, inputs=hashes) as run:
        if not run.done:
            result = _evaluate(model, queries, gallery, config, hashes)
            result.write(run.path)
            run.finish(
                {name: getattr(result, name) for name in ("mAP", "mAP_trapezoid", "mINP", "rank1", "rank5", "rank10")}
            )
        return Result.read(run.path)


def _pooled(model: ReidModel | TrainedEncoder, queries: Queries, config: EvaluateConfig) -> torch.Tensor:
    """One embedding a query, (Q, D)."""
    found = _embed(model, queries.pool, config)
    return found if queries.groups is None else pool_groups(found, queries.groups, metric=config.distance)


def _embed(model: ReidModel | TrainedEncoder, table: ReidTable, config: EvaluateConfig) -> torch.Tensor:
    found = embeddings_of(model, table, flip=config.mirror, batch=config.batch, embeddings=config.embeddings)
    check_embeddings(f"{table.rows['split'][0]}", found, len(table))
    return found


def _evaluate(
    model: ReidModel | TrainedEncoder,
    queries: Queries,
    gallery: ReidTable,
    config: EvaluateConfig,
    hashes: dict[str, str],
) -> Result:
    seen = gallery_of(gallery, config.protocol)
    query = queries.table
    ranking, lists = _rank(_pooled(model, queries, config), _embed(model, seen, config), queries, seen, config)
    facts = {
        **model.facts,
        "dataset": query.name,
        "split": "query against gallery",
        **hashes,
        "training_seed": model.config.seed,
    }
    if queries.groups is not None:
        facts["pooled"] = int((queries.groups >= 0).sum())
    return Result(
        mAP=ranking.mAP,
        mAP_trapezoid=ranking.mAP_trapezoid,
        mINP=ranking.mINP,
        rank1=float(ranking.cmc[0]),
        rank5=float(ranking.cmc[4]),
        rank10=float(ranking.cmc[9]),
        rank20=float(ranking.cmc[19]),
        cmc=ranking.cmc.tolist(),
        num_queries=ranking.num_queries,
        num_unmatched=ranking.num_unmatched,
        num_gallery=len(gallery),
        protocol=protocol_in_words(config),
        facts=facts,
        config=as_dict(config),
        per_query=_per_query(query, seen, ranking, lists),
    )


def _rank(
    theirs: torch.Tensor, others: torch.Tensor, queries: Queries, gallery: ReidTable, config: EvaluateConfig
) -> tuple[Ranking, list[np.ndarray]]:
    """The ranking, and the nearest gallery crops of the first queries, from one pass over the distances."""
    query, pictures = queries.table, None if config.protocol == "market" else queries.pictures(gallery)
    persons = Persons.of(query.pids, gallery.pids, query.camids, gallery.camids, config.protocol, pictures=pictures)
    own = None if pictures is None else own_pictures(*pictures)
    lists: list[np.ndarray] = []

    def listed() -> Iterator[Any]:
        for distances in ranking_blocks(theirs, others, config, own=own):
            shown = distances[: max(0, config.ranked - len(lists))]
            rows = range(len(lists), len(lists) + len(shown))
            lists.extend(
                nearest(shown.cpu() if isinstance(shown, torch.Tensor) else shown, persons, rows, count=LISTED)
            )
            yield distances

    return rank_blocks(listed(), persons), lists


def protocol_in_words(config: EvaluateConfig) -> str:
    """One line that two results must share to be comparable."""
    pools = {"none": "single query", "queries": "multiple query: mean of a person's query crops by one camera"}
    pooled = pools.get(config.multi_query, "multiple query: mean of a person's crops by the query's camera in a folder")
    return (
        f"{compared_in_words(config)}, {pooled}, {RULES[config.protocol]}; "
        "AP as mean of j / rank_j, and by trapezoid as Market-1501's own code; means over the queries with a match"
    )


def _per_query(query: ReidTable, gallery: ReidTable, ranking: Ranking, lists: Sequence[np.ndarray]) -> pl.DataFrame:
    files, paths, pids, camids = gallery.rows["file_name"].to_list(), gallery.paths, gallery.pids, gallery.camids
    rest = [None] * (len(query) - len(lists))
    return pl.DataFrame(
        {
            "file_name": query.rows["file_name"],
            "path": [str(path) for path in query.paths],
            "pid": query.pids,
            "camid": query.camids,
            "ap": ranking.ap,
            "ap_trapezoid": ranking.ap_trapezoid,
            "inp": ranking.inp,
            "first_rank": ranking.first_rank,
            "ranked_files": [[files[i] for i in one] for one in lists] + rest,
            "ranked_paths": [[str(paths[i]) for i in one] for one in lists] + rest,
            "ranked_pids": [pids[one].tolist() for one in lists] + rest,
            "ranked_camids": [camids[one].tolist() for one in lists] + rest,
            "correct": [(pids[one] == pid).tolist() for one, pid in zip(lists, query.pids, strict=False)] + rest,
        },
        schema_overrides=LISTS,
    ).with_columns(pl.col("ap", "ap_trapezoid", "inp").fill_nan(None))
