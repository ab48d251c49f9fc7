"""Low-pass filters of StyleGAN3: Kaiser windows around the ideal response, separable or radially symmetric."""

import math

import torch
from torch import Tensor


def lowpass(taps: int, *, cutoff: float, half_width: float, rate: float) -> Tensor:
    """A low-pass filter for both axes, one after the other.

    Args:
        taps: Length of the filter.
        cutoff: Frequency at which the response is one half, in cycles per unit of length.
        half_width: Half of the transition band around the cutoff.
        rate: Samples per unit of length.

    Returns:
        (taps,) in float64, of sum 1. Karras et al. 2021, appendix C.1.
    """
    at = _positions(taps, rate)
    kernel = 2 * cutoff * torch.sinc(2 * cutoff * at) * _window(taps, half_width, rate)
    return kernel / kernel.sum()


def radial_lowpass(taps: int, *, cutoff: float, half_width: float, rate: float) -> Tensor:
    """A low-pass filter that treats all directions alike, as rotations need it.

    The ideal response is a disc, whose kernel at radius r is cutoff * J1(2 pi cutoff r) / r, under the outer product of
    the window with itself.

    Args:
        taps: Length along each axis; even, so that no tap lies on the centre.
        cutoff: Radius of the disc, in cycles per unit of length.
        half_width: Half of the transition band around the cutoff.
        rate: Samples per unit of length.

    Returns:
        (taps, taps) in float64, of sum 1. Karras et al. 2021, appendix C.2.
    """
    assert taps % 2 == 0, "an odd filter has a tap at radius 0"
    at, window = _positions(taps, rate), _window(taps, half_width, rate)
    radius = torch.hypot(at[:, None], at[None, :])
    kernel = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / radius * torch.outer(window, window)
    return kernel / kernel.sum()


def kaiser_beta(taps: int, half_width: float, rate: float) -> float:
    """Shape of the Kaiser window whose transition band is 2 * half_width (Kaiser 1974, by way of its attenuation)."""
    width = 2 * half_width / (rate / 2)
    attenuation = 2.285 * (taps - 1) * math.pi * width + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    excess = max(attenuation - 21, 0.0)
    return 0.5842 * excess**0.4 + 0.07886 * excess


def _positions(taps: int, rate: float) -> Tensor:
    return (torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2) / rate


def _window(taps: int, half_width: float, rate: float) -> Tensor:
    beta = kaiser_beta(taps, half_width, rate)
    return torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64)
