"""Layers of the style generators and their discriminator: equalised learning rate, [1,3,3,1] resampling, modulation.

Everything is made of differentiable torch operations, so gradients of gradients (R1, path length) need no code of
their own. Activations are best given in channels_last: the convolutions run at twice the speed there on CPUs.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.models.stylegan.precision import HalfLayer, at_least_float32

SLOPE = 0.2
GAIN = math.sqrt(2)
DEMOD_EPS = 1e-8
_FIR = (1.0, 3.0, 3.0, 1.0)


class EqualLinear(nn.Module):
    """Fully connected layer with weights scaled at run time (equalised learning rate, Karras et al. 2018, section 4.1).

    Attributes:
        weight: (out, in), drawn from N(0, 1 / lr_scale^2).
        bias: (out,), stored so that the layer's bias is `bias * lr_scale`.
        lr_scale: Factor on the learning rate; 0.01 in the mapping network.
    """

    def __init__(self, fan_in: int, fan_out: int, *, bias: float = 0.0, lr_scale: float = 1.0) -> None:
        super().__init__()
        self.lr_scale = lr_scale
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in) / lr_scale)
        self.bias = nn.Parameter(torch.full((fan_out,), float(bias)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        scale = self.lr_scale / math.sqrt(self.weight.shape[1])
        return functional.linear(x, self.weight * scale, self.bias * self.lr_scale)


class EqualConv(HalfLayer):
    """Convolution with equalised learning rate, followed by leaky ReLU and a gain.

    Attributes:
        weight: (out, in, k, k), drawn from N(0, 1).
        bias: (out,), or None.
        stride: 2 halves the map; the input is then blurred with [1,3,3,1] first (k = 1: resampled, then convolved).
    """

    def __init__(self, fan_in: int, fan_out: int, kernel: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(fan_out)) if bias else None

    def forward(self, x: Tensor, *, activate: bool = True, gain: float = 1.0) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride); the leaky ReLU brings its own gain of sqrt(2)."""
        # leaky ReLU is positively homogeneous, so its gain moves into the weights and saves a pass over the map
        gain = gain * GAIN if activate else gain
        kernel = self.weight.shape[-1]
        x = self.enter(x)
        weight = (self.weight * (gain / math.sqrt(self.weight[0].numel()))).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        if self.stride == 1:
            y = functional.conv2d(x, weight, bias, padding=kernel // 2)
        elif kernel == 1:
            y = functional.conv2d(downsample(x), weight, bias)
        else:
            y = functional.conv2d(blur(x, padding=2), weight, bias, stride=2)
        return self.leave(leaky_relu(y) if activate else y)


class ModulatedConv(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output is brought back to unit variance.

    Karras et al. 2020 (CVPR), section 2.2 and equation 3. Instead of one set of weights a sample, the activations are
    scaled before and after one shared convolution, which is the same function and needs no grouped convolution.

    Attributes:
        weight: (out, in, k, k), drawn from N(0, 1).
        affine: Style w (N, w_dim) -> scale of each input channel; its bias starts at 1.
        demodulate: False for the layers that write colours.
        up: Whether the map doubles: transposed convolution, then the [1,3,3,1] filter.
    """

    def __init__(self, fan_in: int, fan_out: int, kernel: int, w_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self.affine = EqualLinear(w_dim, fan_in, bias=1.0)
        self.weight: Tensor = nn.Parameter(torch.randn(fan_out, fan_in, kernel, kernel))

    def forward(self, x: Tensor, w: Tensor, *, gain: float = 1.0) -> Tensor:
        """(N, in, H, W), (N, w_dim) -> (N, out, H, W), or (N, out, 2H, 2W) with `up`."""
        weight, style = self.weight, self.affine(w)
        if x.dtype == torch.float16:
            weight, style = bounded(weight, style)
        style, scale = modulation(weight, style, gain=gain)
        y = self._convolve(x * _per_channel(style, x), weight.to(x.dtype))
        return y * _per_channel(scale, y)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if not self.up:
            return functional.conv2d(x, weight, padding=weight.shape[-1] // 2)
        y = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return blur(y, padding=1, gain=4.0)


def modulation(weight: Tensor, style: Tensor, *, gain: float = 1.0) -> tuple[Tensor, Tensor]:
    """Factors of the input and of the output channels that stand for modulated and demodulated weights.

    Args:
        weight: (out, in, k, k).
        style: (N, in).
        gain: Further factor on the output.

    Returns:
        style: (N, in), and gain / sqrt(sum over in, k, k of (weight * style)^2 + 1e-8): (N, out).
        Karras et al. 2020, equation 3.
    """
    energy = weight.square().sum(dim=(2, 3))
    return style, functional.linear(style.square(), energy).add(DEMOD_EPS).rsqrt() * gain


def bounded(weight: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (out, in, k, k) of norm 1 per output and styles (N, in) of at most 1, which demodulation undoes.

    A convolution of inputs up to 256 then stays below 256 * sqrt(in * k^2), 17,400 for 512 channels and k = 3, by the
    inequality of Cauchy and Schwarz: far from the 65,504 at which float16 overflows.
    """
    norm = torch.linalg.vector_norm(weight, dim=(1, 2, 3), keepdim=True)
    return weight / norm, style / style.abs().amax(dim=1, keepdim=True).clamp(min=DEMOD_EPS)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 without gain; overwrites its input, which no other operation needs afterwards."""
    return functional.leaky_relu(x, SLOPE, inplace=True)


def blur(x: Tensor, *, padding: int, gain: float = 1.0) -> Tensor:
    """Filter (N, C, H, W) with the outer product of [1,3,3,1] / 8, zeros outside; H and W change by 2 * padding - 3."""
    return functional.conv2d(x, _fir(x, gain), padding=padding, groups=x.shape[1])


def downsample(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H / 2, W / 2), low-pass filtered with [1,3,3,1]."""
    # on CPUs in float32: there the backward pass of this convolution in bfloat16 is a slow loop (ten times)
    y = at_least_float32(x) if x.device.type == "cpu" else x
    return functional.conv2d(y, _fir(y, 1.0), padding=1, stride=2, groups=x.shape[1]).to(x.dtype)


def upsample(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, 2H, 2W), interpolated with [1,3,3,1], zeros outside."""
    return functional.conv_transpose2d(x, _fir(x, 4.0), padding=1, stride=2, groups=x.shape[1])


def _fir(x: Tensor, gain: float) -> Tensor:
    taps = torch.tensor(_FIR, device=x.device, dtype=x.dtype)
    kernel = torch.outer(taps, taps) * (gain / 64.0)
    return kernel.expand(x.shape[1], 1, 4, 4)


def _per_channel(factors: Tensor, x: Tensor) -> Tensor:
    return factors.to(x.dtype)[:, :, None, None]
