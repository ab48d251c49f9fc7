import numpy as np
import pytest
import torch
from torch.nn import functional

from reidgen.models.translation.blocks import channel_plan, halvings
from reidgen.models.translation.unet import UNet, draw_noise


def test_halvings_and_channels_by_hand():
    assert [halvings(size) for size in [(128, 64), (256, 128), (256, 256), (160, 64), (48, 20), (7, 8)]] == [
        6, 7, 8, 5, 2, 0,
    ]  # fmt: skip
    assert channel_plan(6, 64) == [64, 128, 256, 512, 512, 512]


@pytest.mark.parametrize(
    ("size", "channels"), [((32, 16), 3), ((16, 16), 5), ((128, 64), 4), ((96, 32), 3), ((8, 4), 3)]
)
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_any_canvas(size, channels, norm):
    torch.manual_seed(0)
    network = UNet(channels, size=size, width=2, norm=norm)
    image = network(torch.randn(2, channels, *size))
    assert image.shape == (2, 3, *size)
    assert image.abs().max() <= 1
    assert len(network.downs) == min(halvings(size), 8)
    one = network(torch.randn(1, channels, *size))  # a bottleneck of few pixels and one image are enough to train on
    assert torch.isfinite(one).all()


def test_the_layers_of_the_paper():
    """Encoder C64-C128-C256-C512 x 5; the decoder's channels with the skips: 512-1024-1024-1024-1024-512-256-128."""
    network = UNet(3, size=(256, 256))
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 512, 512, 512, 512]
    transposed = [m for m in network.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [m.in_channels for m in transposed] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert all(m.kernel_size == (4, 4) and m.stride == (2, 2) for m in convolutions + transposed)
    assert network.noise_shapes == [(512, 2, 2), (512, 4, 4), (512, 8, 8)]
    assert UNet(3, size=(128, 64), width=4).noise_shapes == [(32, 4, 2), (32, 8, 4)], "the widest maps alone"
    kinds = [type(m).__name__ for m in network.downs[1]]
    assert kinds == ["LeakyReLU", "Conv2d", "BatchNorm2d"]
    assert [type(m).__name__ for m in network.downs[7]] == ["LeakyReLU", "Conv2d"]
    weights = sum(4 * 4 * m.in_channels * m.out_channels for m in convolutions + transposed)
    biases, scales = 64 + 512 + 3, 2 * (128 + 256 + 512 * 4) + 2 * (512 * 4 + 256 + 128 + 64)
    assert sum(p.numel() for p in network.parameters()) == weights + biases + scales
    std = torch.cat([p.flatten() for name, p in network.named_parameters() if p.ndim == 4]).std().item()
    assert std == pytest.approx(0.02, rel=1e-2)


def slow_convolution(x, weight, bias=None):
    """A 4x4 convolution of stride 2 and padding 1, pixel by pixel."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), x.shape[1] // 2, x.shape[2] // 2))
    for o in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[o, i, j] = (padded[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * weight[o]).sum()
    return out if bias is None else out + bias[:, None, None]


def slow_doubling(x, weight, bias=None):
    """Its transpose: each pixel lays down a 4x4 stamp, two pixels apart, the border cut off by one."""
    out = np.zeros((weight.shape[1], 2 * x.shape[1] + 2, 2 * x.shape[2] + 2))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            out[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("c,cokl->okl", x[:, i, j], weight)
    out = out[:, 1:-1, 1:-1]
    return out if bias is None else out + bias[:, None, None]


def slow_norm(x, layer):
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    scale, shift = layer.weight.numpy()[:, None, None], layer.bias.numpy()[:, None, None]
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_three_halvings_against_loops(norm):
    """One image: batch and instance normalisation are the same numbers."""
    torch.manual_seed(0)
    network = UNet(4, size=(16, 8), width=2, norm=norm).double().requires_grad_(False)
    for layer in network.modules():  # numbers of order one, so that every term counts
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.weight.normal_()
            if layer.bias is not None:
                layer.bias.normal_()
    seen = torch.randn(1, 4, 16, 8, dtype=torch.float64)
    noise = draw_noise(network.noise_shapes, [torch.Generator().manual_seed(3)])
    image = network(seen, noise)

    def weights(layer):
        return layer.weight.numpy(), None if layer.bias is None else layer.bias.numpy()

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    first = slow_convolution(seen[0].numpy(), *weights(network.downs[0]))
    second = slow_norm(slow_convolution(leaky(first), *weights(network.downs[1][1])), network.downs[1][2])
    inner = slow_convolution(leaky(second), *weights(network.downs[2][1]))
    up = slow_norm(slow_doubling(np.maximum(inner, 0), *weights(network.ups[0][1])), network.ups[0][2])
    assert network.noise_shapes == [], "with three halvings no decoder map has the widest channels"
    both = np.maximum(np.concatenate([up, second]), 0)
    up = slow_norm(slow_doubling(both, *weights(network.ups[1][1])), network.ups[1][2])
    both = np.maximum(np.concatenate([up, first]), 0)
    by_hand = np.tanh(slow_doubling(both, *weights(network.last[1])))
    np.testing.assert_allclose(image[0].numpy(), by_hand.astype(np.float32), rtol=0, atol=1e-6)


def test_noise_is_half_of_the_inner_maps_doubled():
    torch.manual_seed(0)
    network = UNet(3, size=(128, 64), width=2, norm="instance").double()
    seen = torch.randn(2, 3, 128, 64, dtype=torch.float64)
    maps = []
    network.ups[0].register_forward_hook(lambda _, __, out: maps.append(out))
    network.ups[1].register_forward_pre_hook(lambda _, given: maps.append(given[0]))
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    noise = draw_noise(network.noise_shapes, generators)
    network(seen, noise)
    before, after = maps
    expected = torch.where(noise[0], 2 * before, 0)
    torch.testing.assert_close(after[:, : before.shape[1]], expected, rtol=0, atol=0)
    share = torch.cat([kept.flatten() for kept in draw_noise([(512, 8, 8)], generators)]).double().mean()
    assert abs(share - 0.5) < 6 * 0.5 / 65536**0.5


def test_noise_of_an_image_does_not_depend_on_the_others():
    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    shapes = [(4, 4, 2), (2, 8, 4)]
    both, alone = draw_noise(shapes, generators(7, 8)), draw_noise(shapes, generators(8))
    assert all(torch.equal(many[1:], one) for many, one in zip(both, alone, strict=True))
    assert not torch.equal(both[0][0], both[0][1])


def test_the_condition_reaches_every_pixel():
    torch.manual_seed(0)
    network = UNet(4, size=(32, 16), width=8).eval()
    seen = torch.randn(1, 4, 32, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(network(seen)[0, 0, 0, 0], seen)
    assert (slope[0] != 0).any(dim=(1, 2)).all()
    assert (slope[0, :, 16:, 8:] != 0).any(), "through the bottleneck the far corner counts too"
    assert functional.l1_loss(network(seen), network(seen)).item() == 0, "without noise it is one function"
