"""The network that a training starts from: what is measured where nobody is labelled, and what it may have seen."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reidgen.backbones.opening import open_backbone
from reidgen.backbones.reid_model import ReidModel, build_network, load_reid, save_reid
from reidgen.backbones.weights import NAMES, TRAINED, description_of, load_backbone, weights_hash
from reidgen.config import BackboneConfig, ReidConfig, as_dict
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.device import generator
from reidgen.errors import DataError, option
from reidgen.files import file_sha256, sha256
from reidgen.models.reid.embedder import Embedder
from reidgen.reid.supervised.people import DIGITS
from reidgen.sweep.plan import Job

NOTHING: dict[str, Any] = {  # what `facts` of a training would be; the hash is that of no crop
    **dict.fromkeys(("steps", "images", "people", "generated_images", "generated_people"), 0),
    **dict.fromkeys(("epochs", "generated_share"), 0.0),
    "table": sha256([]),
}
_OF_BACKBONE = [field.name for field in dataclasses.fields(BackboneConfig)]


def start_network(training: ReidConfig, *, out: Path) -> ReidModel:
    """The network of a training's `weights` as it is, at the training's crop size.

    That of an earlier re-ID training is taken whole; of other weights the pooled features of the backbone.

    Args:
        training: Its weights, backbone, crop size, device and seed count.
        out: Run folder, which gets reid.safetensors as train-reid writes it.

    Raises:
        WeightsError: The weights cannot be had, or do not fit the backbone.
        RunError: `out` belongs to another run.
    """
    inputs = {"weights": weights_hash(training.weights)}
    with RunFolder.begin(out, stage="start", config=training, inputs=inputs) as run:
        if not run.done:
            known = description_of(training.weights)
            network, config, pids = _trained(training) if known else _features(training)
            config = dataclasses.replace(config, size=training.size, seed=training.seed)
            described = {"reid": as_dict(config), "pids": pids, "facts": NOTHING, "learned": known.get("learned")}
            save_reid(run.path / TRAINED, network, described)
            run.finish(NOTHING)
    return load_reid(out, device=training.device)


def _trained(training: ReidConfig) -> tuple[Embedder, ReidConfig, list[int]]:
    model = load_reid(training.weights, device="cpu")
    return model.network, model.config, model.pids


def _features(training: ReidConfig) -> tuple[Embedder, ReidConfig, list[int]]:
    names = [*_OF_BACKBONE, "pooling", "seed"]
    config = ReidConfig(recipe="softmax", **{name: getattr(training, name) for name in names})  # without a neck
    network = build_network(config, 1)
    network.initialise(generator("reid", "weights", config.seed))
    load_backbone(network.backbone, config)
    return network, config, [1]


def check_starts(jobs: Iterable[Job], real: ReidTable, *, downloads: bool = True) -> None:
    """Whether the weights of all trainings with labels are there, fit, and have not seen whom they are tested on.

    Args:
        jobs: All runs.
        real: The crops; those of its train people who are left out of a share have no labels there.
        downloads: Whether published weights are looked at too, which may have to be downloaded.

    Raises:
        WeightsError: Weights cannot be had, or do not fit the backbone.
        DataError: A start has learned from query or gallery crops, or, with labels, from people who are left out.
    """
    starts: dict[BackboneConfig, list[Job]] = {}
    for job in jobs:
        one = job.training
        if isinstance(one, ReidConfig) and one.weights != "random" and (downloads or one.weights not in NAMES):
            key = BackboneConfig(**{name: getattr(one, name) for name in _OF_BACKBONE})
            starts.setdefault(key, []).append(job)
    for start, some in starts.items():
        weights_hash(start.weights)
        open_backbone(start)
        _check_unseen(start.weights, real, all_people=all(job.share == 1 for job in some))


def _check_unseen(weights: str, real: ReidTable, *, all_people: bool) -> None:
    known = description_of(weights)
    learned = set((known.get("learned") or {}).get("others", ()))
    crops = real.where(real.rows["split"] != "train")
    if not all_people and "unsupervised" not in known:
        crops = real
    seen = sum(file_sha256(path)[:DIGITS] in learned for path in crops.paths) if learned else 0
    if seen:
        raise DataError(
            f"The network of {weights} has learned from crops of {real.name} that it must not know.",
            got=f"{seen:,} of {len(crops):,} crops",
            allowed="a start from other people; with no labels (reidgen train-unsupervised) also from the train crops",
            fix=f"another start in {option('arm')}, or other {option('reid.weights')}",
        )
