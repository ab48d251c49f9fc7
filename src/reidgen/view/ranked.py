"""Who is like a crop: the shown crops ranked by a network, and where it looks."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from reidgen.backbones.reid_model import load_reid
from reidgen.config import Device, GallerySearchConfig
from reidgen.data.augment import normalise
from reidgen.data.pixels.images import read_rgb
from reidgen.data.pixels.store import CropStore
from reidgen.errors import ConfigError
from reidgen.metrics.neighbours import smallest
from reidgen.metrics.ranking import check_embeddings
from reidgen.reid.cache import embeddings_of
from reidgen.reid.maps import MapKind, activation_maps, check_map
from reidgen.reid.ranking.ranked_sheet import overlay
from reidgen.reid.ranking.rankings import as_trained, compared_in_words, ranking_blocks
from reidgen.view.shown import Shown

MAP_HEIGHT = 160
Query = int | Image.Image  # the number of a crop, or a picture from elsewhere


class Ranker:
    """One network over the shown crops, whose embeddings are computed in a thread of their own and then kept.

    Args:
        path: Run folder of train-reid.
        shown: The crops.
        device: Where it computes.

    Raises:
        WeightsError: There is no such network.
    """

    def __init__(self, path: Path, shown: Shown, *, device: Device) -> None:
        self.name, self.shown, self.model = str(path), shown, load_reid(path, device=device)
        self.config = as_trained(GallerySearchConfig(), self.model.config)
        self.compared = compared_in_words(self.config)
        self.kind: MapKind = "match"
        try:
            check_map(self.model.network, "match")
        except ConfigError:
            self.kind = "energy"
        self._embedded: Future[torch.Tensor] = Future()
        threading.Thread(target=self._embed, daemon=True).start()  # Ctrl-C does not wait for it

    def _embed(self) -> None:
        flip, batch = self.config.mirror, self.config.batch
        try:
            self._embedded.set_result(embeddings_of(self.model, self.shown.crops, flip=flip, batch=batch))
        except Exception as error:  # told to whoever searches
            self._embedded.set_exception(error)

    @property
    def ready(self) -> bool:
        """Whether the embeddings are there, or cannot be had."""
        return self._embedded.done()

    def ranked(self, query: Query, count: int) -> tuple[list[int], list[float]]:
        """The crops nearest to a query, itself left out, nearest first, and their distances.

        Raises:
            DataError: A crop cannot be decoded, or an embedding is not finite.
        """
        gallery = self._embedded.result()
        check_embeddings("gallery", gallery, len(self.shown.crops))
        own = np.array([query if isinstance(query, int) else -1])
        if isinstance(query, int):
            asked = gallery[query][None]
        else:
            asked = self.model.embed(self._store([query]), flip=self.config.mirror)
        distances = torch.cat(
            [torch.as_tensor(one) for one in ranking_blocks(asked, gallery, self.config, own=own)]
        ).cpu()
        distances[:, own[own >= 0]] = torch.inf
        columns, values = smallest(distances, min(count, len(gallery)))
        found = np.isfinite(values[0])
        return columns[0][found].tolist(), values[0][found].tolist()

    def maps(self, query: Query, rows: Sequence[int]) -> list[Image.Image]:
        """Maps over a query and some crops: which places make each like the query, or how strong the last map is."""
        store = self._store([query, *rows])
        images = normalise(store.to(self.model.device).batch(range(len(store))))
        with torch.inference_mode():
            asked = self.model.network(images[:1]).embedding.float().expand(len(images), -1)
        found = activation_maps(self.model.network, images, self.kind, query=asked).cpu().numpy()
        crops = map(Image.fromarray, store.images)
        return [overlay(crop, values, height=MAP_HEIGHT) for crop, values in zip(crops, found, strict=True)]

    def _store(self, crops: Sequence[Any]) -> CropStore:
        return CropStore(np.stack([np.asarray(self._pixels(one)) for one in crops]))

    def _pixels(self, crop: Query) -> Image.Image:
        height, width = size = self.model.config.size
        if isinstance(crop, int):
            return read_rgb(self.shown.path(crop), size=size, shown=self.shown.crops.shown[crop])
        return crop.resize((width, height), Image.Resampling.BICUBIC)
