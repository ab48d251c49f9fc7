"""StyleGAN3's generator against the reference's numbers, a plain version of its layers, and its equivariance."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from reidgen.config import StyleGANConfig
from reidgen.errors import ConfigError
from reidgen.generators.weights import build_generator
from reidgen.models.stylegan import upstream_names
from reidgen.models.stylegan.precision import use_half
from reidgen.models.stylegan.schedule import layer_bands, schedule
from reidgen.models.stylegan3 import Generator, SynthesisLayer
from tests.models import reference_stylegan3

GOLDEN = Path(__file__).parents[1] / "golden"
NETWORKS = {  # file: configuration, height, channel base, channel max
    "stylegan3_t_32": ("t", 32, 512, 16),
    "stylegan3_r_32": ("r", 32, 1024, 32),
    "stylegan3_r_64": ("r", 64, 1024, 16),
}


def golden(name):
    config, height, base, most = NETWORKS[name]
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    numbers = {key: tensors.pop(key) for key in list(tensors) if key.startswith("_")}
    renamed, unknown = upstream_names.stylegan3_generator(tensors)
    assert unknown == []
    network = Generator(
        32, 32, size=(height, height), config=config, channel_base=base, channel_max=most, mapping_layers=2
    )
    network.load_state_dict(renamed, strict=True)
    return network.eval(), numbers, tensors


def tiny(config, size=(16, 16), channels=2, **options):
    torch.manual_seed(0)
    network = Generator(
        4, 4, size=size, config=config, channel_base=channels * size[0], channel_max=channels, **options
    )
    return network.eval().requires_grad_(False)


def settle(network, ws):
    """Magnitudes as a training leaves them: every layer's input has unit size."""
    handles = [layer.register_forward_pre_hook(_measure) for layer in network.synthesis.layers]
    network.synthesis(ws)
    for handle in handles:
        handle.remove()


def _measure(layer, inputs):
    layer.magnitude_ema.copy_(inputs[0].square().mean())


def relative_error(ours, reference):
    return ((ours - reference).abs().max() / reference.std()).item()


@pytest.mark.parametrize("name", NETWORKS)
def test_agrees_with_the_reference(name):
    network, numbers, _ = golden(name)
    with torch.no_grad():
        assert relative_error(network.styles(numbers["_in.z"]), numbers["_out.w"]) < 1e-5
        assert relative_error(network.styles(numbers["_in.z"], psi=0.7), numbers["_out.w_psi0.7"]) < 1e-5
        assert relative_error(network(numbers["_in.z"]), numbers["_out.img"]) < 5e-5
        exact = network.double().synthesis(numbers["_out.w"].double())
    assert relative_error(numbers["_out.img"].double(), exact) < 5e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_filters_are_those_of_the_reference(name):
    network, _, tensors = golden(name)
    ours = {
        f"{i}.{kind}": getattr(layer, kind)
        for i, layer in enumerate(network.synthesis.layers)
        for kind in ("up_filter", "down_filter")
        if getattr(layer, kind) is not None
    }
    theirs = {
        f"{key.split('.')[1].split('_')[0][1:]}.{key.rsplit('.', 1)[1]}": value
        for key, value in tensors.items()
        if key.endswith("_filter")
    }
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_schedule_is_that_of_the_reference(name):
    config, height, base, most = NETWORKS[name]
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["info"])
    plans = schedule((height, height), config=config, channel_base=base, channel_max=most)
    assert facts["num_ws"] == len(plans) + 1
    for plan, fact in zip(plans, facts["layers"], strict=True):
        for band, side in ((plan.before, "in"), (plan.after, "out")):
            assert [band.size[1], band.size[0]] == fact[f"{side}_size"]
            assert band.channels == fact[f"{side}_channels"]
            assert band.rate == fact[f"{side}_sampling_rate"]
            assert band.cutoff == pytest.approx(fact[f"{side}_cutoff"], abs=1e-12)
        assert (plan.up, plan.down, list(plan.padding)) == (fact["up_factor"], fact["down_factor"], fact["padding"])


TABLE = {  # height: (rate, map, layers), channels of configuration R
    64: ([(16, 36, 4), (32, 52, 4), (64, 84, 5), (64, 64, 2)], [1024] * 14),
    128: (
        [(16, 36, 3), (32, 52, 3), (64, 84, 3), (128, 148, 4), (128, 128, 2)],
        [1024] * 10 + [912, 683, 512, 512],
    ),
    256: (
        [(16, 36, 3), (32, 52, 2), (64, 84, 2), (128, 148, 3), (256, 276, 3), (256, 256, 2)],
        [1024] * 9 + [724, 512, 362, 256, 256],
    ),
    512: (
        [(16, 36, 2), (32, 52, 2), (64, 84, 2), (128, 148, 2), (256, 276, 2), (512, 532, 3), (512, 512, 2)],
        [1024] * 7 + [967, 645, 431, 287, 192, 128, 128],
    ),
}


@pytest.mark.parametrize("height", TABLE)
def test_full_width_schedule(height):
    bands = layer_bands((height, height), channel_base=65536, channel_max=1024)
    spans, channels = TABLE[height]
    assert [(b.rate, b.size[0]) for b in bands] == [(rate, size) for rate, size, count in spans for _ in range(count)]
    assert [b.channels for b in bands] == [*channels, 3]


def test_bands_at_height_128():
    bands = layer_bands((128, 128), channel_base=65536, channel_max=1024)
    expected = {0: (2.0, 6.0), 3: (4.757, 11.243), 6: (11.314, 20.686), 9: (26.909, 37.091)}
    expected |= dict.fromkeys((12, 13, 14), (64.0, 14.793))
    for i, (cutoff, half_width) in expected.items():
        assert (bands[i].cutoff, bands[i].half_width) == pytest.approx((cutoff, half_width), abs=5e-4)


@pytest.mark.parametrize("height", [16, 32, 64, 128, 256, 512, 1024])
def test_half_the_width_has_half_the_samples_and_the_same_margins(height):
    square = schedule((height, height), config="t", channel_base=4096, channel_max=32)
    narrow = schedule((height, height // 2), config="t", channel_base=4096, channel_max=32)
    for wide, half in zip(square, narrow, strict=True):
        assert half.after.size[0] == wide.after.size[0]
        assert wide.after.size[1] - half.after.size[1] == wide.after.rate // 2
        assert half.padding == wide.padding
        assert (half.after.cutoff, half.after.channels) == (wide.after.cutoff, wide.after.channels)


def test_convolutions_leave_out_what_a_negative_padding_would_crop():
    plans = schedule((128, 64), config="t", channel_base=4096, channel_max=32)
    assert {i: plan.crop for i, plan in enumerate(plans) if any(plan.crop)} == {
        3: (1, 2, 1, 2),
        6: (1, 2, 1, 2),
        9: (1, 2, 1, 2),
        13: (5, 6, 5, 6),
    }
    assert plans[13].padding == (-11, -12, -11, -12)
    assert plans[13].padding_after_crop == (-1, 0, -1, 0)


def test_styles_act_at_the_rate_of_their_layer():
    network = tiny("r", size=(128, 64))
    assert network.layer_rates == (*[16] * 4, *[32] * 3, *[64] * 3, *[128] * 6)
    assert network.num_ws == 16
    assert network.synthesis.noise_shapes == []


def test_published_widths():
    config = StyleGANConfig(network="stylegan3-r", size=(32, 16), channel_base=512, channel_max=16, w_dim=8, z_dim=8)
    doubled, plain = (
        build_generator(config),
        build_generator(StyleGANConfig(**{**vars(config), "network": "stylegan3-t"})),
    )
    assert doubled.synthesis.layers[0].weight.shape == (32, 32, 1, 1)
    assert plain.synthesis.layers[0].weight.shape == (16, 16, 3, 3)
    assert doubled.synthesis.layers[13].weight.shape == (32, 32, 1, 1)


@pytest.mark.parametrize(("config", "size", "layers"), [("t", (32, 16), 14), ("r", (16, 8), 14), ("r", (32, 16), 5)])
def test_equals_the_definition(config, size, layers):
    network = tiny(config, size=size, channels=3, layers=layers).double()
    assert len(network.synthesis.layers) == layers + 1
    network.synthesis.input.affine.weight.normal_()
    network.synthesis.input.transform[:2, 2] = torch.tensor([0.1, -0.2])
    for layer in network.synthesis.layers:
        layer.bias.normal_()
        layer.magnitude_ema.uniform_(0.5, 2)
    ws = torch.randn(2, network.num_ws, 4, dtype=torch.float64)
    assert relative_error(network.synthesis(ws), reference_stylegan3.image(network, ws)) < 1e-7


@pytest.mark.parametrize("config", ["t", "r"])
def test_gradients_equal_those_of_the_definition(config):
    network = tiny(config, size=(16, 8)).double().requires_grad_(True)
    ws = torch.randn(2, network.num_ws, 4, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(2, 3, 16, 8, dtype=torch.float64)
    inputs = [
        ws,
        *(layer.weight for layer in network.synthesis.layers),
        *(layer.bias for layer in network.synthesis.layers),
    ]
    ours = torch.autograd.grad(network.synthesis(ws), inputs, direction)
    theirs = torch.autograd.grad(plain_layers(network, ws), inputs, direction)
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-8 * expected.abs().max().item())


def plain_layers(network, ws):
    x = network.synthesis.input(ws[:, 0])
    for layer, w in zip(network.synthesis.layers, ws[:, 1:].unbind(1), strict=True):
        x = reference_stylegan3.synthesis_layer(layer, x, w)
    return x * 0.25


@pytest.mark.parametrize("config", ["t", "r"])
def test_gradients_of_gradients(config):
    """Path lengths differentiate a gradient; compared with finite differences."""
    network = tiny(config, size=(16, 8)).double().requires_grad_(True)
    ws = torch.randn(1, network.num_ws, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network.synthesis, (ws,), atol=1e-4, fast_mode=True)
    assert torch.autograd.gradgradcheck(network.synthesis, (ws,), atol=1e-4, fast_mode=True)


@pytest.mark.parametrize("config", ["t", "r"])
def test_middle_of_the_rectangle_is_the_window_of_the_square(config):
    square, narrow = tiny(config, size=(64, 64), channels=4), tiny(config, size=(64, 32), channels=4)
    ws = square.spread(torch.randn(2, 4))
    settle(square, ws)
    narrow.load_state_dict(square.state_dict(), strict=True)
    window, image = square.synthesis(ws)[..., 16:48], narrow.synthesis(ws)
    scale = (window - window.mean((2, 3), keepdim=True)).square().mean().sqrt()
    far = (image - window).square().mean((0, 1, 2)).sqrt() / scale
    assert far.max() < 0.05  # even the outermost column
    assert far[12:20].max() < 5e-3
    assert far.max() > 1e-7  # the comparison is not of a thing with itself


@pytest.mark.parametrize("config", ["t", "r"])
def test_translation_of_the_canvas_moves_the_image(config):
    """As EQ-T of Karras et al. 2021, section 2.2, in the image instead of over a data set."""
    network, ws = random_image(config)
    before = network.synthesis(ws)
    network.synthesis.input.transform[0, 2] = -4 / 64
    after = network.synthesis(ws)
    exact, beside = decibel(after[..., 4:], before[..., :-4]), decibel(after[..., 3:], before[..., :-3])
    assert exact > 55
    assert exact - beside > 20


@pytest.mark.parametrize(("config", "least", "most"), [("r", 100, 200), ("t", -10, 30)])
def test_rotation_of_the_canvas_turns_the_image_of_r_alone(config, least, most):
    network, ws = random_image(config)
    before = network.synthesis(ws)
    network.synthesis.input.transform[:2, :2] = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert least < decibel(network.synthesis(ws), before.rot90(-1, (2, 3))) < most


def random_image(config):
    network = tiny(config, size=(64, 64), channels=8)
    ws = network.spread(torch.randn(2, 4))
    settle(network, ws)
    return network, ws


def decibel(image, target):
    """Peak signal-to-noise ratio, the peak as wide as that of images between -1 and 1 of deviation 0.5."""
    return (10 * torch.log10((4 * target.std()).square() / (image - target).square().mean())).item()


def test_an_image_does_not_depend_on_its_batch():
    network = tiny("t", size=(32, 16), channels=8)
    ws = torch.randn(3, network.num_ws, 4)
    together, alone = network.synthesis(ws), network.synthesis(ws[1:2])
    assert relative_error(together[1:2], alone) < 1e-5


def test_magnitudes_follow_the_batch_in_training_only():
    network = tiny("t", size=(16, 8))
    layer = network.synthesis.layers[0]
    x, w = torch.randn(5, 2, 36, 28) * 3, torch.randn(5, 4)
    layer(x, w)
    assert layer.magnitude_ema == 1
    layer.train()(x, w)
    kept = 0.5 ** (5 / 20_000)
    torch.testing.assert_close(layer.magnitude_ema, kept + (1 - kept) * x.square().mean())
    with torch.random.fork_rng():
        layer.magnitude_ema.fill_(9.0)
        scaled = layer.eval()(x, w)
    layer.magnitude_ema.fill_(1.0)
    torch.testing.assert_close(scaled, layer(x / 3, w))


def test_state_dict_round_trip_holds_no_filter():
    network = tiny("r", size=(32, 16))
    other = Generator(4, 4, size=(32, 16), config="r", channel_base=64, channel_max=2).eval()
    other.load_state_dict(copy.deepcopy(network.state_dict()), strict=True)
    ws = torch.randn(1, network.num_ws, 4)
    with torch.no_grad():
        assert torch.equal(network.synthesis(ws), other.synthesis(ws))
    assert not any("filter" in name for name in network.state_dict())


@pytest.mark.parametrize("config", ["t", "r"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_float32(config, dtype):
    network = tiny(config, size=(32, 16), channels=16)
    ws = torch.randn(2, network.num_ws, 4)
    settle(network, ws)
    exact = network.synthesis(ws)
    use_half(network, dtype)
    seen = []
    for layer in network.synthesis.layers:
        layer.register_forward_hook(lambda layer, _, y: seen.append((layer.plan.after.rate, y.dtype)))
    rough = network.synthesis(ws)
    assert rough.dtype == torch.float32
    assert all(found == dtype for _, found in seen)  # at height 32 all rates are among the four highest resolutions
    assert (rough - exact).std() < (0.05 if dtype == torch.bfloat16 else 0.01) * exact.std()
    use_half(network, None)
    assert torch.equal(network.synthesis(ws), exact)


def test_half_precision_is_for_the_four_highest_resolutions():
    halves = tiny("t", size=(512, 256)).half_layers()
    assert [layer.plan.after.rate for layer in halves] == [64, 64, 128, 128, 256, 256, *[512] * 5]
    assert all(isinstance(layer, SynthesisLayer) for layer in halves)


def test_activations_are_clamped():
    network = tiny("t", size=(16, 8))
    layer = network.synthesis.layers[-1]
    layer.bias.fill_(1e4)
    assert layer(torch.zeros(1, 2, 16, 8), torch.zeros(1, 4)).max() == 256


@pytest.mark.parametrize(("network", "layers"), [("stylegan2", 8), ("stylegan3-r", 2)])
def test_depths_that_cannot_be(network, layers):
    with pytest.raises(ConfigError, match=f"layers does not fit {network}"):
        StyleGANConfig(network=network, layers=layers)
