"""Embeddings that were computed before: kept in the cache folder by weights, crops and how they were made."""

import json
import zlib
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from reidgen.backbones.reid_model import Flip, ReidModel
from reidgen.data.table import ReidTable
from reidgen.engine.cache import cache_folder, writing_cache
from reidgen.errors import DataError, command
from reidgen.files import sha256, write_bytes
from reidgen.generators.inversion.encoder import TrainedEncoder

NAME = "embeddings"
KIND = 2  # counted up when embeddings of the same weights and crops come to be others


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
    kept = found.cpu()
    with writing_cache(path.parent, "Embeddings"):
        write_bytes(path, safetensors.torch.save({NAME: kept}, {"crc32": _checksum(kept)}))
    return found


def _path(model: ReidModel | TrainedEncoder, table: ReidTable, flip: Flip, batch: int, device: torch.device) -> Path:
    known = [KIND, model.hash, table.hash(), flip, batch, device.type]
    return cache_folder() / f"embeddings-{sha256([json.dumps(known).encode()])[:32]}.safetensors"


def _read(path: Path, count: int) -> Tensor:
    try:
        with safetensors.safe_open(path, "pt") as file:
            found, checksum = file.get_tensor(NAME), (file.metadata() or {}).get("crc32")
    except safetensors.SafetensorError as error:
        raise _damaged(path, str(error), count) from error
    if found.dtype != torch.float32 or found.ndim != 2 or len(found) != count:
        raise _damaged(path, f"{found.dtype} {tuple(found.shape)}", count)
    if _checksum(found) != checksum:
        raise _damaged(path, "other numbers than were written", count)
    return found


def _damaged(path: Path, got: str, count: int) -> DataError:
    return DataError(
        f"{path} is damaged.", got=got, allowed=f"float32 ({count}, D) as written", fix=command("rm", path)
    )


def _checksum(embeddings: Tensor) -> str:
    return f"{zlib.crc32(embeddings.contiguous().numpy().data):08x}"
