"""Residual networks (He et al. 2016, CVPR, table 1) with torchvision's parameter names, as backbones.

Two things differ between weight files that look alike, so both are switches: whether a bottleneck block carries its
stride on the 3x3 convolution (torchvision) or on the first 1x1 (the paper, Caffe, Keras), and whether the last stage
halves the map (the paper) or keeps it (usual in re-ID since Sun et al. 2018).

Two changes to the network are further switches: instance normalisation of half the channels (IBN-a), and non-local
blocks. Their parameters have names of their own; all others are torchvision's.
"""

from typing import Literal

import torch
from torch import nn

from reidgen.errors import ConfigError, option
from reidgen.models.reid.non_local import NonLocal
from reidgen.models.reid.small_maps import WideConv

Backbone = Literal["resnet18", "resnet18_ibn", "resnet34", "resnet34_ibn", "resnet50", "resnet50_ibn"]
StrideIn = Literal["3x3", "1x1"]
Attention = Literal["none", "non-local"]
ATTENTIVE = ("layer2", "layer3")
BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet18_ibn": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet34_ibn": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet50_ibn": (3, 4, 6, 3),
}
WIDTHS = (64, 128, 256, 512)  # of the stages as published
EXPANSION = 4  # of a bottleneck block: its output has four times the channels of its 3x3 convolution


class InstanceBatchNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the others (IBN-a).

    Pan et al. 2018 (*Two at once*), section 3.2 and figure 3a. The names IN and BN are those of the published weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2
        self.IN = nn.InstanceNorm2d(self.first, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same shape."""
        first, second = x.split([self.first, x.shape[1] - self.first], dim=1)
        return torch.cat([self.IN(first), self.BN(second)], dim=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    def __init__(self, channels: int, width: int, stride: int, first_norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = _conv(channels, width, 3, stride)
        self.bn1 = first_norm(width)
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

    def __init__(
        self, channels: int, width: int, stride: int, stride_in: StrideIn, first_norm: type[nn.Module]
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.conv1 = _conv(channels, width, 1, first)
        self.bn1 = first_norm(width)
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
        name: "resnet18", "resnet34" or "resnet50"; with "_ibn" the first normalisation of each block of the first three
            stages is `InstanceBatchNorm`.
        stride_in: Which convolution of a bottleneck block carries the stride; resnet18 and -34 know "3x3" alone.
        last_stride: 2 as published, 1 keeps the map of the third stage: four times the positions.
        base_width: Channels of the first stage; 64 as published.
        attention: "non-local" puts a `NonLocal` after each block of the second half of stages 2 and 3: after two and
            three blocks of resnet50, as in AGW (Ye et al. 2021).

    Attributes:
        channels: Channels of the output: 8 base widths, or 32 for resnet50 and resnet50_ibn.
        plain: The name of the network without IBN, whose torchvision file has most of the weights.

    Raises:
        ConfigError: The name is unknown, or `stride_in` does not exist in this network.
    """

    def __init__(
        self,
        name: Backbone = "resnet50",
        *,
        stride_in: StrideIn = "3x3",
        last_stride: Literal[1, 2] = 2,
        attention: Attention = "none",
        base_width: int = 64,
    ) -> None:
        super().__init__()
        if name not in BLOCKS:
            raise ConfigError(
                "The backbone is unknown.", got=name, allowed=", ".join(BLOCKS), fix=option(backbone="resnet50")
            )
        self.plain = name.removesuffix("_ibn")
        if stride_in == "1x1" and self.plain != "resnet50":
            raise ConfigError(
                f"The blocks of {name} have no 1x1 convolution that could carry the stride.",
                got="stride_in 1x1",
                allowed="3x3",
                fix=f"{option(stride_in='3x3')}, or {option(backbone='resnet50')}",
            )
        self.conv1 = nn.Conv2d(3, base_width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.channels = base_width
        widths = [width * base_width // 64 for width in WIDTHS]
        strides = (1, 2, 2, last_stride)
        stages = zip(widths, BLOCKS[name], strides, strict=True)
        with_ibn = (name != self.plain,) * 3 + (False,)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            self._stage(width, blocks, stride, stride_in, InstanceBatchNorm if ibn else nn.BatchNorm2d)
            for (width, blocks, stride), ibn in zip(stages, with_ibn, strict=True)
        )
        self.attention = nn.ModuleDict(
            {stage: _attention(getattr(self, stage)) for stage in ATTENTIVE} if attention == "non-local" else {}
        )

    def _stage(
        self, width: int, blocks: int, stride: int, stride_in: StrideIn, first_norm: type[nn.Module]
    ) -> nn.Sequential:
        stage: list[nn.Module] = []
        for block in range(blocks):
            step = stride if block == 0 else 1
            if self.plain == "resnet50":
                stage.append(Bottleneck(self.channels, width, step, stride_in, first_norm))
                self.channels = EXPANSION * width
            else:
                stage.append(BasicBlock(self.channels, width, step, first_norm))
                self.channels = width
        return nn.Sequential(*stage)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (N, 3, H, W) to a map (N, channels, H / 32, W / 32), or / 16 with `last_stride` 1."""
        return self.stages(images)[-1]

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Normalised images (N, 3, H, W) to the maps of the four stages, the last one as `forward` gives it."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for name in ("layer1", "layer2", "layer3", "layer4"):
            attention = dict(self.attention[name].named_children()) if name in self.attention else {}
            for place, block in getattr(self, name).named_children():
                x = block(x)
                if place in attention:
                    x = attention[place](x)
            maps.append(x)
        return maps

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the convolutions from N(0, 2 / fan_out) (He et al. 2015, equation 14), those with a bias from 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _conv(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    if (kernel, stride) == (3, 1):
        return WideConv(channels, width)
    return nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)


def _attention(stage: nn.Sequential) -> nn.ModuleDict:
    """A non-local block for each block of the second half of a stage, by the block's name."""
    channels = [module.out_channels for module in stage.modules() if isinstance(module, nn.Conv2d)][-1]
    places = range(len(stage) - len(stage) // 2, len(stage))
    return nn.ModuleDict({str(place): NonLocal(channels) for place in places})


def _shortcut(channels: int, width: int, stride: int) -> nn.Sequential | None:
    """The shortcut's projection; None where the shortcut is the identity (option B of the paper)."""
    if stride == 1 and channels == width:
        return None
    return nn.Sequential(_conv(channels, width, 1, stride), nn.BatchNorm2d(width))
