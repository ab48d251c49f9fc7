"""A re-ID network that looks at the whole crop and at horizontal stripes of it."""

from typing import Any, NamedTuple

import torch
from torch import nn

from reidgen.models.reid.clip import ClipBackbone
from reidgen.models.reid.pooling import Pooling, make_pool


class Parted(NamedTuple):
    """What the network says of N crops.

    Attributes:
        embedding: (N, D), of the whole crop.
        parts: (N, P, D), of the stripes from top to bottom.
    """

    embedding: torch.Tensor
    parts: torch.Tensor


class PartEmbedder(nn.Module):
    """Backbone; pooling of the whole map and of P stripes; BatchNorm1d whose bias stays 0 after each (BNNeck).

    Cho et al. 2022, *Part-based pseudo label refinement*, section "network"; the neck is that of Luo et al. 2019.
    What it says of the whole crop is what an `Embedder` with neck "bnneck" says that has its `global_state`.

    Args:
        backbone: Has `channels`, maps images (N, 3, H, W) to (N, channels, h, w). CLIP's give a vector; their stripes
            are those of the map beside it.
        parts: P, 0 or more.
        pooling: How the whole map becomes a vector; stripes are averaged.

    Attributes:
        width: D, the backbone's channels.
        parts: P.
    """

    def __init__(self, backbone: Any, *, parts: int, pooling: Pooling = "average") -> None:
        super().__init__()
        self.backbone = backbone
        self.pool = make_pool(pooling, getattr(backbone, "gives", "map"))
        self.width: int = backbone.channels
        self.parts = parts
        self.norm = _neck(self.width)
        self.part_norms = nn.ModuleList(_neck(self.width) for _ in range(parts))

    def forward(self, images: torch.Tensor) -> Parted:
        """Embed normalised crops (N, 3, H, W)."""
        if isinstance(self.backbone, ClipBackbone):
            vector, maps = self.backbone.both(images)
        else:
            vector = maps = self.backbone(images)
        whole = self.norm(self.pool(vector))
        stripes = zip(self.part_norms, self._bounds(maps.shape[2]), strict=True)
        parts = [norm(maps[:, :, rows].mean(dim=(2, 3))) for norm, rows in stripes]
        return Parted(whole, torch.stack(parts, dim=1) if parts else whole.new_zeros(len(whole), 0, self.width))

    def _bounds(self, height: int) -> list[slice]:
        """Rows of each stripe: floor(n h / P) to ceil((n + 1) h / P), so that none is empty on a low map."""
        count = self.parts
        return [slice(n * height // count, -(-(n + 1) * height // count)) for n in range(count)]

    def initialise(self, generator: torch.Generator) -> None:
        """Random weights for the backbone; the necks start as they are."""
        self.backbone.initialise(generator)

    def global_state(self, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        """The weights of an `Embedder` with neck "bnneck": all but the stripes' necks, and a classifier (K, D)."""
        known = {name: value for name, value in self.state_dict().items() if not name.startswith("part_norms.")}
        return {**known, "classifier.weight": classes}


def _neck(width: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(width)
    norm.bias.requires_grad_(False)
    return norm
