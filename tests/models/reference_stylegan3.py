"""StyleGAN3's synthesis written out: zeros inserted, dense two-dimensional filters, one set of weights a sample.

Slow and obvious on purpose. It takes the weights of a `reidgen.models.stylegan3.Generator` and shares none of its code.
"""

import math

import torch
from torch.nn import functional


def image(network, ws):
    """The image (N, 3, H, W) of ws (N, num_ws, w_dim) by the definition, in evaluation mode."""
    x = fourier(network.synthesis.input, ws[:, 0])
    for layer, w in zip(network.synthesis.layers, ws[:, 1:].unbind(1), strict=True):
        x = synthesis_layer(layer, x, w)
    return x * 0.25


def fourier(module, w):
    """The waves of each sample, its canvas a loop over rows and columns."""
    height, width = module.size
    out = []
    for style in w:
        values = module.affine.weight @ style / math.sqrt(len(style)) + module.affine.bias
        cos, sin, right, down = values / math.hypot(values[0], values[1])
        rotate = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=w.dtype)
        move = torch.tensor([[1, 0, -right], [0, 1, -down], [0, 0, 1]], dtype=w.dtype)
        matrix = rotate @ move @ module.transform
        lengths = (module.frequencies @ matrix[:2, :2]).norm(dim=1)
        fade = (1 - (lengths - module.bandwidth) / (module.rate / 2 - module.bandwidth)).clamp(0, 1)
        canvas = w.new_zeros(len(module.phases), height, width)
        for i in range(height):
            for j in range(width):
                point = torch.tensor([j + 0.5 - width / 2, i + 0.5 - height / 2, module.rate], dtype=w.dtype)
                source = matrix @ (point / module.rate)
                waves = torch.sin(2 * math.pi * (module.frequencies @ source[:2] + module.phases))
                canvas[:, i, j] = waves * fade
        mixed = functional.conv2d(canvas[None], module.weight[:, :, None, None] / math.sqrt(len(module.weight)))
        out.append(mixed[0])
    return torch.stack(out)


def synthesis_layer(layer, x, w):
    """One layer of the network, given its module."""
    style = w @ layer.affine.weight.t() / math.sqrt(w.shape[1]) + layer.affine.bias
    colours = layer.plan.colours
    y = modulated_conv(x, layer.weight, style, layer.magnitude_ema, demodulate=not colours)
    return filtered_lrelu(
        y,
        layer.up_filter,
        layer.down_filter,
        bias=layer.bias,
        up=layer.plan.up,
        down=layer.plan.down,
        padding=layer.plan.padding,
        gain=1.0 if colours else math.sqrt(2),
        slope=1.0 if colours else 0.2,
        clamp=256.0,
    )


def modulated_conv(x, weight, style, magnitude, *, demodulate):
    """Weights of each sample by themselves, convolved with full padding."""
    fan_in = weight[0].numel()
    if not demodulate:
        style = style / math.sqrt(fan_in)
    out = []
    for sample, scale in zip(x, style, strict=True):
        own = weight
        if demodulate:
            own = own / own.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            scale = scale / scale.square().mean().sqrt()
        own = own * scale[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        out.append(functional.conv2d(sample[None], own / magnitude.sqrt(), padding=weight.shape[-1] - 1)[0])
    return torch.stack(out)


def filtered_lrelu(x, up_filter, down_filter, *, bias, up, down, padding, gain, slope, clamp):
    """Zero insertion, dense filter, leaky ReLU, clamp, dense filter, decimation; the arguments of the fast version."""
    y = x + bias[:, None, None]
    count, channels, height, width = y.shape
    zeros = y.new_zeros(count, channels, height * up, width * up)
    zeros[:, :, ::up, ::up] = y
    y = dense_filter(functional.pad(zeros, tuple(padding)), up_filter) * up**2
    y = functional.leaky_relu(y, slope) * gain
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return dense_filter(y, down_filter)[:, :, ::down, ::down]


def dense_filter(x, taps):
    """Convolution of every channel with a filter (rows, columns), or the outer product of (taps,), without padding."""
    if taps is None:
        return x
    kernel = (torch.outer(taps, taps) if taps.ndim == 1 else taps).flip(0, 1)
    return functional.conv2d(x, kernel.to(x).expand(x.shape[1], 1, *kernel.shape), groups=x.shape[1])
