"""Non-local blocks: each position of a map looks at all others."""

from torch import Tensor, nn


class NonLocal(nn.Module):
    """A map plus what its positions say to each other (Wang et al. 2018, *Non-local neural networks*).

    Dot products as weights (equation 4), over the number of positions: y = theta (phi^T g) / HW, which needs no matrix
    of positions by positions. The block is x + BatchNorm(W y) (equation 6), with half the channels within. The
    normalisation starts from scale 0, so the block starts as the identity (their section 4.1) and a backbone that was
    trained without it is not disturbed.

    Args:
        channels: C, of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))
        between = g @ phi.transpose(1, 2) / theta.shape[2]
        return x + self.norm(self.out((between @ theta).unflatten(2, tuple(x.shape[2:]))))
