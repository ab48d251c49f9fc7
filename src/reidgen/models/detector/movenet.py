"""MoveNet Lightning (Votel and Li 2021): MobileNetV2, a feature pyramid and four heads, for one person in a square.

The network as TensorFlow Hub's movenet/singlepose/lightning/4 publishes it, batch normalisation folded into the
convolutions; its numbers are in `assets/pose`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 192  # of the input in pixels
STRIDE = 4  # input pixels to a cell of the maps
POINTS = 17  # COCO's, nose to ankles
EXPANSION = 6
# Channels, blocks and first stride of the stages (Sandler et al. 2018, table 2).
STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
LATERAL = {3: (64, 32), 2: (32, 24), 1: (24, 24)}  # stage of a lateral map: its channels, and those after the merge
HEAD = 96
NEAR = 1.8  # cells added to each distance that a map is divided by


class Same(nn.Module):
    """A convolution of a map with even sides as TensorFlow pads it, then ReLU6, ReLU or nothing."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, top: float = 6.0
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups
        )
        self.pads, self.top = stride == 2 and kernel == 3, top

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        maps = self.convolution(functional.pad(maps, (0, 1, 0, 1)) if self.pads else maps)
        return maps if self.top == 0 else maps.clamp_(0, self.top)


class Block(nn.Module):
    """An inverted residual (Sandler et al. 2018, section 3.3)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expands: bool) -> None:
        super().__init__()
        inner = EXPANSION * inputs if expands else inputs
        self.expand = Same(inputs, inner) if expands else nn.Identity()
        self.depthwise = Same(inner, inner, 3, stride=stride, groups=inner)
        self.project = Same(inner, outputs, top=0)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: Tensor = self.project(self.depthwise(self.expand(maps)))
        return maps + out if self.adds else out


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution of each channel, then a 1x1 of all with ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        Same(inputs, outputs, top=float("inf")),
    )


def head(outputs: int) -> nn.Sequential:
    """The maps of one head."""
    return nn.Sequential(separable(LATERAL[1][1], HEAD), nn.Conv2d(HEAD, outputs, 1))


class MoveNet(nn.Module):
    """Key points of the person nearest the middle of a square.

    Attributes:
        centre: Head of one map: where people's middles are.
        regress: From a middle to each point, (y, x) in cells.
        heat: Where each point is, of anybody.
        offset: From a cell to the point in it, (y, x) in cells.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Same(3, 32, 3, stride=2)
        stages, width = [], 32
        for number, (channels, count, stride) in enumerate(STAGES):
            blocks = []
            for i in range(count):
                blocks.append(Block(width, channels, stride=stride if i == 0 else 1, expands=number > 0))
                width = channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.last = nn.Sequential(Same(width, 1280), Same(1280, LATERAL[3][0], top=0))
        self.lateral = nn.ModuleList(Same(channels, channels, top=0) for channels, _ in LATERAL.values())
        self.merge = nn.ModuleList(separable(channels, after) for channels, after in LATERAL.values())
        self.centre, self.regress = head(1), head(2 * POINTS)
        self.heat, self.offset = head(POINTS), head(2 * POINTS)

    def forward(self, squares: Tensor) -> Tensor:
        """Squares (N, 3, 192, 192), RGB 0 to 255, to (N, 17, 3): x and y in pixels of the square, and a score 0 to 1.

        A pixel's middle is at a half. The order of the points is COCO's.
        """
        maps = self._pyramid(squares / 127.5 - 1)
        return decode(self.centre(maps), self.regress(maps), self.heat(maps), self.offset(maps))

    def _pyramid(self, maps: Tensor) -> Tensor:
        """The finest map, (N, 24, 48, 48)."""
        maps, kept = self.stem(maps), []
        for stage in self.stages:
            maps = stage(maps)
            kept.append(maps)
        maps = self.last(maps)
        for number, lateral, merge in zip(LATERAL, self.lateral, self.merge, strict=True):
            finer = kept[number]
            maps = merge(functional.interpolate(maps, finer.shape[2:], mode="bilinear") + lateral(finer))
        return maps


def decode(centre: Tensor, regress: Tensor, heat: Tensor, offset: Tensor) -> Tensor:
    """Maps of the heads, (N, 1, 34, 17 and 34, S, S), to points (N, 17, 3) as `MoveNet.forward` gives them.

    The person is where the centre map, divided by the distance from the middle of the square, is highest; each point
    where its heat map is, divided by the distance from where the person's middle expects it.
    """
    count, _, side, _ = heat.shape
    cells = torch.arange(side, device=heat.device, dtype=heat.dtype)
    grid = torch.stack(torch.meshgrid(cells, cells, indexing="ij"))  # (2, S, S), y and x
    from_middle = (grid - side // 2).norm(dim=0) + NEAR
    middle = (centre.sigmoid()[:, 0] / from_middle).flatten(1).argmax(1)
    expected = _at(regress, middle) + grid.flatten(1).T[middle][:, None]
    distance = (grid[None, None] - expected[..., None, None]).norm(dim=2) + NEAR
    scores = heat.sigmoid()
    best = (scores / distance).flatten(2).argmax(2)
    moves = offset.view(count, POINTS, 2, -1).gather(3, best[:, :, None, None].expand(-1, -1, 2, 1))[..., 0]
    places = (grid.flatten(1).T[best] + moves).flip(2) * STRIDE
    return torch.cat([places, scores.flatten(2).gather(2, best[..., None])], dim=2)


def _at(maps: Tensor, cells: Tensor) -> Tensor:
    """Of maps (N, 34, S, S) the pairs (N, 17, 2) in one cell (N,) each."""
    return maps.flatten(2).gather(2, cells[:, None, None].expand(-1, maps.shape[1], 1)).view(len(maps), POINTS, 2)
