"""CLIP's image encoders (Radford et al. 2021, section 2.4) as backbones, with the published parameter names.

The ResNet-50 has three convolutions in its stem, blocks that halve the map by average pooling, and attention pooling at
its end; ViT-B/16 is a vision transformer with a normalisation before its blocks. Crops need not be square: the learned
positions of 224x224 images are resampled to the grid of the crops.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from reidgen.models.reid.renormalise import Renormalise
from reidgen.models.reid.small_maps import WideConv

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of the published training
SIDE = 224  # of the images that the positions are of
BLOCKS, WIDTHS, EXPANSION = (3, 4, 6, 3), (64, 128, 256, 512), 4
PATCH, LAYERS = 16, 12
HEAD = 64  # channels of a head, in both networks
STD_AT_START = 0.02  # of a transformer's random weights


class ClipBackbone(nn.Module, ABC):
    """What both encoders have in common: one vector of a crop, and a map of the same channels.

    The vector is CLIP's image embedding, not brought to length 1, as a map of one position. In the map, each position
    of the ResNet has what attention pooling gives when it looks there alone, and each of the transformer its own token,
    projected as the class token is. Crops come in normalised by ImageNet's mean and deviation, and are brought to
    CLIP's.

    Attributes:
        channels: Channels of the output: 1024 of the ResNet, 512 of the transformer.
        gives: "vector".
    """

    channels: int
    gives: Literal["map", "vector"] = "vector"

    def __init__(self) -> None:
        super().__init__()
        self.renormalise = Renormalise(MEAN, STD)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to the vectors (N, channels, 1, 1)."""
        return self.both(images)[0]

    @abstractmethod
    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors (N, channels, 1, 1), and the maps (N, channels, h, w)."""

    @abstractmethod
    def initialise(self, generator: torch.Generator) -> None:
        """Random weights."""


class ClipResNet(ClipBackbone):
    """CLIP's ResNet-50.

    Args:
        size: (height, width) of the crops.
        last_stride: 2 as published; 1 keeps the map of the third stage.
    """

    def __init__(self, size: tuple[int, int], *, last_stride: Literal[1, 2] = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        strides = (1, 2, 2, last_stride)
        inputs = (64, *(EXPANSION * width for width in WIDTHS))
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(
                *(_Block(width * EXPANSION if n else before, width, 1 if n else stride) for n in range(blocks))
            )
            for before, width, blocks, stride in zip(inputs, WIDTHS, BLOCKS, strides, strict=False)
        )
        self.channels = 1024
        step = 16 * last_stride
        self.attnpool = _AttentionPool(inputs[-1], self.channels, (size[0] // step, size[1] // step))

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As in `ClipBackbone`; h and w are the crop's over 32, or over 16 with `last_stride` 1."""
        x = self.renormalise(images)
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = self.relu(norm(conv(x)))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.pool(x)))))
        return self.attnpool(maps)

    def initialise(self, generator: torch.Generator) -> None:
        """Convolutions from N(0, 2 / fan_out), attention pooling from N(0, 1 / width)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        for name, parameter in self.attnpool.named_parameters():
            _draw(name, parameter, parameter.shape[-1] ** -0.5, generator)


class _Block(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; a stride is average pooling, on both ways."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = WideConv(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != EXPANSION * width:
            conv = nn.Conv2d(channels, EXPANSION * width, 1, bias=False)
            pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            parts: dict[str, nn.Module] = {"-1": pool, "0": conv, "1": nn.BatchNorm2d(EXPANSION * width)}
            self.downsample = nn.Sequential(OrderedDict(parts))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 4 width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.pool(self.relu(self.bn2(self.conv2(y))))
        y = self.bn3(self.conv3(y))
        return self.relu(y.add_(x if self.downsample is None else self.downsample(x)))


class _AttentionPool(nn.Module):
    """One layer of attention that the mean of all positions asks; it sees the positions and itself."""

    def __init__(self, width: int, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.positional_embedding = nn.Parameter(torch.zeros((SIDE // 32) ** 2 + 1, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, channels)
        self.resample = _Resample(SIDE // 32, grid)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(N, width, h, w) to (N, channels, 1, 1) and (N, channels, h, w)."""
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        tokens = tokens + self.resample(self.positional_embedding)
        values = self.v_proj(tokens)
        pooled = self.c_proj(_attend(self.q_proj(tokens[:, :1]), self.k_proj(tokens), values, self.heads))
        return pooled.transpose(1, 2)[..., None], _map_of(self.c_proj(values[:, 1:]), maps.shape[2])


class ClipViT(ClipBackbone):
    """CLIP's ViT-B/16.

    Args:
        size: (height, width) of the crops, multiples of 16.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        width, self.channels = 768, 512
        self.conv1 = nn.Conv2d(3, width, PATCH, stride=PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((SIDE // PATCH) ** 2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = nn.Sequential(*(_TransformerBlock(width) for _ in range(LAYERS)))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, self.channels))
        self.resample = _Resample(SIDE // PATCH, (size[0] // PATCH, size[1] // PATCH))

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As in `ClipBackbone`; h and w are the crop's over 16."""
        patches = self.conv1(self.renormalise(images))
        tokens = patches.flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(tokens), 1, -1)
        tokens = torch.cat([first, tokens], dim=1) + self.resample(self.positional_embedding)
        tokens = self.ln_post(self.transformer["resblocks"](self.ln_pre(tokens))) @ self.proj
        return tokens[:, 0, :, None, None], _map_of(tokens[:, 1:], patches.shape[2])

    def initialise(self, generator: torch.Generator) -> None:
        """Weights from N(0, 0.02^2), as transformers usually start; normalisations as they are."""
        for name, parameter in self.named_parameters():
            if "ln_" not in name:
                _draw(name, parameter, STD_AT_START, generator)


class _TransformerBlock(nn.Module):
    """Attention and two layers of four times the width, each after a normalisation and beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = _Attention(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.ModuleDict(layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, width) to the same shape."""
        tokens = tokens + self.attn(self.ln_1(tokens))
        wide = self.mlp["c_fc"](self.ln_2(tokens))
        wide = wide * torch.sigmoid(1.702 * wide)  # the GELU of the published training
        return tokens + self.mlp["c_proj"](wide)


class _Attention(nn.Module):
    """Attention of all tokens to all, with the parameter names of torch's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, width) to the same shape."""
        asked, keys, values = nn.functional.linear(tokens, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=2)
        found: Tensor = self.out_proj(_attend(asked, keys, values, self.heads))
        return found


class _Resample(nn.Module):
    """Positions of a square grid as those of the crops' grid; bicubic, by two matrices, whose gradients have one order.

    Args:
        side: Of the square.
        grid: (h, w), of the crops.
    """

    down: Tensor
    along: Tensor

    def __init__(self, side: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("down", _resampling(side, grid[0]), persistent=False)
        self.register_buffer("along", _resampling(side, grid[1]), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """(1 + side^2, width) to (1 + h w, width); the first, which has no place, stays."""
        side = self.down.shape[1]
        square = positions[1:].unflatten(0, (side, side))
        grid = torch.einsum("hi,ijc,wj->hwc", self.down, square, self.along)
        return torch.cat([positions[:1], grid.flatten(0, 1)])


def _resampling(side: int, length: int) -> Tensor:
    """(length, side): bicubic weights; exact ones where nothing changes."""
    identity = torch.eye(side)
    return nn.functional.interpolate(identity[None, None], size=(length, side), mode="bicubic")[0, 0]


def _attend(asked: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Attention in heads (Vaswani et al. 2017, equation 1): (N, Q, C) and twice (N, L, C) to (N, Q, C)."""
    asked, keys, values = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (asked, keys, values))
    weights = (asked @ keys.transpose(2, 3) * asked.shape[3] ** -0.5).softmax(dim=3)
    return (weights @ values).transpose(1, 2).flatten(2)


def _map_of(tokens: Tensor, height: int) -> Tensor:
    """(N, h w, C) to (N, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, (height, -1))


def _draw(name: str, parameter: Tensor, std: float, generator: torch.Generator) -> None:
    if name.endswith("bias"):
        nn.init.zeros_(parameter)
    else:
        nn.init.normal_(parameter, std=std, generator=generator)
