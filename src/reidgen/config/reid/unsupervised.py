"""A re-ID training without labels: its parts, and the recipes that give them values.

| recipe | rank-1 | mAP | from |
|---|---|---|---|
| pplr | 92.8 | 81.5 | Cho et al. 2022, *Part-based pseudo label refinement*, without camera labels |
| cluster-contrast | 92.3 | 82.1 | Dai et al. 2022, *Cluster contrast*, by DBSCAN |

Both are on Market-1501 with ResNet-50 from ImageNet. The trainings of pplr ran on four GPUs with 16 crops each, over
which batch normalisation worked; on one GPU with all 64 others got 58 to 72 mAP. So `norm_batch` is 16 in pplr, and 64
in cluster-contrast: four clusters in both.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import check_counts, check_not_negative, check_positive, check_shares, fill, require
from reidgen.config.data import AugmentConfig
from reidgen.config.reid.backbone import BackboneConfig
from reidgen.config.reid.clusters import ClustersConfig, GeneratedUse
from reidgen.config.reid.network import Pooling
from reidgen.config.reid.recipes import OF_RECIPE
from reidgen.config.reid.schedule import Optimizer
from reidgen.config.reid.supervised import ReidConfig
from reidgen.config.reid.ways import WaysConfig
from reidgen.config.training import DevicesConfig
from reidgen.errors import NO_VALUE, ConfigError, option, respelled

UnsupervisedRecipe = Literal["pplr", "cluster-contrast"]
PUBLISHED_WIDTH = 2048  # of the features whose scores the published learning rates belong to
PPLR: dict[str, Any] = {
    "loss": "classifier",
    "parts": 3,
    "pooling": "average",
    "epoch_steps": 400,
    "batch": 64,
    "crops_per_cluster": 4,
    "norm_batch": 16,
    "size": (384, 128),
    "eps": 0.5,
    "beta": 0.5,
    "smoothing": "agreement",
    "triplet_weight": 1.0,
}
CLUSTER_CONTRAST: dict[str, Any] = {
    "loss": "memory",
    "parts": 0,
    "pooling": "gem",
    "epoch_steps": 200,
    "batch": 256,
    "crops_per_cluster": 16,
    "norm_batch": 64,
    "size": (256, 128),
    "eps": 0.6,
    "beta": 1.0,
    "smoothing": "none",
    "triplet_weight": 0.0,
}
UNSUPERVISED_RECIPES: dict[UnsupervisedRecipe, dict[str, Any]] = {"pplr": PPLR, "cluster-contrast": CLUSTER_CONTRAST}


@dataclass(frozen=True, kw_only=True)
class UnsupervisedConfig(WaysConfig, ClustersConfig, BackboneConfig, DevicesConfig):
    """A re-ID training without labels: crops are clustered at the beginning of each epoch, and clusters are learned.

    Attributes:
        recipe: "pplr" (Cho et al. 2022) learns clusters and refines them by horizontal parts. "cluster-contrast" (Dai
            et al. 2022) compares crops with a memory of clusters.
        loss: "classifier" has a row of weights for each cluster, which starts from its mean; "memory" has one vector
            for each, which follows its crops.
        parts: Horizontal stripes with a feature of their own; 0 has the global feature alone.
        pooling: "average", or "gem" for the generalised mean with a learned power.
        epochs: Length of the training in epochs.
        epoch_steps: Steps between two clusterings.
        batch: Crops a step.
        crops_per_cluster: Crops of each cluster in a batch.
        norm_batch: Crops whose statistics batch normalisation takes together. They are clusters one after the other,
            so 16 are four clusters of four. None: all that a process holds at a time.
        accumulate: Parts that a batch is computed in, one after the other, to save memory.
        optimizer: "sgd" has Nesterov momentum; "amsgrad" is a variant of "adam".
        lr: Learning rate.
        weight_decay: Weight decay of all weights.
        decay_at: Shares of the training at which the learning rate is divided by ten.
        warmup: Share of the training in which the learning rate grows from a hundredth of lr.
        moments: For loss "classifier", whose rows are set anew each epoch: the optimiser's moments of these rows are
            "kept", as in the published training, or start "fresh".
        logit_scale: Factor of the logits of loss "classifier". None: sqrt(2048 / width of the features), which gives
            any backbone the published temperature.
        beta: Weight of the cluster in the labels of the global feature. The rest is what the parts predict. 1: no
            refinement.
        smoothing: Label smoothing of the parts. "agreement": the more, the less part and global feature agree.
            "constant": by label_smoothing. "none": none.
        agreement_from: First epoch, from 0, of smoothing "agreement". Before that it is "constant".
        label_smoothing: Strength of smoothing "constant".
        triplet_weight: Weight of the soft-margin triplet loss of the global feature.
        cameras: What camera numbers are used for. "none": nothing. "sample": in a batch, the crops of a cluster come
            from different cameras where it has several. "proxies": also a loss by the mean feature of each cluster in
            each camera (proxy).
        camera_weight: Weight of the loss by proxies.
        camera_temperature: Temperature of the loss by proxies.
        camera_negatives: How many of the nearest proxies of other clusters that loss pushes away.
        temperature: Temperature of loss "memory".
        momentum: Momentum of loss "memory": the share of a cluster's vector that stays when a crop moves it.
        keep: Which network is written. "last": that of the last epoch. "stable": that of the epoch whose clusters were
            most like those of the epoch before, by mutual information. Labels are not looked at.
        test_every: Epochs between two measurements of the mAP of query and gallery, which decides nothing; 0: never.
        augment: Random changes to the crops.
    """

    recipe: UnsupervisedRecipe = "pplr"
    loss: Literal["classifier", "memory"] = OF_RECIPE
    size: tuple[int, int] = OF_RECIPE
    last_stride: Literal[1, 2] = 1
    parts: int = OF_RECIPE
    pooling: Pooling = OF_RECIPE
    eps: float = OF_RECIPE
    epochs: int = 50
    epoch_steps: int = OF_RECIPE
    batch: int = OF_RECIPE
    crops_per_cluster: int = OF_RECIPE
    norm_batch: int | None = OF_RECIPE
    accumulate: int = 1
    optimizer: Optimizer = "adam"
    lr: float = 3.5e-4
    weight_decay: float = 5e-4
    decay_at: tuple[float, ...] = (0.4, 0.8)
    warmup: float = 0.0
    moments: Literal["kept", "fresh"] = "kept"
    logit_scale: float | None = None
    beta: float = OF_RECIPE
    smoothing: Literal["agreement", "constant", "none"] = OF_RECIPE
    agreement_from: int = 5
    label_smoothing: float = 0.1
    triplet_weight: float = OF_RECIPE
    cameras: Literal["none", "sample", "proxies"] = "sample"
    camera_weight: float = 0.5
    camera_temperature: float = 0.07
    camera_negatives: int = 50
    temperature: float = 0.05
    momentum: float = 0.1
    keep: Literal["last", "stable"] = "last"
    test_every: int = 0
    augment: AugmentConfig = AugmentConfig(erase=0.5)

    def __post_init__(self) -> None:
        require(
            self.recipe in UNSUPERVISED_RECIPES,
            f"{option('recipe')} must be a name that there is.",
            got=self.recipe,
            allowed=", ".join(UNSUPERVISED_RECIPES),
        )
        fill(self, UNSUPERVISED_RECIPES[self.recipe])
        super().__post_init__()
        check_counts(self, "epoch_steps", "crops_per_cluster", "camera_negatives")
        check_not_negative(self, "parts", "agreement_from", "triplet_weight", "camera_weight", "test_every")
        check_positive(self, "camera_temperature", "temperature")
        check_shares(self, "beta", "label_smoothing", "momentum")
        require(
            self.logit_scale is None or 0 < self.logit_scale < math.inf,
            f"{option('logit_scale')} must be positive.",
            got=self.logit_scale,
            allowed="> 0",
        )
        self._check_parts()
        self.uses_of_views(self.epochs)
        try:
            self.as_reid()  # checks network, schedule and batches
        except ConfigError as error:
            raise respelled(error, _in_our_words) from error

    def _check_parts(self) -> None:
        refines = self.beta < 1 or self.smoothing != "none"
        require(
            self.parts > 0 or not refines,
            "Only parts refine labels.",
            got=f"{option(parts=self.parts)} {option(beta=self.beta)} {option(smoothing=self.smoothing)}",
            allowed=f"parts, or {option(beta=1)} {option(smoothing='none')}",
            fix=f"{option(beta=1)} {option(smoothing='none')}",
        )
        require(
            self.loss == "classifier" or (self.parts == 0 and self.triplet_weight == 0),
            "A memory of clusters has neither parts nor triplets.",
            got=f"{option(loss=self.loss)} {option(parts=self.parts)} {option(triplet_weight=self.triplet_weight)}",
            allowed=f"{option(parts=0)} {option(triplet_weight=0)}",
            fix=option(loss="classifier"),
        )
        require(
            self.precision != "fp16",
            "A training without labels has no scaler of gradients.",
            got=option(precision="fp16"),
            allowed="float32, bf16",
            fix=option(precision="bf16"),
        )

    @property
    def uses(self) -> tuple[GeneratedUse, ...]:
        """What generated crops are: turned ones as `views` says, others as the texts."""
        return (*self.uses_of_views(self.epochs), *self.uses_of_texts)

    @property
    def takes_generated(self) -> bool:
        """Whether there is a use for generated crops."""
        return bool(self.uses) or self.standing

    def scale(self, width: int) -> float:
        """Factor of the scores for features of a width."""
        return math.sqrt(PUBLISHED_WIDTH / width) if self.logit_scale is None else self.logit_scale

    def as_reid(self) -> ReidConfig:
        """The config of the network that is left, as a supervised training would have it: all tools read that one.

        Raises:
            ConfigError: The fields do not go together.
        """
        shared = {field.name for field in dataclasses.fields(ReidConfig)} & {f.name for f in dataclasses.fields(self)}
        own = {name: getattr(self, name) for name in shared - {"recipe", "label_smoothing"}}
        return ReidConfig(
            **own,
            recipe="bot",
            losses=("cross-entropy",),
            backbone_lr=1.0,
            sampler="people",
            crops_per_person=self.crops_per_cluster,
            steps=self.epochs * self.epoch_steps,
            validation="none",
        )


def _in_our_words(name: str, value: object = NO_VALUE) -> str:
    """Crops of a person, of a supervised training, are crops of a cluster here."""
    name = "crops_per_cluster" if name == "crops_per_person" else name
    return option(name) if value is NO_VALUE else option(**{name: value})
