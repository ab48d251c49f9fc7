"""The waves at StyleGAN3's input: their frequencies, their canvas, and how they are moved."""

import math

import pytest
import torch

from reidgen.models.stylegan.fourier import FourierInput, canvas_points, disc_frequencies, pose


def make(size=(12, 8), channels=6, rate=4, bandwidth=1.0):
    torch.manual_seed(0)
    return FourierInput(5, channels, size=size, rate=rate, bandwidth=bandwidth).double().requires_grad_(False)


def test_frequencies_fill_the_disc_evenly():
    torch.manual_seed(0)
    found = disc_frequencies(20_000)
    area = found.square().sum(1).sort().values
    assert area.max() <= 1
    torch.testing.assert_close(area, torch.linspace(0, 1, len(area)), atol=0.02, rtol=0)
    assert found.mean(0).abs().max() < 0.02


def test_a_pixel_is_the_same_length_on_both_axes():
    points = canvas_points((4, 2), rate=8)
    assert points.tolist() == [[x / 16, y / 16] for y in (-3, -1, 1, 3) for x in (-1, 1)]


def test_canvas_of_a_rectangle_is_the_middle_of_the_square_one():
    square, narrow = make(size=(12, 12)), make(size=(12, 8))
    w = torch.randn(2, 5, dtype=torch.float64)
    torch.testing.assert_close(square(w)[:, :, :, 2:-2], narrow(w))


def test_random_start_moves_nothing():
    field = make()
    waves = field(torch.randn(3, 5, dtype=torch.float64))
    torch.testing.assert_close(waves[0], waves[1])
    points = canvas_points(field.size, field.rate)
    expected = torch.sin(2 * math.pi * (points @ field.frequencies.t() + field.phases))
    expected = expected @ field.weight.t() / math.sqrt(6)
    torch.testing.assert_close(waves[0].flatten(1).t(), expected)


def test_learned_translation_shifts_the_canvas():
    field = make(size=(12, 12))
    before = field(torch.zeros(1, 5, dtype=torch.float64))
    field.affine.bias[2:] = torch.tensor([3 / field.rate, 1 / field.rate])
    after = field(torch.zeros(1, 5, dtype=torch.float64))
    torch.testing.assert_close(after[:, :, 1:, 3:], before[:, :, :-1, :-3])


def test_learned_rotation_turns_the_canvas_and_the_scale_of_its_vector_is_of_no_account():
    field = make(size=(12, 12))
    before = field(torch.zeros(1, 5, dtype=torch.float64))
    field.affine.bias[:] = torch.tensor([0.0, 3.0, 0.0, 0.0])
    torch.testing.assert_close(field(torch.zeros(1, 5, dtype=torch.float64)), before.rot90(1, (2, 3)))


def test_rotation_then_translation_and_the_user_outermost():
    parameters = torch.tensor([[0.0, 2.0, 6.0, 8.0]], dtype=torch.float64)
    point = torch.tensor([5.0, 7.0, 1.0], dtype=torch.float64)
    # back through the translation by (3, 4), then through the quarter turn (x, y) -> (-y, x)
    assert (pose(parameters)[0] @ point).tolist() == [-3.0, 2.0, 1.0]
    field = make(size=(12, 12))
    field.affine.bias[:] = parameters[0] / 8
    moved = field(torch.zeros(1, 5, dtype=torch.float64))
    field.transform[0, 2] = -1 / field.rate  # the user moves the image one sample to the right
    torch.testing.assert_close(field(torch.zeros(1, 5, dtype=torch.float64))[..., 1:], moved[..., :-1])


@pytest.mark.parametrize(("zoom", "amplitude"), [(0.5, 1.0), (1.0, 1.0), (1.5, 0.5), (2.0, 0.0), (4.0, 0.0)])
def test_waves_beyond_the_bandwidth_fade_until_half_the_sampling_rate(zoom, amplitude):
    field = make(channels=1)
    field.frequencies[:] = torch.tensor([[0.6, 0.8]])
    field.transform[:2, :2] *= zoom
    field.weight.fill_(1.0)
    wave = field(torch.zeros(1, 5, dtype=torch.float64)).flatten()
    points = canvas_points(field.size, field.rate)
    whole = torch.sin(2 * math.pi * (points @ (field.frequencies[0] * zoom) + field.phases[0]))
    torch.testing.assert_close(wave, whole * amplitude)
