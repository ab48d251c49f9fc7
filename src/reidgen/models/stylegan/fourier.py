"""StyleGAN3's input: an infinite field of waves, of which the canvas is a window (Karras et al. 2021, section 3.1)."""

import math

import torch
from torch import Tensor, nn

from reidgen.models.layers import EqualLinear
from reidgen.models.stylegan.modulated_conv import pixel_product


class FourierInput(nn.Module):
    """Waves of random frequencies and phases, moved by a learned rotation and translation, then mixed by a matrix.

    Lengths are in image heights on both axes, so that rotations of a rectangular canvas do not shear.

    Attributes:
        frequencies: (C, 2) of x and y, in cycles per image height.
        phases: (C,), in cycles.
        transform: (3, 3), from points of the canvas to points of the image that is shown on it: the inverse of how
            the user wants the image moved.
        affine: w -> cosine and sine of the rotation, translation in x and y.
        weight: (C, C), drawn from N(0, 1).
        size: (height, width) of the canvas in samples.
        rate: Samples per image height.
        bandwidth: Highest frequency of an untransformed wave.
    """

    frequencies: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, w_dim: int, channels: int, *, size: tuple[int, int], rate: int, bandwidth: float) -> None:
        super().__init__()
        self.size, self.rate, self.bandwidth = size, rate, bandwidth
        self.register_buffer("frequencies", disc_frequencies(channels) * bandwidth)
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))
        self.affine = EqualLinear(w_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.weight = nn.Parameter(torch.randn(channels, channels))

    def forward(self, w: Tensor) -> Tensor:
        """(N, w_dim) -> (N, C, H, W), channels_last in memory."""
        moved = pose(self.affine(w)) @ self.transform
        frequencies = self.frequencies @ moved[:, :2, :2]
        phases = self.phases + (self.frequencies @ moved[:, :2, 2:]).squeeze(2)
        points = canvas_points(self.size, self.rate).to(frequencies)
        cycles = torch.baddbmm(phases[:, None], points.expand(len(w), -1, -1), frequencies.transpose(1, 2))
        waves = torch.sin(cycles * (2 * math.pi)) * self._amplitudes(frequencies)[:, None]
        field = waves.view(len(w), *self.size, -1).permute(0, 3, 1, 2)
        return pixel_product(field, self.weight[:, :, None, None] / math.sqrt(len(self.weight)))

    def _amplitudes(self, frequencies: Tensor) -> Tensor:
        """1 inside the bandwidth, 0 from half the sampling rate on, so that enlarging transforms do not alias."""
        beyond = frequencies.norm(dim=2) - self.bandwidth
        return (1 - beyond / (self.rate / 2 - self.bandwidth)).clamp(0, 1)


def disc_frequencies(count: int) -> Tensor:
    """Frequencies (count, 2) that fill the unit disc evenly.

    A normal 2-vector of length r becomes one of length exp(-r^2 / 4), whose square is uniform between 0 and 1.
    """
    vectors = torch.randn(count, 2)
    radius = vectors.norm(dim=1, keepdim=True)
    return vectors / radius * torch.exp(-radius.square() / 4)


def canvas_points(size: tuple[int, int], rate: int) -> Tensor:
    """Centres (H * W, 2) of the samples, x and y in image heights from the middle of the canvas, row by row."""
    height, width = size
    y = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2) / rate
    x = (torch.arange(width, dtype=torch.float64) + 0.5 - width / 2) / rate
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)


def pose(parameters: Tensor) -> Tensor:
    """Matrices (N, 3, 3) that take points of the canvas back through a translation, then a rotation.

    Args:
        parameters: (N, 4): cosine and sine of the rotation, translation in x and y in image heights; brought to
            cosine^2 + sine^2 = 1 by a common factor. Karras et al. 2021, appendix F.
    """
    cos, sin, x, y = (parameters / parameters[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rotation = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)
    translation = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).view(-1, 3, 3)
    return rotation @ translation
