"""Supervised re-ID trainings that have a name: what each gives the options that it is about.

| recipe | rank-1 | mAP | from |
|---|---|---|---|
| ide | 88.84 | 71.59 by trapezoid | the published baseline, Person_reID_baseline_pytorch, README |
| thesis | 89.31 | 74.26 by trapezoid | Alvarez-Gonzalez, thesis, table 5.10, first row |
| softmax | 85.1 | 68.6 | torchreid as Kolbeinsson 2019 used it, chapter 5 and table 6 |
| bot | 94.5 | 85.9 | Luo et al. 2019, *Bag of tricks*, with center loss |
| agw | 95.1 | 87.8 | Ye et al. 2021, *Deep learning for person re-identification: a survey and outlook* |

All are single numbers on Market-1501 with ResNet-50 from ImageNet at 256x128, single query, without re-ranking, of
networks that had learned from all crops of the train split. So do these recipes but for ide: its source holds the first
crop of each person out, unless told `train_all`, as the README's command for its number is.

The thesis says ResNet-50, cross entropy, batch 16, 60 epochs and cosine distance (sections 4.2 and 5.2), and its
repository has the network: ide's with a ReLU between batch normalisation and dropout. It is silent on the rest, which
is ide's here: its code is the published baseline, whose learning rate of 0.05 does not follow the batch. Whether its
number is of a training on all crops is not said; its curves have a validation part, so the recipe holds crops out as
ide does.
"""

from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import GivenBy, Part
from reidgen.config.data import AugmentConfig

Recipe = Literal["ide", "thesis", "softmax", "bot", "agw"]
OF_RECIPE: Any = GivenBy("recipe")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig(Part):
    """The part of a training that names its recipe.

    Attributes:
        recipe: "ide" is the published baseline (Zheng, Person_reID_baseline_pytorch): 512-d bottleneck, cross entropy,
            SGD. "thesis" is that of Alvarez-Gonzalez: a ReLU in the neck, batch 16. "softmax" is torchreid's: no neck,
            label smoothing, Adam. "bot" is the bag of tricks (Luo et al. 2019): BNNeck, triplets, centers, warm-up,
            random erasing. "agw" (Ye et al. 2021) adds generalised-mean pooling, non-local blocks and weighted
            triplets.
    """

    recipe: Recipe = "ide"


IDE: dict[str, Any] = {
    "neck": "bottleneck",
    "pooling": "average",
    "attention": "none",
    "last_stride": 2,
    "epochs": 60,
    "batch": 32,
    "sampler": "crops",
    "losses": ("cross-entropy",),
    "label_smoothing": 0.0,
    "dropout": 0.5,
    "optimizer": "sgd",
    "lr": 0.05,
    "backbone_lr": 0.1,
    "decay_at": (2 / 3,),
    "warmup": 0.0,
    "warmup_from": 0.1,
    "validation": "first",
    "augment": AugmentConfig(),
    "test_metric": "cosine",
    "test_flip": "sum",
}
THESIS: dict[str, Any] = {**IDE, "neck": "bottleneck-relu", "batch": 16}
SOFTMAX: dict[str, Any] = {
    **IDE,
    "neck": "none",
    "label_smoothing": 0.1,
    "dropout": 0.0,
    "optimizer": "adam",
    "lr": 3e-4,
    "backbone_lr": 1.0,
    "decay_at": (1 / 3, 2 / 3),
    "validation": "none",
    "augment": AugmentConfig(pad=0, translate=0.5),
    "test_metric": "euclid",
    "test_flip": "none",
}
BOT: dict[str, Any] = {
    **SOFTMAX,
    "neck": "bnneck",
    "last_stride": 1,
    "epochs": 120,
    "batch": 64,
    "sampler": "people",
    "losses": ("cross-entropy", "triplet", "center:0.0005"),
    "lr": 3.5e-4,
    "decay_at": (40 / 120, 70 / 120),
    "warmup": 10 / 120,
    "warmup_from": 0.01,
    "augment": AugmentConfig(erase=0.5),
    "test_metric": "cosine",
}
AGW: dict[str, Any] = {
    **BOT,
    "pooling": "gem",
    "attention": "non-local",
    "epochs": 160,
    "losses": ("cross-entropy", "triplet-weighted", "center:0.0005"),
    "decay_at": (40 / 160, 70 / 160),
    "warmup": 10 / 160,
}
RECIPES: dict[Recipe, dict[str, Any]] = {"ide": IDE, "thesis": THESIS, "softmax": SOFTMAX, "bot": BOT, "agw": AGW}
SIGNATURE = ("neck", "pooling", "attention", "sampler", "losses", "optimizer")


def renamed_from(recipe: Recipe, config: Any) -> Recipe | None:
    """The recipe that a config is of although it says to be another; None where there is nothing of the kind.

    That is one whose signature it has, and most of those values in which the two recipes differ: a config whose
    recipe was replaced by name alone, not one with a few options changed.
    """
    own = RECIPES[recipe]
    for name, theirs in RECIPES.items():
        differ = [field for field in own if own[field] != theirs[field]]
        likely = sum(getattr(config, field) == theirs[field] for field in differ)
        if all(getattr(config, field) == theirs[field] for field in SIGNATURE) and likely > len(differ) / 2:
            return name
    return None
