"""From the normalisation that all crops come in to that of a network's weights."""

import torch
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the crops that come in


class Renormalise(nn.Module):
    """Crops normalised by ImageNet's mean and deviation, as by others; nothing of it is in the state dict.

    Args:
        mean: Of the network's training, one number a channel.
        std: Likewise.
    """

    factor: Tensor
    summand: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        own_mean, own_std, their_mean, their_std = (torch.tensor(x).view(1, 3, 1, 1) for x in (MEAN, STD, mean, std))
        self.register_buffer("factor", own_std / their_std, persistent=False)
        self.register_buffer("summand", (own_mean - their_mean) / their_std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to the same shape."""
        return images * self.factor + self.summand
