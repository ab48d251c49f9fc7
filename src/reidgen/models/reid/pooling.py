"""From a map of features to one vector: the mean, or a mean that looks more at what is strong."""

from typing import Literal

import torch
from torch import Tensor, nn

from reidgen.errors import ConfigError, option

Pooling = Literal["average", "gem"]
SMALLEST = 1e-6


class AveragePool(nn.Module):
    """The mean over all positions."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C)."""
        return maps.mean(dim=(2, 3))


class GeneralizedMeanPool(nn.Module):
    """The mean of x^p over all positions, to the power 1 / p, with a learned p (GeM).

    Radenovic et al. 2019 (*Fine-tuning CNN image retrieval with no human annotation*), equation 3; p = 1 is the mean,
    large p the maximum. Computed in float32; what lies below 1e-6 counts as 1e-6.

    Attributes:
        power: p, a parameter (1,); it starts from 3 as in the paper.
    """

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.full((1,), power))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C)."""
        with torch.autocast(maps.device.type, enabled=False):
            return maps.float().clamp(min=SMALLEST).pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


def make_pool(name: Pooling, gives: Literal["map", "vector"] = "map") -> nn.Module:
    """The pooling of a name, for a backbone that gives maps or vectors.

    Raises:
        ConfigError: Generalised means of a vector, which has both signs.
    """
    if name == "gem" and gives == "vector":
        raise ConfigError(
            "Generalised-mean pooling is for maps, and this network gives a vector, of both signs.",
            got=option(pooling="gem"),
            allowed=option(pooling="average"),
            fix=option(pooling="average"),
        )
    return {"average": AveragePool, "gem": GeneralizedMeanPool}[name]()
