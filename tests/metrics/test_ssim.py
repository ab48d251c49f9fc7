"""SSIM against the definition, written out window by window, and against figures that scikit-image gave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.errors import DataError
from reidgen.metrics import ssim

SKIMAGE_255, SKIMAGE_4095 = 0.657061501359711, 0.8596924285849439


def slow_ssim(a, b, data_range=255):
    """The definition, one window after the other, in float64."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for c in range(a.shape[2]):
        for i in range(a.shape[0] - 6):
            for j in range(a.shape[1] - 6):
                x, y = (v[i : i + 7, j : j + 7, c].astype(float).ravel() for v in (a, b))
                cov = np.cov(x, y, ddof=1)
                upper = (2 * x.mean() * y.mean() + c1) * (2 * cov[0, 1] + c2)
                values.append(upper / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)))
    return np.mean(values)


def pictures(kind, size=(17, 11)):
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (4, *size, 3))
    smooth = rng.integers(0, 256, (4, 1, 1, 3)) + np.linspace(-40, 40, size[1])[None, None, :, None]
    a = {"noise": noise, "smooth": smooth + 0 * noise, "extreme": 255 * (noise > 127), "bright": 250 + noise % 6}[kind]
    b = {"noise": noise[::-1], "smooth": smooth + noise % 9, "extreme": 255 - a, "bright": 250 + noise[::-1] % 6}[kind]
    return np.clip(a, 0, 255).astype(np.uint8), np.clip(b, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("data_range", [255, 4095, 1])
@pytest.mark.parametrize("kind", ["noise", "smooth", "extreme", "bright"])
def test_agrees_with_the_definition(kind, data_range):
    a, b = pictures(kind)
    expected = [slow_ssim(x, y, data_range) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b, data_range), expected, rtol=0, atol=1e-6)


def test_agrees_with_scikit_image():
    """structural_similarity(a, b, channel_axis=2, data_range=...) of scikit-image 0.26.0 on these very pictures."""
    y, x = np.mgrid[0:128, 0:64]
    a = np.stack([(3 * x + y) % 256, (x * y) % 251, (x + 2 * y) % 256], axis=-1).astype(np.uint8)
    b = np.stack([(3 * x + y + 9) % 256, (x * y) % 241, (x + 2 * y + x % 5) % 256], axis=-1).astype(np.uint8)
    assert ssim(a[None], b[None])[0] == pytest.approx(SKIMAGE_255, abs=1e-7)
    assert ssim(a[None], b[None], 4095)[0] == pytest.approx(SKIMAGE_4095, abs=1e-7)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), height=st.integers(7, 12), width=st.integers(7, 12), channels=st.integers(1, 4))
def test_is_symmetric_bounded_and_one_only_for_equal_images(seed, height, width, channels):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, 3, height, width, channels), dtype=np.uint8)
    b[0] = a[0]
    scores = ssim(a, b)
    np.testing.assert_array_equal(scores, ssim(b, a))
    assert scores[0] == 1
    assert (np.abs(scores[1:]) < 1).all()


@pytest.mark.parametrize("value", [0, 100, 255])
def test_the_smallest_change_of_one_pixel_is_no_duplicate(value):
    a = np.full((1, 128, 64, 3), value, np.uint8)
    b = a.copy()
    b[0, 60, 30, 1] = value + 1 if value < 255 else value - 1
    assert ssim(a, b)[0] < 1
    assert ssim(a, b, 4095)[0] < 1


def test_the_sources_range_scores_higher():
    a, b = pictures("noise")
    assert (ssim(a, b, 4095) > ssim(a, b) + 0.2).all()


def test_no_pairs_give_no_scores():
    assert ssim(*np.zeros((2, 0, 8, 8, 3), np.uint8)).shape == (0,)


def test_images_that_do_not_go_together_are_named():
    a = np.zeros((2, 16, 8, 3), np.uint8)
    with pytest.raises(DataError, match="do not go together") as error:
        ssim(a, a[:1])
    assert "uint8 (2, 16, 8, 3) and uint8 (1, 16, 8, 3)" in str(error.value)
    with pytest.raises(DataError, match="do not go together"):
        ssim(a, a.astype(np.float32))
    with pytest.raises(DataError, match="smaller than SSIM's window"):
        ssim(a[:, :6], a[:, :6])
    with pytest.raises(DataError, match="must be positive"):
        ssim(a, a, 0)
