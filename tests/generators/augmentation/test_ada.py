import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reidgen.generators.augmentation import ada

SIZE = (16, 8)


def pictures(count=4, size=SIZE, seed=0):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def plain(count, **changes):
    zero, one = torch.zeros(count, dtype=torch.float64), torch.ones(count, dtype=torch.float64)
    draws = {
        "scale": torch.ones(count, 2, dtype=torch.float64),
        "shift": torch.zeros(count, 2, dtype=torch.float64),
        "mirror": zero.bool(),
        "brightness": zero,
        "contrast": one,
        "saturation": one,
    }
    return ada.Draws(**{**draws, **changes})


def test_p_0_changes_nothing():
    images = pictures()
    assert ada.augment(images, 0.0, random()) is images
    nothing = ada.draw(4, SIZE, 0.0, random())
    torch.testing.assert_close(ada.apply(images, nothing), images, rtol=0, atol=1e-6)


def test_p_1_changes_each_sample_in_its_own_way():
    images = pictures(1).expand(6, -1, -1, -1)
    out = ada.augment(images, 1.0, random())
    for i in range(6):
        for j in range(i):
            assert (out[i] - out[j]).abs().max() > 0.05


def test_same_seed_same_bits():
    images = pictures()
    assert torch.equal(ada.augment(images, 0.5, random(3)), ada.augment(images, 0.5, random(3)))


def test_share_of_changed_samples_is_p():
    draws = ada.draw(20000, SIZE, 0.3, random())
    assert (draws.contrast != 1).double().mean().item() == pytest.approx(0.3, abs=0.015)
    assert (draws.brightness != 0).double().mean().item() == pytest.approx(0.3, abs=0.015)
    assert draws.mirror.double().mean().item() == pytest.approx(0.15, abs=0.015)
    assert draws.scale.min() > 0.49
    assert draws.scale.max() < 2.01


def test_mirror_is_exact():
    images = pictures(2)
    out = ada.apply(images, plain(2, mirror=torch.tensor([True, False])))
    torch.testing.assert_close(out[0], images[0].flip(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(out[1], images[1], rtol=0, atol=1e-6)


def test_whole_translation_is_exact_and_mirrors_the_border_in():
    images = pictures(1)
    out = ada.apply(images, plain(1, shift=torch.tensor([[2.0, -1.0]], dtype=torch.float64)))[0]
    torch.testing.assert_close(out[:, 2:, :-1], images[0][:, :-2, 1:], rtol=0, atol=1e-6)
    torch.testing.assert_close(out[:, 0, :-1], images[0][:, 1, 1:], rtol=0, atol=1e-6)
    torch.testing.assert_close(out[:, 1, :-1], images[0][:, 0, 1:], rtol=0, atol=1e-6)


def test_shrinking_is_anti_aliased_like_pillow():
    """Halving a row about its middle: inside, the same as Pillow's Lanczos resize."""
    size = 64
    row = np.random.default_rng(0).uniform(0, 1, size).astype(np.float32)
    matrix = ada.resampling_matrix(
        size, *(torch.tensor([v], dtype=torch.float64) for v in (0.5, 0.0)), torch.tensor([False])
    )
    small = matrix[0].numpy() @ row
    pillow = np.asarray(Image.fromarray(row[None].repeat(2, 0), "F").resize((size // 2, 2), Image.Resampling.LANCZOS))[
        0
    ]
    np.testing.assert_allclose(small[20:44], pillow[4:28], atol=1e-5)


@settings(max_examples=30)
@given(scale=st.floats(0.4, 2.5), shift=st.floats(-40, 40), mirror=st.booleans())
def test_a_flat_row_stays_flat(scale, shift, mirror):
    values = [torch.tensor([v], dtype=torch.float64) for v in (scale, shift)]
    matrix = ada.resampling_matrix(8, *values, torch.tensor([mirror]))
    torch.testing.assert_close(matrix.sum(2), torch.ones(1, 8), rtol=0, atol=1e-5)


def test_colour_matrices_by_hand():
    one = torch.ones(1, dtype=torch.float64)
    torch.testing.assert_close(ada.colour_matrix(one, one)[0], torch.eye(3))
    torch.testing.assert_close(ada.colour_matrix(2 * one, one)[0], 2 * torch.eye(3))
    torch.testing.assert_close(ada.colour_matrix(one, 0 * one)[0], torch.full((3, 3), 1 / 3))
    doubled = ada.colour_matrix(one, 2 * one)[0]
    torch.testing.assert_close(doubled @ torch.ones(3), torch.ones(3))
    torch.testing.assert_close(doubled @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([5 / 3, -1 / 3, -1 / 3]))


def test_colours_are_applied_before_brightness():
    images = pictures(1)
    draws = plain(
        1,
        contrast=torch.tensor([1.5], dtype=torch.float64),
        saturation=torch.tensor([0.5], dtype=torch.float64),
        brightness=torch.tensor([0.1], dtype=torch.float64),
    )
    grey = images.mean(dim=1, keepdim=True)
    torch.testing.assert_close(ada.apply(images, draws), 1.5 * (grey + 0.5 * (images - grey)) + 0.1, rtol=0, atol=1e-5)


def test_gradients_of_gradients():
    draws = ada.draw(2, (6, 4), 1.0, random())
    images = pictures(2, (6, 4)).requires_grad_()
    out = ada.apply(images, draws).tanh().sum()
    (gradient,) = torch.autograd.grad(out, images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert torch.isfinite(second).all()
    assert second.abs().max() > 0


def test_probability_by_hand():
    step = {"target": 0.6, "images": 128, "ada_kimg": 500}
    assert ada.next_probability(0.1, 0.9, **step) == pytest.approx(0.1 + 128 / 500_000)
    assert ada.next_probability(0.1, 0.2, **step) == pytest.approx(0.1 - 128 / 500_000)
    assert ada.next_probability(0.1, 0.6, **step) == 0.1
    assert ada.next_probability(0.0, -1.0, **step) == 0.0
    assert ada.next_probability(0.9999, 1.0, **step) == 1.0
