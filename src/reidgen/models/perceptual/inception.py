"""The Inception-v3 of the Fréchet Inception Distance, with its batch normalisation folded into the convolutions.

The architecture is Szegedy et al. 2016 as TensorFlow's model of 2015-12-05 has it: average pools do not count the
border, and the last block pools by maximum.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 299
WIDTH = 2048
NORM_EPS = 1e-3


class Conv(nn.Conv2d):
    """A convolution with a bias and a ReLU; "same" padding unless it is told to be "valid"."""

    def __init__(
        self, width_in: int, width: int, kernel: tuple[int, int], *, valid: bool = False, stride: int = 1
    ) -> None:
        padding = (0, 0) if valid else (kernel[0] // 2, kernel[1] // 2)
        super().__init__(width_in, width, kernel, stride=stride, padding=padding)

    def forward(self, input: Tensor) -> Tensor:
        """(B, width_in, H, W) -> (B, width, H', W')."""
        return super().forward(input).relu_()


def _chain(width: int, *convs: tuple[int, tuple[int, int]], reduce: bool = False) -> nn.Sequential:
    """Convolutions one after the other, each (width, kernel); with `reduce` the last one halves the size."""
    chain = nn.Sequential()
    for number, (width_out, kernel) in enumerate(convs):
        halves = reduce and number == len(convs) - 1
        chain.append(Conv(width, width_out, kernel, valid=halves, stride=2 if halves else 1))
        width = width_out
    return chain


class _Mean(nn.Module):
    """The 3x3 mean of the pixels that are there, then a 1x1 convolution."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv = Conv(width_in, width, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


class _Maximum(nn.Module):
    """The 3x3 maximum, then a 1x1 convolution."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv = Conv(width_in, width, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.max_pool2d(x, 3, 1, 1))


class _Fork(nn.Module):
    """A chain, and then a 1x3 and a 3x1 convolution of its output side by side."""

    def __init__(self, chain: nn.Sequential) -> None:
        super().__init__()
        self.chain, self.wide, self.high = chain, Conv(384, 384, (1, 3)), Conv(384, 384, (3, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.chain(x)
        return torch.cat([self.wide(x), self.high(x)], 1)


class _Block(nn.Module):
    """Branches side by side, their outputs one after the other in the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _block_35(width: int, pooled: int) -> _Block:
    return _Block(
        _chain(width, (64, (1, 1))),
        _chain(width, (48, (1, 1)), (64, (5, 5))),
        _chain(width, (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
        _Mean(width, pooled),
    )


def _block_17(width: int) -> _Block:
    row, column = (1, 7), (7, 1)
    return _Block(
        _chain(768, (192, (1, 1))),
        _chain(768, (width, (1, 1)), (width, row), (192, column)),
        _chain(768, (width, (1, 1)), (width, column), (width, row), (width, column), (192, row)),
        _Mean(768, 192),
    )


def _block_8(width: int, pool: type[_Mean] | type[_Maximum]) -> _Block:
    return _Block(
        _chain(width, (320, (1, 1))),
        _Fork(_chain(width, (384, (1, 1)))),
        _Fork(_chain(width, (448, (1, 1)), (384, (3, 3)))),
        pool(width, 192),
    )


class Inception(nn.Module):
    """Inception-v3 up to its last pool."""

    def __init__(self) -> None:
        super().__init__()
        shrink = nn.MaxPool2d(3, 2)
        self.layers = nn.Sequential(
            Conv(3, 32, (3, 3), valid=True, stride=2),
            Conv(32, 32, (3, 3), valid=True),
            Conv(32, 64, (3, 3)),
            shrink,
            Conv(64, 80, (1, 1)),
            Conv(80, 192, (3, 3), valid=True),
            shrink,
            _block_35(192, 32),
            _block_35(256, 64),
            _block_35(288, 64),
            _Block(
                _chain(288, (384, (3, 3)), reduce=True),
                _chain(288, (64, (1, 1)), (96, (3, 3)), (96, (3, 3)), reduce=True),
                shrink,
            ),
            *(_block_17(width) for width in (128, 160, 160, 192)),
            _Block(
                _chain(768, (192, (1, 1)), (320, (3, 3)), reduce=True),
                _chain(768, (192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3)), reduce=True),
                shrink,
            ),
            _block_8(1280, _Mean),
            _block_8(2048, _Maximum),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 2048) of images (B, 3, 299, 299), pixels as (value - 128) / 128."""
        return self.layers(x).mean((2, 3))

    @property
    def convs(self) -> list[Conv]:
        """Its 94 convolutions, in the order in which published weight files have them."""
        return [module for module in self.modules() if isinstance(module, Conv)]


def fold_norm(weight: Tensor, norm: Mapping[str, Tensor], eps: float = NORM_EPS) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what a convolution and a fixed batch normalisation do, in float64.

    Args:
        weight: Of the convolution, (O, I, h, w).
        norm: beta, mean and var of the normalisation, each (O,); gamma where it has one.
        eps: Added to var.
    """
    scale = (norm["var"].double() + eps).rsqrt()
    scale = scale * norm["gamma"].double() if "gamma" in norm else scale
    return weight.double() * scale[:, None, None, None], norm["beta"].double() - norm["mean"].double() * scale
