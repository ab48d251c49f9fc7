"""A trained re-ID network as a thing to use: load it, embed crops with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from reidgen.backbones.opening import build_backbone
from reidgen.backbones.weights import TRAINED
from reidgen.config import Device, NetworkConfig, ReidConfig
from reidgen.data.augment import normalise
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.engine.devices.device import chosen
from reidgen.engine.opening import check_output, config_of, field_of, open_network
from reidgen.engine.progress import progress
from reidgen.engine.runs.run import read_run
from reidgen.errors import WeightsError, option
from reidgen.files import file_sha256
from reidgen.models.reid.embedder import Embedder
from reidgen.models.reid.part_embedder import PartEmbedder

LEARNED: dict[str, Any] = {"generated": list[str], "others": list[str], "generated_people": list[int]}
Flip = Literal["sum", "none"]


@dataclass(frozen=True, eq=False)
class ReidModel:
    """A trained network with all that is known of its training.

    Attributes:
        network: The network, in evaluation mode on `device`.
        config: How it was trained.
        pids: The training people; the classifier's outputs in order.
        facts: Steps, epochs, images, people and generated share of its training; `table` is the hash of its crops.
        hash: SHA-256 of the weight file.
        device: Where it computes.
        learned: Which crops it learned from, as `People.learned` says it; None in a file that does not.
    """

    network: Embedder
    config: ReidConfig
    pids: list[int]
    facts: dict[str, Any]
    hash: str
    device: torch.device
    learned: dict[str, Any] | None = None

    def embed(self, crops: ReidTable | CropStore, *, flip: Flip = "sum", batch: int = 64) -> torch.Tensor:
        """Embeddings of all crops, in order; see `embed`.

        Args:
            crops: A table, which is decoded at the network's size, or its decoded crops.
            flip: "sum" adds the embedding of the mirrored crop.
            batch: Crops at once; does not change the embeddings beyond float rounding.

        Raises:
            DataError: The table is empty, or a crop cannot be decoded.
        """
        store = crops if isinstance(crops, CropStore) else CropStore.open(crops, size=self.config.size)
        return embed(self.network, store.to(self.device), flip=flip, batch=batch)


def embed(network: Embedder | PartEmbedder, store: CropStore, *, flip: Flip = "sum", batch: int = 64) -> torch.Tensor:
    """Embeddings of a store's crops, float32 (N, D) on the store's device.

    Args:
        network: In evaluation mode, on the store's device.
        store: The crops.
        flip: "sum" adds the embedding of the mirrored crop, as the published baseline does; "none" does not.
        batch: Crops at once.

    Raises:
        WeightsError: The network gives values that are not numbers.
    """
    embeddings = []
    with torch.inference_mode(), progress("embed", len(store)) as bar:
        for first in range(0, len(store), batch):
            images = normalise(store.batch(np.arange(first, min(first + batch, len(store)))))
            embedding = network(images).embedding
            if flip == "sum":
                embedding = embedding + network(images.flip(3)).embedding
            embeddings.append(embedding.float())
            bar.advance(len(images))
    found = torch.cat(embeddings)
    check_output(found, "The re-ID network")
    return found


def build_network(config: NetworkConfig, people: int) -> Embedder:
    """The network of a config, with whatever weights its modules start with.

    Args:
        config: Backbone and head.
        people: Classes of the classifier; with label policy "extra" one more than there are people.

    Raises:
        ConfigError: There is no such backbone, or it does not go with the config's size or pooling.
        MissingExtraError: It is one of timm, which is not installed.
    """
    return Embedder(
        build_backbone(config),
        width=config.bottleneck,
        people=people,
        pooling=config.pooling,
        neck=config.neck,
        compare=config.compare,
    )


def save_reid(path: Path, network: Embedder, description: dict[str, Any]) -> None:
    """Write a trained network; `description` has the keys reid (its config), pids, facts and learned."""
    save_weights(path, network.state_dict(), config=description)


def load_reid(path: Path | str, *, device: Device = "auto") -> ReidModel:
    """Load a network that `train_reid` has written.

    Args:
        path: The run folder, or its reid.safetensors.
        device: Where it shall compute.

    Raises:
        WeightsError: There is no such file, it is damaged, or it holds another kind of network.
        RunError: The folder's training is not finished.
    """
    path = Path(path)
    if path.is_dir() and not (path / TRAINED).is_file():
        raise WeightsError(
            f"{path} holds no trained re-ID network.",
            got=f"a run of {read_run(path)['stage']}" if (path / "run.json").is_file() else f"no {TRAINED}",
            allowed=f"the {option('out')} of reidgen train-reid, finished",
            fix="reidgen train-reid --data DIR --out DIR",
        )
    file = path / TRAINED if path.is_dir() else path
    tensors, description = load_weights(file)
    if "reid" not in description:
        raise WeightsError(
            f"{file} is not a re-ID network.", got="a weight file of another kind", allowed=f"a {TRAINED}"
        )
    config = _config(file, description["reid"])
    pids, facts = (field_of(description, name, hint, file) for name, hint in (("pids", list[int]), ("facts", dict)))
    network = open_network(lambda: build_network(config, len(pids) + config.extra_classes), tensors, file)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    on = chosen(device)
    learned = field_of(description, "learned", dict | None, file)
    for name, hint in LEARNED.items() if learned is not None else ():
        field_of(learned, name, hint, file)
    known = (pids, facts, file_sha256(file), on, learned)
    return ReidModel(network.to(on).eval(), config, *known)


def _config(file: Path, known: Any) -> ReidConfig:
    if isinstance(known, dict) and isinstance(known.get("decay_at"), float):  # files of version 0.1 had one share
        known = {**known, "decay_at": [known["decay_at"]]}
    return config_of(ReidConfig, known, file)
