"""A look at query and gallery while a training without labels goes on: for the eye alone, nothing is chosen by it."""

from dataclasses import dataclass

import torch

from reidgen.backbones.reid_model import embed
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, option
from reidgen.metrics import rank_features
from reidgen.models.reid.part_embedder import PartEmbedder


@dataclass(frozen=True)
class Look:
    """The labelled crops that are looked at.

    Attributes:
        query: Queries.
        gallery: What is searched.
        size: (height, width) that they are decoded at.
    """

    query: ReidTable
    gallery: ReidTable
    size: tuple[int, int]

    @classmethod
    def of(cls, table: ReidTable, size: tuple[int, int]) -> "Look":
        """The query and gallery splits of a table.

        Raises:
            DataError: One of them is empty.
        """
        if not len(table.query) or not len(table.gallery):
            raise DataError(
                "There is no query or no gallery to look at.",
                got=f"{len(table.query)} queries, {len(table.gallery)} crops in the gallery",
                allowed="both",
                fix=option(test_every=0),
            )
        return cls(table.query, table.gallery, size)

    def mean_average_precision(self, network: PartEmbedder, device: torch.device) -> float:
        """MAP by cosine distance, after the protocol of Market-1501; the network is in evaluation mode."""
        query, gallery = (
            embed(network, CropStore.open(part, size=self.size).to(device), flip="none")
            for part in (self.query, self.gallery)
        )
        people = self.query.pids, self.gallery.pids, self.query.camids, self.gallery.camids
        return round(rank_features(query, gallery, *people).mAP, 6)
