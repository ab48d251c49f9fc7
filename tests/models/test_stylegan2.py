"""StyleGAN2's networks against the reference's numbers and against slow, obvious versions of their layers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from reidgen.models import layers
from reidgen.models.stylegan import upstream_names
from reidgen.models.stylegan.discriminator import append_minibatch_std
from reidgen.models.stylegan.mapping import Mapping
from reidgen.models.stylegan.precision import use_half
from reidgen.models.stylegan2 import Discriminator, Generator, StyleLayer, layer_heights

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    numbers = {name: tensors.pop(name) for name in list(tensors) if name.startswith("_")}
    return tensors, numbers


def relative_error(ours, reference):
    return ((ours - reference).abs().max() / reference.std()).item()


def test_generator_agrees_with_the_reference():
    weights, numbers = golden("stylegan2_g_32")
    renamed, unknown = upstream_names.stylegan2_generator(weights)
    assert unknown == []
    network = Generator(32, 32, size=(32, 32), channel_base=512, channel_max=32, mapping_layers=2)
    network.load_state_dict(renamed, strict=True)
    with torch.no_grad():
        ws = network.styles(numbers["_in.z"])
        image = network.synthesis(ws)
    assert relative_error(ws, numbers["_out.w"]) < 1e-4
    assert relative_error(image, numbers["_out.img"]) < 1e-4


def test_discriminator_agrees_with_the_reference():
    weights, numbers = golden("stylegan2_d_32")
    renamed, unknown = upstream_names.stylegan2_discriminator(weights)
    assert unknown == []
    network = Discriminator((32, 32), channel_base=512, channel_max=32, mbstd_group=4)
    network.load_state_dict(renamed, strict=True)
    with torch.no_grad():
        logits = network(numbers["_in.img"])
    assert relative_error(logits, numbers["_out.logits"]) < 1e-4


def test_names_that_are_no_part_of_the_network_are_told():
    renamed, unknown = upstream_names.stylegan2_generator(
        {"mapping.embed.weight": torch.zeros(1), "mapping.w_avg": torch.zeros(2)}
    )
    assert list(renamed) == ["mapping.w_avg"]
    assert unknown == ["mapping.embed.weight"]


@pytest.mark.parametrize("size", [(16, 8), (32, 32), (64, 32)])
def test_rectangles(size):
    height, width = size
    generator = Generator(8, 8, size=size, channel_base=64, channel_max=8)
    discriminator = Discriminator(size, channel_base=64, channel_max=8)
    images = generator(torch.randn(2, 8))
    assert images.shape == (2, 3, height, width)
    assert discriminator(images).shape == (2, 1)
    assert generator.synthesis.const.shape == (8, 4, 4 * width // height)
    assert generator.synthesis.noise_shapes[-1] == size


def test_layers_at_height_128_are_those_of_the_paper():
    assert len(layer_heights((128, 64))) == 12
    assert layer_heights((128, 64)) == [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 128]


def test_w_reaches_the_layers_that_are_named_after_it():
    network = Generator(8, 8, size=(16, 8), channel_base=64, channel_max=8)
    w = torch.randn(1, network.num_ws, 8)
    with torch.no_grad():
        for module in network.modules():  # without bias, so that no style can be without effect
            if isinstance(module, layers.EqualLinear):
                module.bias += 0.5
        seen = []
        heights = {}
        for height, block in network.synthesis.blocks.items():
            for name, part in block.named_children():
                part.conv.affine.register_forward_pre_hook(
                    lambda _, x, key=f"{height}.{name}": seen.append((key, x[0]))
                )
        network.synthesis(w)
        for key, style in seen:
            heights[key] = next(i for i in range(network.num_ws) if torch.equal(style, w[:, i]))
    assert heights == {
        "4.plain": 0,
        "4.to_rgb": 1,
        "8.up": 1,
        "8.plain": 2,
        "8.to_rgb": 3,
        "16.up": 3,
        "16.plain": 4,
        "16.to_rgb": 5,
    }


def slow_modulated_conv(x, style, weight, *, up):
    """One set of weights a sample, demodulated, and the filter as a loop: Karras et al. 2020, equations 1 to 3."""
    out = []
    for sample, scale in zip(x, style, strict=True):
        own = weight * scale[None, :, None, None]
        own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            _, height, width = sample.shape
            zeros = sample.new_zeros(sample.shape[0], 2 * height - 1, 2 * width - 1)
            zeros[:, ::2, ::2] = sample
            spread = functional.conv2d(functional.pad(zeros[None], (2, 2, 2, 2)), own.flip(2, 3))
            out.append(4 * slow_fir(functional.pad(spread, (1, 1, 1, 1)))[0])
        else:
            out.append(functional.conv2d(sample[None], own, padding=1)[0])
    return torch.stack(out)


def slow_fir(x):
    """The outer product of [1,3,3,1]/8 with itself, one tap after the other."""
    taps = [1 / 8, 3 / 8, 3 / 8, 1 / 8]
    height, width = x.shape[2] - 3, x.shape[3] - 3
    return sum(a * b * x[:, :, i : i + height, j : j + width] for i, a in enumerate(taps) for j, b in enumerate(taps))


@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_and_its_gradients(up):
    torch.manual_seed(0)
    conv = layers.ModulatedConv(5, 4, 3, 6, up=up).double()
    x = torch.randn(3, 5, 6, 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    fast = conv(x, w)
    slow = slow_modulated_conv(x, conv.affine(w), conv.weight, up=up)
    torch.testing.assert_close(fast, slow, rtol=1e-7, atol=1e-9)
    direction = torch.randn_like(slow)
    inputs = (x, w, conv.weight, conv.affine.weight)
    gradients = (torch.autograd.grad(y, inputs, direction) for y in (fast, slow))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_resampling_filters():
    x = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    spread = x.new_zeros(2, 3, 12, 8)
    spread[:, :, ::2, ::2] = x
    torch.testing.assert_close(layers.upsample(x), 4 * slow_fir(functional.pad(spread, (2, 1, 2, 1))))
    torch.testing.assert_close(layers.downsample(x), slow_fir(functional.pad(x, (1, 1, 1, 1)))[:, :, ::2, ::2])
    torch.testing.assert_close(layers.blur(x, padding=2), slow_fir(functional.pad(x, (2, 2, 2, 2))))


def test_upsampling_keeps_a_flat_picture_flat_inside():
    flat = layers.upsample(torch.full((1, 3, 8, 8), 0.5))
    torch.testing.assert_close(flat[:, :, 1:-1, 1:-1], torch.full((1, 3, 14, 14), 0.5))


def test_strided_convolution_with_equalised_weights():
    torch.manual_seed(0)
    conv = layers.EqualConv(3, 4, 3, stride=2).double()
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    plain = functional.conv2d(slow_fir(functional.pad(x, (2, 2, 2, 2))), conv.weight / 27**0.5, conv.bias, stride=2)
    torch.testing.assert_close(conv(x), functional.leaky_relu(plain, 0.2) * 2**0.5)


def test_minibatch_statistic():
    x = torch.randn(8, 3, 2, 2, dtype=torch.float64)
    out = append_minibatch_std(x, group=4)
    assert out.shape == (8, 4, 2, 2)
    torch.testing.assert_close(out[:, :3], x)
    for i in range(8):
        group = x[[j for j in range(8) if j % 2 == i % 2]].flatten(1)
        expected = (((group - group.mean(0)) ** 2).mean(0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[i, 3], expected.expand(2, 2))


def test_minibatch_statistic_takes_the_largest_group_that_divides_the_batch():
    x = torch.randn(6, 2, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(append_minibatch_std(x, group=4), append_minibatch_std(x, group=3))


def test_gradients_of_gradients():
    """R1 and path length differentiate a gradient; gradgradcheck compares with finite differences."""
    torch.manual_seed(0)
    discriminator = Discriminator((8, 4), channel_base=16, channel_max=2).double()
    images = torch.randn(2, 3, 8, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(discriminator, (images,), atol=1e-4)
    generator = Generator(2, 2, size=(8, 4), channel_base=16, channel_max=2).double()
    ws = torch.randn(1, generator.num_ws, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(generator.synthesis, (ws,), atol=1e-4)


def test_mapping_truncates_towards_the_tracked_mean():
    mapping = Mapping(4, 4, layers=2)
    w = mapping(torch.randn(16, 4))
    mapping.track(w)
    torch.testing.assert_close(mapping.w_avg, 0.002 * w.mean(0))
    torch.testing.assert_close(mapping.truncate(w, 0.0), mapping.w_avg.expand(16, 4))
    torch.testing.assert_close(mapping.truncate(w, 0.7), mapping.w_avg + 0.7 * (w - mapping.w_avg))
    assert mapping.truncate(w, 1.0) is w


def test_noise_of_a_sample_moves_only_that_sample():
    torch.manual_seed(0)
    network = Generator(8, 8, size=(16, 8), channel_base=64, channel_max=8)
    for block in network.synthesis.blocks.values():
        torch.nn.init.constant_(block.plain.noise_strength, 0.5)
    ws = network.styles(torch.randn(2, 8))
    noise = [torch.randn(2, *shape) for shape in network.synthesis.noise_shapes]
    other = [torch.cat([field[:1], torch.randn(1, *field.shape[1:])]) for field in noise]
    with torch.no_grad():
        before, after = network.synthesis(ws, noise), network.synthesis(ws, other)
    torch.testing.assert_close(before[0], after[0])
    assert (before[1] - after[1]).abs().max() > 0.01


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)])
def test_half_precision_stays_near_float32(dtype, error):
    torch.manual_seed(0)
    network = Generator(16, 16, size=(64, 32), channel_base=512, channel_max=16)
    discriminator = Discriminator((64, 32), channel_base=512, channel_max=16)
    z = torch.randn(4, 16)
    exact = network(z)
    exact_logits = discriminator(exact)
    use_half(network, dtype)
    use_half(discriminator, dtype)
    rough = network(z)
    logits = discriminator(exact.detach())
    assert rough.dtype == logits.dtype == torch.float32
    assert (rough - exact).std() < error * exact.std()
    assert (logits - exact_logits).abs().max() < 3 * error * exact_logits.abs().max()
    assert torch.equal(rough, network(z))
    use_half(network, None)
    assert torch.equal(network(z), exact)


def test_the_four_highest_resolutions_are_halved():
    network, discriminator = Generator(4, 4, size=(64, 32), channel_max=4), Discriminator((64, 32), channel_max=4)
    halved = {name for name, part in network.named_modules() if part in network.half_layers()}
    assert {name.split(".")[2] for name in halved} == {"8", "16", "32", "64"}
    assert len(halved) == 4 * 3
    halved = {name for name, part in discriminator.named_modules() if part in discriminator.half_layers()}
    assert halved == {"from_rgb", *(f"blocks.{h}.{n}" for h in (64, 32, 16, 8) for n in ("conv0", "conv1", "skip"))}


def test_a_halved_layer_clamps_and_does_not_overflow():
    """Inputs at the clamp and styles of 1e4 would overflow float16 without the bound on weights and styles."""
    torch.manual_seed(0)
    layer = StyleLayer(64, 8, 4, (8, 4))
    x, w = torch.full((2, 64, 8, 4), 256.0), 1e4 * torch.randn(2, 4)
    layer.conv.weight.data.abs_()
    layer.half_dtype = torch.float16
    y = layer(x, w, None)
    assert y.dtype == torch.float16
    assert y.isfinite().all()
    assert y.max() == 256
    calm = torch.randn(2, 64, 8, 4)
    rough = layer(calm, w, None).float()
    layer.half_dtype = None
    torch.testing.assert_close(rough, layer(calm, w, None), rtol=0.02, atol=0.02)
