import pytest
import torch

from reidgen.config import StyleGANConfig
from reidgen.generators.training.blur import blur, fading_sigma


def slow_blur(image, sigma):
    """Each pixel as the weighted mean of its neighbours inside the image: two loops over pixels, two over offsets."""
    height, width = image.shape
    reach, out = int(3 * sigma), torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            total = weight = 0.0
            for y in range(max(row - reach, 0), min(row + reach, height - 1) + 1):
                for x in range(max(column - reach, 0), min(column + reach, width - 1) + 1):
                    factor = 2.0 ** -(((y - row) ** 2 + (x - column) ** 2) / sigma**2)
                    total, weight = total + factor * image[y, x].item(), weight + factor
            out[row, column] = total / weight
    return out


@pytest.mark.parametrize("sigma", [0.5, 1.3, 10.0])
def test_against_loops_over_pixels(sigma):
    image = torch.randn(9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = blur(image.expand(2, 3, 9, 6), sigma)
    torch.testing.assert_close(ours, slow_blur(image, sigma).expand(2, 3, 9, 6))


def test_a_grey_image_stays_grey_and_a_sharp_one_comes_back_as_it_is():
    grey = torch.full((1, 3, 8, 4), 0.5)
    torch.testing.assert_close(blur(grey, 10.0), grey)
    sharp = torch.randn(1, 3, 8, 4)
    assert blur(sharp, 0.0) is sharp
    assert blur(sharp, 0.3) is sharp


def test_it_can_be_differentiated_twice():
    images = torch.randn(1, 1, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: blur(x, 1.5) ** 2, images)
    assert torch.autograd.gradgradcheck(lambda x: blur(x, 1.5) ** 2, images)


def test_it_fades_from_ten_pixels_to_none():
    assert [fading_sigma(images, 200) for images in (0, 50_000, 100_000, 200_000, 10**6)] == [10, 7.5, 5, 0, 0]
    assert fading_sigma(0, 0) == 0


def test_which_trainings_start_blurred():
    """Configuration R from random weights, over 200 kimg at a batch of 32 (Karras et al. 2021)."""
    assert StyleGANConfig(network="stylegan3-r").fade_kimg == 200
    assert StyleGANConfig(network="stylegan3-r", batch=16).fade_kimg == 100
    assert StyleGANConfig(network="stylegan3-r", transfer="a.safetensors").fade_kimg == 0
    assert StyleGANConfig(network="stylegan3-r", blur_kimg=7).fade_kimg == 7
    assert StyleGANConfig(network="stylegan3-t").fade_kimg == 0
