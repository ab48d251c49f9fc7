"""Where a re-ID network looks: maps over a crop of what its embedding is made of."""

from typing import Literal

import torch
from torch import Tensor, nn

from reidgen.errors import ConfigError, option
from reidgen.models.reid.embedder import Embedder
from reidgen.models.reid.pooling import AveragePool

MapKind = Literal["energy", "match", "class"]


def activation_maps(
    network: Embedder, images: Tensor, kind: MapKind = "energy", *, query: Tensor | None = None
) -> Tensor:
    """A map over each crop, float32 (N, h, w) of the size of the network's last map.

    - "energy": the root of the sum of squares over the channels of the last map, as is usual for re-ID (Zhou et al.
      2019, *Omni-scale feature learning*, figure 8). Never negative.
    - "class": the class activation map of the training person with the highest score (Zhou et al. 2016, *Learning deep
      features for discriminative localization*, equation 2). Its mean is that score less the classifier's bias.
    - "match": the same with the query's embedding in place of a class: its mean is the product of the two embeddings,
      so it says which places make the crop like the query, and, where it is negative, unlike it.

    The last two are exact: from the average pooling on, all is linear up to constants, which are spread evenly.

    Args:
        network: In evaluation mode.
        images: (N, 3, H, W), normalised, on its device.
        kind: Which map.
        query: Embeddings (N, D) for "match", one a crop.

    Raises:
        ConfigError: "class" or "match" of a network that does not pool by the average.
    """
    with torch.inference_mode():
        maps = network.backbone(images).float()
        if kind == "energy":
            return torch.linalg.vector_norm(maps, dim=1)
        local, normal = _local(network, maps)
        if kind == "match":
            assert query is not None, "a match is with a query"
            return torch.einsum("nhwd,nd->nhw", local, query.to(local))
        weights = network.classifier.weight
        winners = network.classifier(normal.mean(dim=(1, 2))).argmax(dim=1)
        return torch.einsum("nhwd,nd->nhw", normal, weights[winners])


def local_embeddings(network: Embedder, images: Tensor) -> Tensor:
    """The embedding of each place of a crop, (N, h, w, D), as if all of it were like that; their mean is the embedding.

    Raises:
        ConfigError: The network does not pool by the average.
    """
    with torch.inference_mode():
        return _local(network, network.backbone(images).float())[0]


def check_map(network: Embedder, kind: MapKind) -> None:
    """Raise `ConfigError` if a network cannot have a map."""
    if kind != "energy" and not isinstance(network.pool, AveragePool):
        raise ConfigError(
            "This map is a mean over places, and the network pools otherwise.",
            got=f"pooling by {type(network.pool).__name__}",
            allowed="a network with average pooling, or the map of energy",
            fix=option(maps="energy"),
        )


def _local(network: Embedder, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Embedding and normalised feature of each place, (N, h, w, D) both, whose means are the crop's.

    A ReLU lets through the numbers that are above 0 in the crop's mean; of a place it lets through the same ones.
    """
    check_map(network, "match")
    count, _, height, width = maps.shape
    feature = network.bottleneck(maps.permute(0, 2, 3, 1).flatten(0, 2))
    feature, normal = (x.reshape(count, height, width, -1) for x in (feature, network.norm(feature)))
    if isinstance(network.rectify, nn.ReLU):
        normal = normal * (normal.mean(dim=(1, 2), keepdim=True) > 0)
    return normal if network.compare == "after" else feature, normal
