import math

import numpy as np
import pytest
import torch

from reidgen.generators.augmentation import affine as module
from reidgen.generators.augmentation.affine import (
    SYM6,
    affine,
    downsampling,
    fold,
    margin,
    sample_and_adjoint,
    spread,
    upsampling,
)


def pictures(count=2, size=(16, 8), seed=0, dtype=torch.float64):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def smooth(size, count=1):
    """Pictures without detail near the pixel's size, on which resampling must be nearly exact."""
    y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in size)
    channels = [torch.sin(0.35 * y[:, None] + 0.2 * x + phase) for phase in (0.0, 0.7, 1.9)]
    return torch.stack(channels).repeat(count, 1, 1, 1)


def transform(*rows):
    return torch.tensor(rows, dtype=torch.float64)[None]


def decibel(wrong, right):
    return -10 * math.log10(((wrong - right).square().mean() / right.square().mean()).item())


def test_sym6_is_the_orthogonal_wavelet_with_six_vanishing_moments():
    taps = np.array(SYM6)
    for shift in range(6):
        assert taps[2 * shift :] @ taps[: 12 - 2 * shift] == pytest.approx(float(shift == 0), abs=1e-13)
    for moment in range(6):
        n = (np.arange(12) - 5.5) / 5.5
        assert ((-1.0) ** np.arange(12) * n**moment) @ taps == pytest.approx(0, abs=1e-12)
    assert ((-1.0) ** np.arange(12) * ((np.arange(12) - 5.5) / 5.5) ** 6) @ taps != pytest.approx(0, abs=1e-3)
    # of all filters of this kind, the one that is nearest to symmetric, about its largest tap
    assert np.argmax(taps) == module.BEFORE == 5
    assert np.arange(12) @ taps / taps.sum() == pytest.approx(5, abs=0.1)


def test_down_undoes_up():
    for size in (8, 16):
        whole = upsampling(size)[margin(size) - 5 : margin(size) + 2 * size + 5]
        torch.testing.assert_close(downsampling(size) @ whole, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-12)


def test_standing_still_is_exact():
    images = pictures()
    torch.testing.assert_close(affine(images, torch.eye(2, 3).double().repeat(2, 1, 1)), images, rtol=0, atol=1e-12)


def test_whole_pixels_are_a_shift_of_the_reflected_image():
    images = pictures(1)
    for down, right in ((2, -1), (-2, 1), (1, 0)):
        moved = affine(images, transform([1, 0, down], [0, 1, right]))
        padded = torch.nn.functional.pad(images, (1, 1, 2, 2), mode="reflect")
        expected = padded[:, :, 2 - down : 18 - down, 1 - right : 9 - right]
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


def slow(image, matrix):
    """One channel (H, W): pad far, insert zeros, convolve, interpolate place by place, convolve, drop every second."""
    far = 32
    taps = np.array(SYM6)
    wide = np.pad(image, far, mode="reflect")
    fine = np.zeros((2 * wide.shape[0], 2 * wide.shape[1]))
    fine[::2, ::2] = wide
    for axis in (0, 1):
        fine = np.apply_along_axis(lambda row: np.convolve(row, math.sqrt(2) * taps)[5:-6], axis, fine)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    height, width = image.shape
    centre = np.array([height - 1, width - 1])
    taken = np.zeros((2 * height + 10, 2 * width + 10))
    for i in range(taken.shape[0]):
        for j in range(taken.shape[1]):
            place = (np.array([i - 5, j - 5]) - centre) / 2
            y, x = 2 * (inverse[:2, :2] @ place + inverse[:2, 2]) + centre + 2 * far
            m, n = math.floor(y), math.floor(x)
            patch = fine[m : m + 2, n : n + 2]
            taken[i, j] = np.array([m + 1 - y, y - m]) @ patch @ np.array([n + 1 - x, x - n])
    for axis in (0, 1):
        taken = np.apply_along_axis(lambda row: np.convolve(row, taps[::-1] / math.sqrt(2))[11:-11:2], axis, taken)
    return taken


@pytest.mark.parametrize(
    "rows",
    [
        ([1.0, 0.0, 0.4], [0.0, 1.0, -0.7]),
        ([0.9, 0.0, 0.0], [0.0, 1.2, 0.0]),
        ([math.cos(0.1), -math.sin(0.1), 0.3], [math.sin(0.1), math.cos(0.1), 0.2]),
        ([1.3, 0.2, -0.4], [-0.4, 1.1, 0.1]),
    ],
)
def test_the_slow_way(rows):
    image = pictures(1, (12, 12))
    expected = torch.from_numpy(np.stack([slow(channel, transform(*rows)[0].numpy()) for channel in image[0].numpy()]))
    torch.testing.assert_close(affine(image, transform(*rows))[0], expected, rtol=0, atol=1e-10)


def test_turning_by_a_right_angle():
    image = smooth((32, 32))
    turned = affine(image, transform([0, -1, 0], [1, 0, 0]))
    assert decibel(turned, torch.rot90(image, 1, (2, 3))) > 30
    noise = pictures(1, (32, 32))
    assert decibel(affine(noise, transform([0, -1, 0], [1, 0, 0])), torch.rot90(noise, 1, (2, 3))) > 15


def test_half_a_pixel_of_a_wave():
    image, size = smooth((32, 16)), (32, 16)
    moved = affine(image, transform([1, 0, 0.5], [0, 1, 0]))
    y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in size)
    expected = torch.sin(0.35 * (y[:, None] - 0.5) + 0.2 * x)
    assert decibel(moved[0, 0, 6:-6, 6:-6], expected[6:-6, 6:-6]) > 50


def test_far_outside_is_reflected():
    """Shrinking far shows copies of the image, each other one mirrored; a flat image stays flat."""
    flat = torch.full((1, 3, 16, 8), 0.3, dtype=torch.float64)
    torch.testing.assert_close(affine(flat, transform([0.05, 0.0, 30], [0.0, 0.05, -9])), flat, rtol=0, atol=1e-9)
    image = smooth((32, 32))
    moved = affine(image, transform([1, 0, 32], [0, 1, 0]))
    expected = image[:, :, fold(torch.arange(32) - 32, 32)]
    assert decibel(moved[:, :, :-6], expected[:, :, :-6]) > 30


def test_fold_by_hand():
    assert fold(torch.arange(-4, 8), 4).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]


def test_samples_do_not_depend_on_each_other():
    images, turn = pictures(3, dtype=torch.float32), transform([0.8, -0.6, 1], [0.6, 0.8, 0])
    transforms = torch.cat([turn, torch.eye(2, 3).double()[None], transform([3, 0, 0], [0, 0.3, 40])])
    together = affine(images, transforms)
    assert together.dtype == torch.float32
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], affine(images[i : i + 1], transforms[i : i + 1]))


def test_both_adjoints_are_one():
    torch.manual_seed(0)
    grid = torch.rand(2, 5, 4, 2, dtype=torch.float64) * 2 - 1
    grid[0, 0, 0], grid[1, 0, 0] = 1.0, -1.0
    values, extent = torch.randn(2, 3, 5, 4, dtype=torch.float64), torch.Size((2, 3, 7, 6))
    plane = torch.randn(extent, dtype=torch.float64)
    samples, adjoint = sample_and_adjoint(plane, grid)
    torch.testing.assert_close(spread(values, grid=grid, extent=extent), adjoint(values), rtol=0, atol=1e-13)
    torch.testing.assert_close((samples * values).sum(), (plane * adjoint(values)).sum())


def test_derivatives():
    images = pictures(2, (4, 4)).requires_grad_()
    transforms = torch.cat([transform([0.8, -0.6, 1], [0.6, 0.8, 0]), transform([1.2, 0, 0], [0, 0.7, -3])])

    def bent(x):  # affine alone is linear: its second derivative is zero whatever is computed
        return affine(x.tanh(), transforms).square().sum(dim=(1, 2, 3))

    assert torch.autograd.gradcheck(bent, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(bent, images, fast_mode=True)
