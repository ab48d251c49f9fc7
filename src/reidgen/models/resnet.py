"""Residual networks (He et al. 2016, CVPR, table 1) with torchvision's parameter names, as backbones.

Two things differ between weight files that look alike, so both are switches: whether a bottleneck block carries its
stride on the 3x3 convolution (torchvision) or on the first 1x1 (the paper, Caffe, Keras), and whether the last stage
halves the map (the paper) or keeps it (usual in re-ID since Sun et al. 2018).
"""

from typing import Literal

import torch
from torch import nn

from reidgen.errors import ConfigError

Backbone = Literal["resnet18", "resnet34", "resnet50"]
StrideIn = Literal["3x3", "1x1"]
BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
}
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck block: its output has four times the channels of its 3x3 convolution


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y.add_(x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al. 2016, figure 5 right)."""

    def __init__(self, channels: int, width: int, stride: int, stride_in: StrideIn) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = _conv(channels, width, 1, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, second)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, EXPANSION * width, 1)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, EXPANSION * width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, 4 width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y.add_(x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """The convolutional part of a residual network.

    Args:
        name: "resnet18", "resnet34" or "resnet50".
        stride_in: Which convolution of a bottleneck block carries the stride; resnet18 and -34 know "3x3" alone.
        last_stride: 2 as published, 1 keeps the map of the third stage: four times the positions.

    Attributes:
        channels: Channels of the output: 512, or 2048 for resnet50.

    Raises:
        ConfigError: The name is unknown, or `stride_in` does not exist in this network.
    """

    def __init__(
        self, name: Backbone = "resnet50", *, stride_in: StrideIn = "3x3", last_stride: Literal[1, 2] = 2
    ) -> None:
        super().__init__()
        if name not in BLOCKS:
            raise ConfigError(
                "The backbone is unknown.", got=name, allowed=", ".join(BLOCKS), fix="--backbone resnet50"
            )
        if stride_in == "1x1" and name != "resnet50":
            raise ConfigError(
                f"The blocks of {name} have no 1x1 convolution that could carry the stride.",
                got="stride_in 1x1",
                allowed="3x3",
                fix="--stride-in 3x3, or --backbone resnet50",
            )
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.channels = 64
        strides = (1, 2, 2, last_stride)
        stages = zip(WIDTHS, BLOCKS[name], strides, strict=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            self._stage(name, width, blocks, stride, stride_in) for width, blocks, stride in stages
        )

    def _stage(self, name: Backbone, width: int, blocks: int, stride: int, stride_in: StrideIn) -> nn.Sequential:
        stage: list[nn.Module] = []
        for block in range(blocks):
            step = stride if block == 0 else 1
            if name == "resnet50":
                stage.append(Bottleneck(self.channels, width, step, stride_in))
                self.channels = EXPANSION * width
            else:
                stage.append(BasicBlock(self.channels, width, step))
                self.channels = width
        return nn.Sequential(*stage)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (N, 3, H, W) to a map (N, channels, H / 32, W / 32), or / 16 with `last_stride` 1."""
        return self.stages(images)[-1]

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Normalised images (N, 3, H, W) to the maps of the four stages, the last one as `forward` gives it."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the convolutions from N(0, 2 / fan_out) (He et al. 2015, equation 14)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)


def _conv(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)


def _shortcut(channels: int, width: int, stride: int) -> nn.Sequential | None:
    """The shortcut's projection; None where the shortcut is the identity (option B of the paper)."""
    if stride == 1 and channels == width:
        return None
    return nn.Sequential(_conv(channels, width, 1, stride), nn.BatchNorm2d(width))
