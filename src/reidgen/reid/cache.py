"""Embeddings that were computed before: kept in the cache folder by weights, crops and how they were made."""

import io
import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from reidgen.data.store import cache_folder
from reidgen.data.table import ReidTable
from reidgen.errors import DataError
from reidgen.files import sha256, write_bytes
from reidgen.generators.encoder import TrainedEncoder
from reidgen.reid.embed import Flip, ReidModel

KIND = 1  # counted up when embeddings of the same weights and crops come to be others


def embeddings_of(
    model: ReidModel | TrainedEncoder,
    table: ReidTable,
    *,
    flip: Flip = "sum",
    batch: int = 64,
    embeddings: Literal["cached", "computed"] = "cached",
) -> Tensor:
    """Embeddings of a table's crops by a network, float32 (N, D), on the network's device.

    Computed once: a second call with the same weights, crops (by content), flip, batch and kind of device reads the
    bits of the first from the cache folder, whatever the files are called.

    Args:
        model: The network.
        table: The crops.
        flip: "sum" adds the embedding of the mirrored crop.
        batch: Crops at once.
        embeddings: "computed" leaves the cache alone.

    Raises:
        DataError: The table is empty, a crop cannot be decoded, or the cached file is damaged.
    """
    if embeddings == "computed" or not len(table):
        return model.embed(table, flip=flip, batch=batch)
    device = model.device if isinstance(model, ReidModel) else torch.device("cpu")  # where `embed` puts them
    path = _path(model, table, flip, batch, device)
    if path.is_file():
        return _read(path, len(table)).to(device)
    found = model.embed(table, flip=flip, batch=batch)
    stream = io.BytesIO()
    np.save(stream, found.cpu().numpy())
    write_bytes(path, stream.getvalue())
    return found


def _path(model: ReidModel | TrainedEncoder, table: ReidTable, flip: Flip, batch: int, device: torch.device) -> Path:
    known = [KIND, model.hash, table.hash(), flip, batch, device.type]
    return cache_folder() / f"embeddings-{sha256([json.dumps(known).encode()])[:32]}.npy"


def _read(path: Path, count: int) -> Tensor:
    try:
        found = np.load(path, allow_pickle=False)
        if found.dtype != np.float32 or found.ndim != 2 or len(found) != count:
            raise ValueError(f"{found.dtype} {found.shape}")
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{path} is damaged.", got=str(error), allowed=f"float32 ({count}, D)", fix=f"rm {path}"
        ) from error
    return torch.from_numpy(found)
