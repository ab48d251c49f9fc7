"""Residual generators: CycleGAN's, and StarGAN's that is told which camera to make."""

from typing import Literal

import torch
from torch import Tensor, nn

from reidgen.models.translation.blocks import draw_weights, laid_out

Kind = Literal["cyclegan", "stargan"]
Padding = Literal["mirrored", "zeros"]
FULL = 256  # height from which CycleGAN has nine residual blocks


class Border(nn.Module):
    """Widens a map by so many pixels on each side: mirrored, without the edge itself twice, or zeros.

    torch's own mirrored padding adds the gradients of a pixel in any order on a GPU, and a resumed run would have other
    bits than one that was never stopped.
    """

    def __init__(self, width: int, padding: Padding) -> None:
        super().__init__()
        self.width, self.padding = width, padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H + 2 width, W + 2 width)."""
        if self.padding == "zeros":
            return nn.functional.pad(x, [self.width] * 4)
        for axis in (2, 3):
            before = x.narrow(axis, 1, self.width).flip(axis)
            after = x.narrow(axis, x.shape[axis] - 1 - self.width, self.width).flip(axis)
            x = torch.cat([before, x, after], dim=axis)
        return x


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of x, each normalised image by image, with a ReLU between them."""

    def __init__(self, channels: int, *, padding: Padding) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(channels, channels, 3, bias=False) for _ in range(2)]
        self.layers = nn.Sequential(
            Border(1, padding), *_normed(convolutions[0]), Border(1, padding), *_normed(convolutions[1])[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = x + self.layers(x)
        return out


class ResidualGenerator(nn.Module):
    """Image -> image: 7x7, two halvings, residual blocks, two doublings, 7x7.

    "cyclegan": Zhu et al. 2017, appendix 7.2: 3x3 convolutions that halve and double, borders mirrored.
    "stargan": Choi et al. 2018, table 4: 4x4 ones, zeros at the borders; the labels are planes beside the image.
    The height and width are multiples of 4, 8 or more.

    Args:
        channels: Of the input: 3, and one for each label.
        width: Channels at full size.
        blocks: Residual blocks.
        kind: Which of the two.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, blocks: int = 6, kind: Kind = "cyclegan") -> None:
        super().__init__()
        cycle = kind == "cyclegan"
        padding: Padding = "mirrored" if cycle else "zeros"
        kernel = 3 if cycle else 4
        rest = 1 if cycle else 0  # the row and column that a 3x3 kernel leaves out when it doubles
        steps = [Border(3, padding), *_normed(nn.Conv2d(channels, width, 7, bias=False))]
        for fan in (width, 2 * width):
            steps += [Border(1, padding), *_normed(nn.Conv2d(fan, 2 * fan, kernel, 2, bias=False))]
        steps += [ResidualBlock(4 * width, padding=padding) for _ in range(blocks)]
        for fan in (4 * width, 2 * width):
            steps += _normed(nn.ConvTranspose2d(fan, fan // 2, kernel, 2, 1, rest, bias=False))
        self.layers = nn.Sequential(*steps, Border(3, padding), nn.Conv2d(width, 3, 7), nn.Tanh())
        draw_weights(self)

    def forward(self, seen: Tensor) -> Tensor:
        """(N, channels, H, W), -1 to 1 -> images (N, 3, H, W), -1 to 1, in float32."""
        image: Tensor = self.layers(laid_out(seen))
        return image.float()


def usual_blocks(size: tuple[int, int]) -> int:
    """Residual blocks of CycleGAN: 9 from a height of 256, 6 below (Zhu et al. 2017, appendix 7.2)."""
    return 9 if size[0] >= FULL else 6


def with_labels(images: Tensor, domains: Tensor, count: int) -> Tensor:
    """Images (N, 3, H, W) with the one-hot planes of their domains (N,): (N, 3 + count, H, W)."""
    planes = nn.functional.one_hot(domains, count).to(images.dtype)[:, :, None, None]
    return torch.cat([images, planes.expand(-1, -1, *images.shape[2:])], dim=1)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels, affine=True), nn.ReLU()]
