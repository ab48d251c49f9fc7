"""Features that filters share: computed once for a table and a network, and kept in the cache folder."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from reidgen.config import Device, FidelityConfig
from reidgen.config.fidelity import REID
from reidgen.data.table import ReidTable
from reidgen.engine.cache import cache_folder
from reidgen.errors import ConfigError
from reidgen.fidelity.crops import Files
from reidgen.fidelity.extractors import Extractor, load_extractor
from reidgen.fidelity.features import extract
from reidgen.files import sha256
from reidgen.filters.sizes import SizedFilter, crop_size
from reidgen.filters.thresholds import QuantileFilter


def feature_hash(features: str, device: Device) -> str:
    """SHA-256 of the weights of a feature network.

    Raises:
        WeightsError: The file is missing, damaged or of another network.
        MissingExtraError: The packaged Inception is asked for and the extra `fid` is not installed.
    """
    return _open(features, device).hash


def features_of(table: ReidTable, features: str, *, size: tuple[int, int], batch: int, device: Device) -> Tensor:
    """Features of a table's crops, float32 (N, D): of length 1 by a re-ID network, as they are by Inception.

    They are computed in chunks that are kept in the cache folder, under a name made of all that they depend on; so a
    second filter, and a run that was killed, find what is there.

    Args:
        table: The crops.
        features: "reid:RUNFOLDER", "inception" or "inception:FILE", as for `measure_fidelity`.
        size: (height, width) that crops are brought to before the network sees them.
        batch: Crops a forward pass.
        device: Where the network runs.

    Raises:
        WeightsError: The network is missing, damaged or of another kind.
        DataError: A crop cannot be decoded.
    """
    extractor = _open(features, device)
    what = (table.hash(), extractor.hash, extractor.words, *size, None, batch)
    path = cache_folder() / f"features-{sha256([json.dumps(what).encode()])[:32]}.f32"
    label = f"features of {table.name or 'crops'}"
    found = extract(Files(table.paths, size, None), extractor, path, batch=batch, label=label)
    known = torch.from_numpy(np.asarray(found))
    return torch.nn.functional.normalize(known) if features.startswith(REID) else known


@dataclass(frozen=True)
class FeatureFilter(SizedFilter, QuantileFilter):
    """What the filters share that compare features.

    Attributes:
        score: What its scores are, in a word.
        features: "reid:RUNFOLDER" of a re-ID network, "inception", or "inception:FILE".
        threshold: Lowest score that is kept. None: the 5 % quantile of real crops.
        size: (height, width) at which crops are compared; None takes the size of the table's first crop.
        batch: Crops a forward pass.
        device: Where the network runs.
    """

    score: ClassVar[str] = "ratio"
    features: str
    threshold: float | None = None
    size: tuple[int, int] | None = None
    batch: int = 64
    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.threshold is not None and self.threshold < 0:
            what = f"{type(self).__name__}'s threshold must be a {self.score}."
            raise ConfigError(what, got=self.threshold, allowed=">= 0, or None")
        if self.batch < 1:
            raise ConfigError(f"{type(self).__name__}'s batch must be positive.", got=self.batch, allowed=">= 1")

    def inputs(self) -> dict[str, str]:
        """SHA-256 of the feature network's weights."""
        return {"features": feature_hash(self.features, self.device)}

    def features_of(self, table: ReidTable) -> Tensor:
        """Features of a table's crops, float32 (N, D)."""
        size = self.size or crop_size(table)
        return features_of(table, self.features, size=size, batch=self.batch, device=self.device)


def _open(features: str, device: Device) -> Extractor:
    return load_extractor(FidelityConfig(features=features, device=device))


def rows_in(table: ReidTable, reference: ReidTable) -> np.ndarray:
    """int64 (N,): the reference row that is the same file as each row of the table, -1 where there is none."""
    known = {key: row for row, key in enumerate(reference.rows.select("root", "file_name").iter_rows())}
    return np.array([known.get(key, -1) for key in table.rows.select("root", "file_name").iter_rows()], np.int64)
