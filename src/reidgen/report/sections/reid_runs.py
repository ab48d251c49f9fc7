"""Evaluated re-ID runs: their figures, the training behind them, and their ranked lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from reidgen.data.table import ReidTable
from reidgen.engine.runs.records import NUMBER, Fields, check_fields
from reidgen.errors import DataError, RunError, option
from reidgen.evaluate import RESULT, Result
from reidgen.files import file_sha256
from reidgen.report.folders import Run
from reidgen.report.sections.ranked import RankedList

FIGURES = ("mAP", "rank1", "rank5", "rank10", "mAP_trapezoid", "mINP")
COUNTS = ("steps", "images", "people", "generated_images", "generated_people")
FACTS: Fields = {
    **dict.fromkeys(("dataset", "crops", "model"), str),
    **dict.fromkeys(("training_seed", *COUNTS), NUMBER),
}
WEIGHTS = "reid.safetensors"


@dataclass(frozen=True)
class ReidRun:
    """One trained network and how it ranks.

    Attributes:
        name: The evaluation's folder.
        seed: Seed of the training.
        figures: mAP, rank1, rank5, rank10, mAP_trapezoid and mINP, as shares.
        facts: Of the training: steps, images, people, generated_images, generated_people and more.
        config: Options of the training; None where its folder is not among the runs.
        protocol: How the figures were made, in words.
        test: Hash of the query and gallery crops.
        size: Queries, those without a match, and gallery crops.
        history: Records of the training's metrics.jsonl; empty where its folder is not among the runs.
        ranked: Kept ranked lists.
    """

    name: str
    seed: int
    figures: dict[str, float]
    facts: dict[str, Any]
    config: dict[str, Any] | None
    protocol: str
    test: str
    size: tuple[int, int, int]
    history: Sequence[dict[str, Any]]
    ranked: Sequence[RankedList]

    @property
    def test_in_words(self) -> str:
        """The protocol and the sizes of the test."""
        queries, unmatched, gallery = self.size
        without = f" ({unmatched:,} without a match)" if unmatched else ""
        return (
            f"{self.facts['dataset']}: {queries:,} queries{without} against {gallery:,} gallery crops; {self.protocol}"
        )


def weights_hash(training: Run) -> str:
    """Hash of the weights that a training ended with, by which evaluations name it.

    Raises:
        RunError: The weights are not there any more.
    """
    path = training.path / WEIGHTS
    if not path.is_file():
        raise RunError(
            f"{training.path} has lost its weights.",
            got=f"no {WEIGHTS}",
            allowed="the folder of reidgen train-reid, as it was written",
            fix=f"leave the folder out of {option('runs')}",
        )
    return file_sha256(path)


def read_reid_run(run: Run, trainings: Mapping[str, Run]) -> ReidRun:
    """Read an evaluation, and its training if that is one of the given runs.

    Args:
        run: The evaluation.
        trainings: Runs of train-reid by the hash of their weights.

    Raises:
        RunError: The folder holds no result, or a damaged one.
    """
    result = Result.read(run.path)
    check_fields(run.path / RESULT, result.facts, FACTS, "facts.")
    training = trainings.get(result.facts["model"])
    return ReidRun(
        name=run.path.name,
        seed=result.facts["training_seed"],
        figures={figure: getattr(result, figure) for figure in FIGURES},
        facts=result.facts,
        config=None if training is None else training.record["config"],
        protocol=result.protocol,
        test=result.facts["crops"],
        size=(result.num_queries, result.num_unmatched, result.num_gallery),
        history=() if training is None else training.metrics,
        ranked=list(_ranked(result)),
    )


def _ranked(result: Result) -> Iterator[RankedList]:
    tables: dict[Path, dict[str, dict[str, Any]]] = {}
    for row in result.per_query.filter(pl.col("correct").is_not_null()).iter_rows(named=True):
        query = _crop(tables, row["file_name"], row["path"], row["pid"], row["camid"])
        lists = (row[f"ranked_{what}"] for what in ("files", "paths", "pids", "camids"))
        gallery = [_crop(tables, *one) for one in zip(*lists, strict=True)]
        yield RankedList(query, gallery, row["correct"], row["ap"])


def _crop(tables: dict[Path, dict[str, dict[str, Any]]], name: str, path: str, pid: int, camid: int) -> dict[str, Any]:
    """The row of a crop in the table it stands in; of origin unknown where that table is not there any more."""
    root = Path(path.removesuffix(name))
    if root not in tables:
        tables[root] = _rows(root)
    return tables[root].get(name) or {
        "root": str(root),
        "file_name": name,
        "pid": pid,
        "camid": camid,
        "origin": "unknown",
    }


def _rows(root: Path) -> dict[str, dict[str, Any]]:
    try:
        table = ReidTable.read(root)
    except DataError:
        return {}
    return {row["file_name"]: row for row in table.rows.iter_rows(named=True)}
