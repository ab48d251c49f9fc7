"""StyleGAN3's filters against scipy's designs, the reference's filters, and what they are for."""

import numpy as np
import pytest
import torch
from scipy import signal, special

from reidgen.models.filtered.filter_design import kaiser_beta, lowpass, radial_lowpass

BANDS = [(12, 2.0, 6.0, 32.0), (24, 4.0, 4.9, 64.0), (12, 64.0, 14.793, 256.0), (12, 26.909, 37.091, 256.0)]


@pytest.mark.parametrize(("taps", "cutoff", "half_width", "rate"), BANDS)
def test_separable_filter_is_the_windowed_design(taps, cutoff, half_width, rate):
    ours = lowpass(taps, cutoff=cutoff, half_width=half_width, rate=rate)
    theirs = signal.firwin(taps, cutoff, width=2 * half_width, fs=rate)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("taps", "half_width", "rate"), [(12, 1.0, 256.0), (12, 6.0, 64.0), (24, 30.0, 64.0)])
def test_window_shape_in_all_three_ranges_of_attenuation(taps, half_width, rate):
    attenuation = signal.kaiser_atten(taps, 2 * half_width / (rate / 2))
    assert kaiser_beta(taps, half_width, rate) == pytest.approx(signal.kaiser_beta(attenuation), abs=1e-12)


@pytest.mark.parametrize(("taps", "cutoff", "half_width", "rate"), BANDS)
def test_radial_filter_is_the_windowed_kernel_of_a_disc(taps, cutoff, half_width, rate):
    ours = radial_lowpass(taps, cutoff=cutoff, half_width=half_width, rate=rate).numpy()
    beta = signal.kaiser_beta(signal.kaiser_atten(taps, 2 * half_width / (rate / 2)))
    window = np.kaiser(taps, beta)
    slow = np.empty((taps, taps))
    for i in range(taps):
        for j in range(taps):
            radius = np.hypot(i - (taps - 1) / 2, j - (taps - 1) / 2) / rate
            slow[i, j] = special.j1(2 * np.pi * cutoff * radius) / (np.pi * radius) * window[i] * window[j]
    np.testing.assert_allclose(ours, slow / slow.sum(), rtol=0, atol=5e-8)


def test_radial_filter_is_a_sum_of_few_separable_ones():
    """How few depends on the layer: 2 where the cutoff is low, 4 and more where it is high."""

    def rank(**band):
        values = torch.linalg.svdvals(radial_lowpass(12, **band))
        return int((values > 1e-6 * values[0]).sum())

    assert rank(cutoff=2.0, half_width=6.0, rate=32.0) == 2
    assert rank(cutoff=26.909, half_width=37.091, rate=256.0) == 3
    assert rank(cutoff=47.95, half_width=19.0, rate=256.0) == 4


def test_radial_filter_treats_the_diagonal_as_the_axes_and_the_separable_one_does_not():
    def responses(kernel, frequency, rate):
        at = (torch.arange(len(kernel), dtype=torch.float64) - (len(kernel) - 1) / 2) / rate
        along = torch.cos(2 * torch.pi * frequency * at)
        diagonal = along.new_tensor(2.0).rsqrt() * frequency
        both = torch.cos(2 * torch.pi * diagonal * (at[:, None] + at[None, :]))
        return (kernel.sum(0) @ along).item(), (kernel * both).sum().item()

    band = {"cutoff": 16.0, "half_width": 12.0, "rate": 128.0}
    one = lowpass(24, **band)
    radial = responses(radial_lowpass(24, **band), 16.0, 128.0)
    separable = responses(torch.outer(one, one), 16.0, 128.0)
    assert abs(radial[0] - radial[1]) < 0.01
    assert abs(separable[0] - separable[1]) > 0.05


def test_cutoff_is_where_half_passes():
    kernel = lowpass(96, cutoff=16.0, half_width=4.0, rate=128.0).numpy()
    _, response = signal.freqz(kernel, worN=[0.0, 8.0, 16.0, 24.0], fs=128.0)
    np.testing.assert_allclose(abs(response), [1, 1, 0.5, 0], atol=0.01)
