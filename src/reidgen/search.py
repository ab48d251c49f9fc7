"""Searching a gallery: which of its crops are nearest to each query, as a table and as a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image

from reidgen.backbones.reid_model import ReidModel
from reidgen.config import GallerySearchConfig
from reidgen.data.augment import normalise
from reidgen.data.disk import parquet
from reidgen.data.pixels.images import read_rgb
from reidgen.data.pixels.store import CropStore
from reidgen.data.readers.gather import Gathered, gather_crops
from reidgen.data.table import DISTRACTOR, ReidTable
from reidgen.engine import RunFolder
from reidgen.errors import ConfigError, DataError, option
from reidgen.files import sha256, write_bytes
from reidgen.generators.inversion.encoder import TrainedEncoder
from reidgen.generators.pictures.sheets import write_png
from reidgen.metrics.neighbours import smallest
from reidgen.metrics.ranking import check_embeddings
from reidgen.reid.cache import embeddings_of
from reidgen.reid.maps import activation_maps, check_map
from reidgen.reid.ranking.ranked_sheet import Cell, overlay, ranked_sheet
from reidgen.reid.ranking.rankings import as_trained, compared_in_words, gallery_of, ranking_blocks
from reidgen.reid.ranking.verification import false_matches

TABLE, TEXT, SHEET = "ranked.parquet", "ranked.csv", "ranked.png"
NAME_LENGTH = 22  # of a file's name on the sheet


def search_gallery(
    model: ReidModel | TrainedEncoder,
    query: Path | str,
    gallery: Path | str,
    config: GallerySearchConfig = GallerySearchConfig(),
    *,
    out: Path | str,
) -> pl.DataFrame:
    """Rank the crops of a gallery for each query by distance of embeddings; nobody has to be known.

    Writes ranked.parquet and ranked.csv, one row for each query and rank, and ranked.png, the first queries with what
    was found: green and red borders tell right from wrong where both people are known.

    Args:
        model: The network.
        query: An image, a folder of images, or a folder that reidgen wrote (its query split).
        gallery: A folder likewise (its gallery split). The query's own file is never found, nor the crop that a
            generated query was made of.
        config: How crops are compared, and what is shown.
        out: Run folder. Of a finished run the result is read.

    Returns:
        query, query_path, query_pid, query_camid, rank (from 1), distance, file, path, pid, camid, correct. People,
        cameras and `correct` are null where nobody knows; `correct` is so too for a query of a distractor or of junk.
        With `same_above` also `same`: whether the crops are alike enough to count as one person.
        A query for which no crop is left has no row.

    Raises:
        DataError: There are no crops, a crop cannot be decoded, protocol "market" is asked for and somebody is not
            known, or there are too few crops for the neighbours asked for.
        ConfigError: A map is asked for that the network does not have.
        RunError: `out` belongs to another run.
    """
    asked = gather_crops(query, "query", pictures=config.pictures)
    found = gather_crops(gallery, "gallery", pictures=config.pictures)
    config = as_trained(config, model.config)
    _check(model, asked, found, config)
    counted = gallery_of(found.table, config.protocol)
    found = Gathered(counted, np.ones(len(counted), dtype=bool) if config.protocol == "market" else found.known)
    inputs = {"model": model.hash, "query": _hash(asked.table), "gallery": _hash(found.table)}
    with RunFolder.begin(out, stage="search", config=config, inputs=inputs) as run:
        if not run.done:
            search = _Search(model, asked, found, config)
            ranked = search.ranked()
            _write(ranked, run.path)
            write_png(run.path / SHEET, search.sheet(ranked))
            run.finish(search.summary(ranked))
        return parquet.decode(run.path / TABLE)


@dataclass(frozen=True, eq=False)
class _Search:
    model: ReidModel | TrainedEncoder
    query: Gathered
    gallery: Gathered
    config: GallerySearchConfig

    def _embeddings(self, crops: Gathered, side: str) -> torch.Tensor:
        config = self.config
        made = embeddings_of(
            self.model, crops.table, flip=config.mirror, batch=config.batch, embeddings=config.embeddings
        )
        check_embeddings(side, made, len(crops.table))
        return made

    def ranked(self) -> pl.DataFrame:
        """The table that `search_gallery` returns."""
        query, gallery = self._embeddings(self.query, "query"), self._embeddings(self.gallery, "gallery")
        parts, first = [], 0
        own = self._own()
        for distances in ranking_blocks(query, gallery, self.config, own=own):
            block = torch.as_tensor(distances).cpu()
            rows = np.arange(first, first + len(block))
            block[torch.from_numpy(self._removed(rows, own[rows]))] = torch.inf
            columns, values = smallest(block, min(self.config.top, block.shape[1]))
            parts.append(self._rows(rows, columns, values))
            first += len(block)
        ranked = pl.concat(parts)
        if not ranked.height:
            raise DataError(
                "Nothing is left to be found.",
                got=f"{len(self.gallery.table):,} gallery crops, which are the queries' own files or are left out",
                allowed="at least one other crop",
                fix=f"another {option('gallery')}, or {option(protocol='all')}",
            )
        return ranked

    def _own(self) -> np.ndarray:
        """Of each query the gallery crop that is the same file, int64 (Q,), -1 where none is."""
        places = {path.resolve(): row for row, path in enumerate(self.gallery.table.paths)}
        return np.array([places.get(path.resolve(), -1) for path in self.query.table.paths], dtype=np.int64)

    def _parents(self) -> np.ndarray:
        """Of each query the gallery crop that it was made of, by its name, int64 (Q,), -1 where none is."""
        places = {Path(name).name: row for row, name in enumerate(self.gallery.table.rows["file_name"])}
        parents = self.query.table.rows["parent"]
        return np.array([-1 if name is None else places.get(Path(name).name, -1) for name in parents], dtype=np.int64)

    def _removed(self, rows: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Of each query, bool (B, G), what it shall not be shown."""
        asked, others = self.query.table, self.gallery.table
        places = np.arange(len(others))[None]
        removed = (places == own[:, None]) | (places == self._parents()[rows][:, None])
        if self.config.protocol == "market":
            person = np.where(asked.pids[rows] > DISTRACTOR, asked.pids[rows], np.iinfo(np.int64).min)  # or nobody
            same = person[:, None] == others.pids[None]
            removed |= same & (asked.camids[rows][:, None] == others.camids[None])
        return removed

    def _rows(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> pl.DataFrame:
        shown = np.isfinite(values)  # the removed ones are at the end
        which, places = np.repeat(rows, shown.sum(axis=1)), columns[shown]
        ranks = np.broadcast_to(np.arange(1, values.shape[1] + 1), values.shape)[shown]
        asked, others = _described(self.query, which), _described(self.gallery, places)
        frame = asked.rename({"file": "query", "path": "query_path", "pid": "query_pid", "camid": "query_camid"})
        distances = pl.Series("distance", values[shown].astype(np.float32))
        frame = frame.with_columns(pl.Series("rank", ranks.astype(np.int64)), distances)
        correct = pl.when(pl.col("query_pid") > DISTRACTOR).then(pl.col("query_pid") == pl.col("pid"))
        frame = pl.concat([frame, others], how="horizontal").with_columns(correct=correct)
        if (least := self.config.same_above) is None:
            return frame
        return frame.with_columns(same=pl.col("distance") <= 1 - least)

    def summary(self, ranked: pl.DataFrame) -> dict[str, Any]:
        """What the run says of itself."""
        first = ranked.filter(pl.col("rank") == 1)["correct"].drop_nulls()
        return {
            "queries": len(self.query.table),
            "without_crops": len(self.query.table) - ranked["query_path"].n_unique(),
            "gallery": len(self.gallery.table),
            "compared": compared_in_words(self.config),
            "known": len(first),
            "first_correct": float(first.mean()) if len(first) else None,  # type: ignore[arg-type]
            **self._verification(ranked),
        }

    def _verification(self, ranked: pl.DataFrame) -> dict[str, Any]:
        """How many of the listed crops count as the query's person, and how often the threshold takes two for one."""
        if (least := self.config.same_above) is None:
            return {}
        known = torch.from_numpy(self.gallery.known & (self.gallery.table.pids >= DISTRACTOR))
        gallery = self._embeddings(self.gallery, "gallery")
        found = false_matches(gallery[known.to(gallery.device)], self.gallery.table.pids[known.numpy()], least)
        said = {"same": int(ranked["same"].sum()), "pairs_of_two_people": found.pairs}
        return said | {"false_match_rate": found.rate, "false_matches": found.matched}

    def sheet(self, ranked: pl.DataFrame) -> np.ndarray:
        """The picture of the first queries."""
        rows, config = [], self.config
        for (path,), found in _first(ranked, config.shown):
            crops = [self._pixels(one) for one in (path, *found["path"])]
            maps = [None] * len(crops) if config.maps == "none" else list(self._maps([path, *found["path"]]))
            over = [
                None if values is None else overlay(crop, values, height=config.height)
                for crop, values in zip(crops, maps, strict=True)
            ]
            cells = [
                Cell(crop, _caption(one), one["correct"], picture)
                for crop, one, picture in zip(crops[1:], found.iter_rows(named=True), over[1:], strict=True)
            ]
            rows.append((Cell(crops[0], _short(path), overlay=over[0]), cells))
        return ranked_sheet(rows, height=config.height)

    def _pixels(self, path: str, size: tuple[int, int] | None = None) -> Image.Image:
        return read_rgb(Path(path), size=size, shown=self.config.pictures == "as-shown")

    def _maps(self, paths: list[str]) -> Iterator[np.ndarray]:
        """A map of a query and of each crop found for it; under "match" all with the query's embedding."""
        assert isinstance(self.model, ReidModel) and self.config.maps != "none"
        model = self.model
        pixels = np.stack([np.asarray(self._pixels(path, model.config.size)) for path in paths])
        images = normalise(CropStore(pixels).to(model.device).batch(range(len(paths))))
        with torch.inference_mode():
            asked = model.network(images[:1]).embedding.float().expand(len(images), -1)
        yield from activation_maps(model.network, images, self.config.maps, query=asked).cpu().numpy()


def _described(crops: Gathered, rows: np.ndarray) -> pl.DataFrame:
    """File, path, pid and camid of some crops; null where nobody knows."""
    chosen = crops.table.rows.select("root", "file_name", "pid", "camid").with_columns(known=pl.Series(crops.known))
    chosen = chosen[rows]
    path = pl.concat_str(["root", "file_name"], separator="/")
    people = [pl.when("known").then(name).alias(name) for name in ("pid", "camid")]
    return chosen.select(pl.col("file_name").alias("file"), path.alias("path"), *people)


def _first(ranked: pl.DataFrame, count: int) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    shown = ranked["query_path"].unique(maintain_order=True).head(count)
    return iter(ranked.filter(pl.col("query_path").is_in(shown.implode())).group_by("query_path", maintain_order=True))


def _caption(row: dict[str, Any]) -> str:
    verdict = {True: " same", False: " other", None: ""}[row["correct"]]
    match = " =" if row.get("same") else ""
    return f"{row['rank']}  {row['distance']:.3f}{match}{verdict}"


def _short(path: str) -> str:
    name = Path(path).stem.encode("latin-1", "backslashreplace").decode("latin-1")  # what the sheet's font has
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 3]}..."


def _write(ranked: pl.DataFrame, folder: Path) -> None:
    write_bytes(folder / TABLE, parquet.encode(ranked))
    write_bytes(folder / TEXT, ranked.write_csv().encode())


def _hash(table: ReidTable) -> str:
    """Of crops and of their paths, which the result tells."""
    return sha256([table.hash().encode(), *(f"\n{path}".encode() for path in table.paths)])


def _check(model: ReidModel | TrainedEncoder, query: Gathered, gallery: Gathered, config: GallerySearchConfig) -> None:
    if config.protocol == "market":
        for side, crops in (("query", query), ("gallery", gallery)):
            if not crops.known.all():
                first = crops.table.paths[int(np.argmin(crops.known))]
                raise DataError(
                    f"Nobody knows who is on the {side} crop {first}.",
                    got=f"{int((~crops.known).sum()):,} crops of this kind",
                    allowed=f"names as Market-1501's, or a table, for {option(protocol='market')}",
                    fix=option(protocol="all"),
                )
    if config.maps != "none":
        if not isinstance(model, ReidModel):
            raise ConfigError("An encoder has no map.", got=option(maps=config.maps), allowed="a network of train-reid")
        check_map(model.network, config.maps)
