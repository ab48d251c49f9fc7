import numpy as np
import pytest
import torch

from reidgen.losses.images.noise_maps import make_standard, noise_correlation


def slowly(layers):
    """Pixel by pixel, with edges joined, and a pyramid of means of four times two."""
    total = 0.0
    for layer in layers:
        level = layer.numpy().astype(np.float64)
        while True:
            height, width = level.shape
            down = right = 0.0
            for i in range(height):
                for j in range(width):
                    down += level[i, j] * level[i - 1, j]
                    right += level[i, j] * level[i, j - 1]
            total += (down / (height * width)) ** 2 + (right / (height * width)) ** 2
            if height <= 8:
                break
            level = np.array(
                [
                    [2 * level[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(width // 2)]
                    for i in range(height // 2)
                ]
            )
    return total


def test_it_is_the_sum_of_the_paper_for_each_image():
    draw = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, *size, generator=draw) for size in ((4, 2), (8, 4), (16, 8), (32, 32))]
    found = noise_correlation(maps)
    assert found.tolist() == pytest.approx([slowly([layer[i] for layer in maps]) for i in range(2)], rel=1e-4)


def test_noise_costs_next_to_nothing_and_a_picture_much():
    draw = torch.Generator().manual_seed(0)
    noise, picture = torch.randn(1, 64, 32, generator=draw), torch.ones(1, 64, 32)
    picture[:, :, 16:] = -1
    make_standard([picture])
    assert noise_correlation([noise]) < 0.01 * noise_correlation([picture])


def test_a_step_against_it_takes_a_pattern_away():
    draw = torch.Generator().manual_seed(0)
    stripes = torch.arange(16).remainder(4).lt(2).float()[None, :, None].expand(1, 16, 8)
    layer = (torch.randn(1, 16, 8, generator=draw) + 2 * stripes).requires_grad_()
    make_standard([layer])
    before = noise_correlation([layer])
    for _ in range(50):
        (slope,) = torch.autograd.grad(noise_correlation([layer]).sum(), [layer])
        with torch.no_grad():
            layer -= 2 * slope
        make_standard([layer])
    assert noise_correlation([layer]) < 0.1 * before


def test_maps_get_mean_zero_and_variance_one_in_place():
    maps = [3 * torch.randn(2, 8, 4) + 5, torch.randn(2, 16, 8)]
    make_standard(maps)
    for layer in maps:
        assert layer.mean(dim=(1, 2)).abs().max() < 1e-5
        assert torch.allclose(layer.square().mean(dim=(1, 2)), torch.ones(2), atol=1e-4)
