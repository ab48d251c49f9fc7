"""The re-ID network: a backbone, a bottleneck whose output is the embedding, a classifier over the training people."""

from typing import NamedTuple

import torch
from torch import nn

from reidgen.models.resnet import ResNet


class Embedded(NamedTuple):
    """What the network says of N crops.

    Attributes:
        embedding: (N, D), what crops are compared by.
        logits: (N, K), scores of the K training people; of use in training alone.
    """

    embedding: torch.Tensor
    logits: torch.Tensor


class Embedder(nn.Module):
    """Backbone, average pooling, Linear and BatchNorm1d (the embedding), dropout, Linear (the people).

    The head of the ID-discriminative embedding baseline that the source trains, with D = 512. As in the published
    baseline there is no ReLU after the normalisation (the source's own repository has one), so the embedding takes
    both signs.

    Args:
        backbone: The convolutional network.
        width: D, width of the embedding.
        people: K, how many people the classifier tells apart.
    """

    def __init__(self, backbone: ResNet, *, width: int, people: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.bottleneck = nn.Linear(backbone.channels, width)
        self.norm = nn.BatchNorm1d(width)
        self.classifier = nn.Linear(width, people)

    def forward(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> Embedded:
        """Embed and classify normalised crops.

        Args:
            images: (N, 3, H, W), normalised by ImageNet's mean and deviation.
            keep: (N, D) factors of the embedding before the classifier; see `dropout_factors`. None drops nothing.
        """
        pooled = self.backbone(images).mean(dim=(2, 3))
        embedding = self.norm(self.bottleneck(pooled))
        return Embedded(embedding, self.classifier(embedding if keep is None else embedding * keep))

    def initialise(self, generator: torch.Generator) -> None:
        """Random weights for everything: the backbone's own, Kaiming for the bottleneck, small for the classifier."""
        self.backbone.initialise(generator)
        nn.init.kaiming_normal_(self.bottleneck.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.bottleneck.bias)
        nn.init.normal_(self.classifier.weight, std=0.001, generator=generator)
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
