"""The networks of LPIPS (Zhang et al. 2018): features of AlexNet or VGG16, and how much each channel counts."""

from typing import Literal

import torch
from torch import Tensor, nn

from reidgen.errors import ConfigError, option

LpipsName = Literal["alex", "vgg"]
# Channels of the stages: the five maps that are compared (Zhang et al. 2018, appendix A).
CHANNELS: dict[str, tuple[int, ...]] = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
# The layers that give them, each a ReLU.
TAPS: dict[str, tuple[int, ...]] = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
# The least height and width of an image that leaves a position in the last map.
SMALLEST: dict[str, int] = {"alex": 31, "vgg": 16}
_VGG_CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each stage (Simonyan and Zisserman 2015, table 1, column D)


class Lpips(nn.Module):
    """Frozen features and weights of channels; the parameters of `features` have torchvision's names.

    Args:
        name: "alex" is AlexNet as in Krizhevsky 2014 ("one weird trick"), "vgg" is VGG16.

    Attributes:
        features: The convolutional part up to the last map that is compared.
        heads: The weight of each channel, one (C,) a stage, none negative; version 0.1 of the published ones.
    """

    def __init__(self, name: LpipsName) -> None:
        super().__init__()
        self.name = name
        self.features = _alexnet() if name == "alex" else _vgg16()
        self.heads = nn.ParameterList(nn.Parameter(torch.ones(n)) for n in CHANNELS[name])
        self.requires_grad_(False)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Normalised images (N, 3, H, W) to the maps of the five stages, after their ReLU.

        Raises:
            ConfigError: The images are smaller than 31 (AlexNet) or 16 (VGG16) pixels.
        """
        if min(images.shape[2:]) < SMALLEST[self.name]:
            height, width = images.shape[2:]
            raise ConfigError(
                f"The images are too small for LPIPS with {self.name}.",
                got=f"{height}x{width}",
                allowed=f"at least {SMALLEST[self.name]} pixels on both sides",
                fix=option(perceptual_backbone="resnet50") + (", or lpips-vgg" if self.name == "alex" else ""),
            )
        maps, x = [], images
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in TAPS[self.name]:
                maps.append(x)
        return maps


def _alexnet() -> nn.Sequential:
    """Five convolutions (Krizhevsky 2014), the first two followed by a pooling; numbered as in torchvision."""
    first = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    second = [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)]
    rest = [(192, 384), (384, 256), (256, 256)]
    last = [layer for a, b in rest for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
    return nn.Sequential(*first, *second, *last)


def _vgg16() -> nn.Sequential:
    """Thirteen 3x3 convolutions in five stages, a pooling between two (Simonyan and Zisserman 2015, table 1, D)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip(CHANNELS["vgg"], _VGG_CONVOLUTIONS, strict=True):
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)
