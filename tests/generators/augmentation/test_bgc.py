import dataclasses
import math

import numpy as np
import pytest
import torch

from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import setup
from reidgen.generators.augmentation import ada, bgc
from reidgen.generators.training.style import StyleGANTraining

SIZE = (16, 8)


def pictures(count=4, size=SIZE, seed=0, dtype=torch.float32):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def plain(count=1, **changes):
    zero, one = torch.zeros(count, dtype=torch.float64), torch.ones(count, dtype=torch.float64)
    draws = dict.fromkeys(("before", "after", "brightness", "hue"), zero)
    draws |= dict.fromkeys(("scale", "stretch", "contrast", "saturation"), one)
    draws |= {"mirror": zero.bool(), "flip": zero.bool(), "quarters": zero.long()}
    draws |= {"whole": zero[:, None].repeat(1, 2), "shift": zero[:, None].repeat(1, 2)}
    changes = {
        name: torch.as_tensor(value).to(draws[name]).reshape(draws[name].shape) for name, value in changes.items()
    }
    return bgc.Draws(**{**draws, **changes})


def test_p_0_changes_nothing():
    images = pictures()
    assert ada.augment(images, 0.0, random(), pipe="bgc") is images
    assert ada.augment(images, 1.0, random(), pipe="none") is images
    assert torch.equal(bgc.apply(images, bgc.draw(4, SIZE, 0.0, random())), images)


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    images = pictures()
    one = ada.augment(images, 0.5, random(3), pipe="bgc")
    assert torch.equal(one, ada.augment(images, 0.5, random(3), pipe="bgc"))
    assert not torch.equal(one, ada.augment(images, 0.5, random(4), pipe="bgc"))
    assert not torch.equal(one, ada.augment(images, 0.5, random(3), pipe="person"))


def test_as_many_draws_whatever_p_is():
    ends = []
    for p in (0.0, 0.3, 1.0):
        generator = random()
        bgc.draw(5, SIZE, p, generator)
        ends.append(generator.get_state())
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_type_and_shape_stay():
    for dtype in (torch.float32, torch.float64):
        for size in ((16, 8), (16, 16)):
            images = pictures(size=size, dtype=dtype)
            for pipe in ("person", "bgc"):
                out = ada.augment(images, 1.0, random(), pipe=pipe)
                assert (out.shape, out.dtype, out.device) == (images.shape, images.dtype, images.device)
                assert torch.isfinite(out).all()


def test_the_published_distributions_at_p_1():
    draws = bgc.draw(40000, (64, 32), 1.0, random())
    normal = {
        "scale": (draws.scale.log2(), 0.2),
        "stretch": (draws.stretch.log2(), 0.2),
        "down": (draws.shift[:, 0], 8),
        "right": (draws.shift[:, 1], 4),
        "brightness": (draws.brightness, 0.2),
        "contrast": (draws.contrast.log2(), 0.5),
        "saturation": (draws.saturation.log2(), 1.0),
    }
    for name, (values, deviation) in normal.items():
        assert values.std().item() == pytest.approx(deviation, rel=0.02), name
        assert values.mean().item() == pytest.approx(0, abs=0.02 * deviation), name
        assert values.abs().max() > 3.5 * deviation, name
    for angle in (draws.before, draws.after, draws.hue):
        assert angle.abs().max().item() == pytest.approx(math.pi, rel=1e-3)
        assert angle.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.02)
    assert sorted(draws.whole[:, 0].unique().tolist()) == list(range(-8, 9))
    assert sorted(draws.whole[:, 1].unique().tolist()) == list(range(-4, 5))
    for half in (draws.mirror, draws.flip):
        assert half.double().mean().item() == pytest.approx(0.5, abs=0.01)
    assert np.bincount(draws.quarters) == pytest.approx(np.full(4, 10000), rel=0.04)


def test_shares_of_changed_samples():
    p = 0.36
    draws = bgc.draw(40000, SIZE, p, random())
    for name in ("scale", "stretch", "brightness", "contrast", "hue", "saturation"):
        assert (getattr(draws, name) != getattr(plain(), name)).double().mean().item() == pytest.approx(p, abs=0.01), (
            name
        )
    assert (draws.shift != 0).any(dim=1).double().mean().item() == pytest.approx(p, abs=0.01)
    assert draws.mirror.double().mean().item() == pytest.approx(p / 2, abs=0.01)
    assert (draws.quarters != 0).double().mean().item() == pytest.approx(p * 3 / 4, abs=0.01)
    once = (draws.before != 0).double(), (draws.after != 0).double()
    for turned in once:
        assert turned.mean().item() == pytest.approx(1 - math.sqrt(1 - p), abs=0.01)
    assert torch.maximum(*once).mean().item() == pytest.approx(p, abs=0.01)
    changed = torch.stack([draws.scale != 1, draws.contrast != 1], dim=1).double()
    assert changed.prod(dim=1).mean().item() == pytest.approx(p * p, abs=0.01), "each change has a coin of its own"


def test_mirror_and_quarter_turns_are_exact():
    images = pictures(8, (16, 16))
    quarters, mirror = [0, 1, 2, 3] * 2, [False] * 4 + [True] * 4
    out = bgc.apply(images, plain(8, quarters=quarters, mirror=mirror))
    for image, turned, count, mirrored in zip(images, out, quarters, mirror, strict=True):
        assert torch.equal(turned, torch.rot90(image.flip(2) if mirrored else image, count, (1, 2)))


def test_an_upright_image_lies_down_on_its_own_canvas():
    images = pictures(3, (16, 8))
    first, over, third = bgc.apply(images, plain(3, quarters=[1, 2, 3]))
    lying = np.rot90(images[0].numpy(), 1, (1, 2))  # 8 x 16: four rows too few at each end, four columns too many
    expected = np.pad(lying, ((0, 0), (4, 4), (0, 0)), mode="reflect")[:, :, 4:12]
    assert np.array_equal(first.numpy(), expected)
    assert torch.equal(over, images[1].flip(1, 2))
    assert torch.equal(third, bgc.apply(images[2:].flip(2, 3), plain(quarters=1))[0])


def test_whole_translation_is_exact():
    images = pictures(1)
    out = bgc.apply(images, plain(whole=[[2, -1]]))
    padded = torch.nn.functional.pad(images, (1, 1, 2, 2), mode="reflect")
    torch.testing.assert_close(out, padded[:, :, 0:16, 2:10], rtol=0, atol=1e-5)


def places(draws, place):
    return (bgc.geometry(draws)[0] @ torch.tensor([*place, 1.0], dtype=torch.float64))[:2].tolist()


def test_each_geometric_change_by_hand():
    """Where the pixel two below and one to the right of the middle goes."""
    place = (2.0, 1.0)
    assert places(plain(), place) == [2, 1]
    assert places(plain(whole=[[3, -1]]), place) == [5, 0]
    assert places(plain(shift=[[0.5, 0.25]]), place) == [2.5, 1.25]
    assert places(plain(scale=2), place) == [4, 2]
    assert places(plain(stretch=2), place) == [1, 2]
    assert places(plain(before=math.pi / 2), place) == pytest.approx([-1, 2])  # from the right to the top
    assert places(plain(after=math.pi / 2), place) == pytest.approx([-1, 2])


def test_the_order_of_the_geometric_changes():
    # (2, 1) -> shifted (3, 1) -> twice (6, 2) -> turned (-2, 6) -> stretched (-1, 12) -> turned (-12, -1) -> shifted
    draws = plain(whole=[[1, 0]], scale=2, before=math.pi / 2, stretch=2, after=math.pi / 2, shift=[[0.5, 0]])
    assert places(draws, (2.0, 1.0)) == pytest.approx([-11.5, -1])


def test_turning_the_picture_is_turning_by_quarters():
    y, x = (torch.arange(32, dtype=torch.float64) - 15.5 for _ in range(2))
    image = torch.sin(0.3 * y[:, None] + 0.2 * x).expand(1, 3, -1, -1)
    for turn in ({"before": math.pi / 2}, {"after": math.pi / 2}):
        error = bgc.apply(image, plain(**turn)) - torch.rot90(image, 1, (2, 3))
        assert error.abs().max() < 0.05


def test_resampled_and_left_alone_samples_keep_their_places():
    images = pictures(3)
    out = bgc.apply(images, plain(3, scale=[1.0, 1.5, 1.0], mirror=[False, False, True]))
    assert torch.equal(out[0], images[0])
    assert torch.equal(out[2], images[2].flip(2))
    torch.testing.assert_close(out[1:2], bgc.apply(images[1:2], plain(scale=1.5)))


def test_colour_matrices_by_hand():
    eye, third = torch.eye(3, dtype=torch.float64), torch.full((3, 3), 1 / 3, dtype=torch.float64)
    torch.testing.assert_close(bgc.colour(plain())[0], eye)
    torch.testing.assert_close(bgc.colour(plain(contrast=2))[0], 2 * eye)
    torch.testing.assert_close(bgc.colour(plain(saturation=0))[0], third)
    torch.testing.assert_close(bgc.colour(plain(saturation=2))[0], 2 * eye - third)
    torch.testing.assert_close(bgc.colour(plain(flip=True))[0], eye - 2 * third)
    cycle = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)  # red -> green -> blue -> red
    torch.testing.assert_close(bgc.colour(plain(hue=2 * math.pi / 3))[0], cycle)


def test_luma_flip_negates_the_luma_and_keeps_the_colours():
    images = pictures(1, dtype=torch.float64)
    out = bgc.apply(images, plain(flip=True))
    luma, flipped = images.mean(1, keepdim=True), out.mean(1, keepdim=True)
    torch.testing.assert_close(flipped, -luma)
    torch.testing.assert_close(out - flipped, images - luma)


def test_hue_and_saturation_keep_the_luma():
    images = pictures(1, dtype=torch.float64)
    for change in ({"hue": 1.1}, {"saturation": 3.0}):
        out = bgc.apply(images, plain(**change))
        torch.testing.assert_close(out.mean(1), images.mean(1))
        assert (out - images).abs().max() > 0.1
    turned = bgc.apply(images, plain(hue=1.1)) - images.mean(1, keepdim=True)
    torch.testing.assert_close(turned.norm(dim=1), (images - images.mean(1, keepdim=True)).norm(dim=1))


def test_brightness_comes_before_contrast():
    images = pictures(1, dtype=torch.float64)
    out = bgc.apply(images, plain(brightness=0.1, contrast=1.5, flip=True))
    luma = images.mean(1, keepdim=True)
    torch.testing.assert_close(out, 1.5 * (images - luma) - 1.5 * (luma + 0.1))


def test_gradients_of_gradients():
    draws = bgc.draw(3, (4, 4), 1.0, random(1))
    images = pictures(3, (4, 4), dtype=torch.float64).requires_grad_()

    def bent(x):
        return bgc.apply(x.tanh(), draws).square().sum(dim=(1, 2, 3))

    assert torch.autograd.gradcheck(bent, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(bent, images, fast_mode=True)


def test_inference_first_leaves_nothing_that_has_no_derivative():
    draws, images = bgc.draw(4, (20, 10), 1.0, random()), pictures(size=(20, 10))
    with torch.inference_mode():
        expected = bgc.apply(images, draws)
    images.requires_grad_()
    out = bgc.apply(images, draws)
    torch.testing.assert_close(out.detach(), expected.clone())
    (gradient,) = torch.autograd.grad(out.sum(), images)
    assert torch.isfinite(gradient).all()


def test_r1_through_the_pipe():
    """The penalty's gradient on a network's weights, against finite differences."""
    images = pictures(2, (8, 8), dtype=torch.float64)
    draws = bgc.draw(2, (8, 8), 1.0, random(2))
    weight = torch.randn(1, 3, 8, 8, generator=random(), dtype=torch.float64).requires_grad_()

    def penalty(weight):
        x = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((bgc.apply(x, draws) * weight).tanh().sum(), x, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, weight, fast_mode=True)


def test_a_training_uses_the_pipe_of_its_config(tiny, crops):
    store = CropStore.open(crops.train, size=(16, 8))
    logits = {}
    for pipe in ("none", "person", "bgc"):
        training = StyleGANTraining(
            dataclasses.replace(tiny, augment=pipe, r1_interval=2), setup("cpu"), store, ramp=True
        )
        training.ada_p = 1.0
        for _ in range(3):  # with two penalties
            training.advance()
        assert training.finite()
        logits[pipe] = training.figures()["d_real"]
    assert len(set(logits.values())) == 3


@pytest.mark.gpu
def test_on_a_gpu_the_same_images_and_the_same_derivative_each_time():
    images = pictures(8, (32, 16))
    draws = bgc.draw(8, (32, 16), 1.0, random())
    there = images.cuda().requires_grad_()
    torch.testing.assert_close(bgc.apply(there, draws).cpu(), bgc.apply(images, draws), rtol=0, atol=1e-3)
    weight = torch.randn(images.shape, device="cuda")
    derivatives = [torch.autograd.grad((bgc.apply(there, draws) * weight).sum(), there)[0] for _ in range(3)]
    assert torch.equal(derivatives[0], derivatives[1])
    assert torch.equal(derivatives[0], derivatives[2])
    here = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad((bgc.apply(here, draws) * weight.cpu()).sum(), here)
    torch.testing.assert_close(derivatives[0].cpu(), expected, rtol=0, atol=1e-2)
