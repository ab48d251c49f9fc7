"""A discriminator that looks at an image at several sizes (Wang et al. 2018, section 3.2)."""

from torch import Tensor, nn
from torch.nn import functional

from reidgen.models.translation.patch import PatchDiscriminator, most_layers


class ScaleDiscriminator(nn.Module):
    """Images -> logits of patches at full size, half, a quarter, ..., as far as patches fit.

    Args:
        size: (height, width) of the images.
        width: Channels of the first maps.
        scales: Sizes at most.
    """

    def __init__(self, size: tuple[int, int], *, width: int = 32, scales: int = 3) -> None:
        super().__init__()
        sizes = [(size[0] >> level, size[1] >> level) for level in range(scales)]
        layers = [most_layers(one) for one in sizes if min(one) >= 1]
        networks = [PatchDiscriminator(3, width=width, layers=count, norm="instance") for count in layers if count]
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 3, H, W), -1 to 1 -> for each size the logits of its patches, float32 (N, 1, h, w)."""
        logits = []
        for network in self.networks:
            logits.append(network(images))
            images = functional.avg_pool2d(images, 2)
        return logits
