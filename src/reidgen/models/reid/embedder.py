"""The re-ID network: a backbone, a neck whose output is the embedding, a classifier over the training people."""

from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from reidgen.models.reid.pooling import Pooling, make_pool

Neck = Literal["bottleneck", "bottleneck-relu", "bnneck", "none"]


class Embedded(NamedTuple):
    """What the network says of N crops.

    Attributes:
        embedding: (N, D), what crops are compared by.
        logits: (N, K), scores of the K training people; of use in training alone.
        feature: (N, D), what losses between crops compare: the embedding before the normalisation.
    """

    embedding: torch.Tensor
    logits: torch.Tensor
    feature: torch.Tensor


class Embedder(nn.Module):
    """Backbone, pooling, neck and classifier.

    The neck "bottleneck" is Linear and BatchNorm1d (the embedding), dropout, Linear (the people): the head of the
    published baseline of ID-discriminative embeddings, with D = 512; the embedding takes both signs.
    "bottleneck-relu" is the head that the thesis published: the same with a ReLU between normalisation and dropout, so
    that no number of the embedding is below 0 and cosine distances are 0 to 1, as the thesis says.

    "bnneck" is BatchNorm1d whose bias stays 0, and a classifier without bias (Luo et al. 2019, *Bag of tricks*, section
    3.5): losses between crops see the feature before it, the classifier the one after it. "none" classifies the pooled
    feature itself.

    Args:
        backbone: The convolutional network; has `channels`, maps images (N, 3, H, W) to (N, channels, h, w).
        width: D of the necks "bottleneck" and "bottleneck-relu"; the others have the backbone's channels.
        people: K, how many people the classifier tells apart.
        pooling: How a map becomes a vector.
        neck: What stands between the pooling and the classifier.
        compare: Whether crops are compared by the feature "after" the neck's normalisation or "before" it.

    Attributes:
        width: D, width of the embedding.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        width: int,
        people: int,
        pooling: Pooling = "average",
        neck: Neck = "bottleneck",
        compare: Literal["after", "before"] = "after",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.compare = compare
        self.pool = make_pool(pooling, getattr(backbone, "gives", "map"))
        narrows = neck in ("bottleneck", "bottleneck-relu")
        self.width = width if narrows else backbone.channels
        self.bottleneck = nn.Linear(backbone.channels, width) if narrows else nn.Identity()
        self.norm = nn.Identity() if neck == "none" else nn.BatchNorm1d(self.width)
        self.rectify = nn.ReLU() if neck == "bottleneck-relu" else nn.Identity()
        self.classifier = nn.Linear(self.width, people, bias=neck != "bnneck")
        if neck == "bnneck":
            self.norm.bias.requires_grad_(False)

    def forward(
        self, images: torch.Tensor, keep: torch.Tensor | None = None, *, backbone: Literal["learns", "rests"] = "learns"
    ) -> Embedded:
        """Embed and classify normalised crops.

        Args:
            images: (N, 3, H, W), normalised by ImageNet's mean and deviation.
            keep: (N, D) factors of the embedding before the classifier; see `dropout_factors`. None drops nothing.
            backbone: One that "rests" gets no gradient.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and backbone == "learns"):
            maps = self.backbone(images)
        feature = self.bottleneck(self.pool(maps))
        normal = self.rectify(self.norm(feature))
        logits = self.classifier(normal if keep is None else normal * keep)
        return Embedded(normal if self.compare == "after" else feature, logits, feature)

    def initialise(self, generator: torch.Generator) -> None:
        """Random weights for everything: the backbone's own, Kaiming for the bottleneck, small for the classifier."""
        self.backbone.initialise(generator)
        if isinstance(self.bottleneck, nn.Linear):
            nn.init.kaiming_normal_(self.bottleneck.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            nn.init.zeros_(self.bottleneck.bias)
        nn.init.normal_(self.classifier.weight, std=0.001, generator=generator)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)


def dropout_factors(size: tuple[int, int], rate: float, generator: torch.Generator) -> torch.Tensor | None:
    """Dropout as factors, 0 with probability `rate` and else 1 / (1 - rate); None for rate 0.

    The draws come from the caller's CPU generator, so that a step has the same ones on each device and after a resume.

    Args:
        size: (N, D).
        rate: 0 <= rate < 1.
        generator: A CPU generator.
    """
    if rate == 0:
        return None
    return (torch.rand(size, generator=generator) >= rate).float() / (1 - rate)
