import numpy as np
import pytest
import torch

from reidgen.annotate.squares import place
from tests.factories import crop_pixels


@pytest.mark.parametrize(("size", "share"), [((32, 16), 0.75), ((20, 40), 0.5), ((40, 20), 1.0)])
def test_points_come_back(size, share):
    crop = np.zeros((*size, 3), np.uint8)
    y, x = 12, 9
    crop[y, x] = 255
    placed = place(crop, side=80, share=share)
    rows, columns = np.mgrid[0:80, 0:80] + 0.5  # middles of pixels
    weight = placed.square[0].numpy()
    middle = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(placed.back(middle), [x + 0.5, y + 0.5], atol=0.1)


def test_edges_are_repeated_around_the_crop():
    crop = crop_pixels((32, 16))
    square = place(crop, side=64, share=0.5).square  # as large as it is
    assert square.shape == (3, 64, 64)
    torch.testing.assert_close(square[:, 16:48, 24:40], torch.from_numpy(crop).permute(2, 0, 1).float())
    assert (square[:, :16, 30] == square[:, 16:17, 30]).all()
    assert (square[:, 20, 40:] == square[:, 20, 39:40]).all()


def test_maps_come_back_in_the_size_of_the_crop():
    placed = place(crop_pixels((32, 16)), side=64, share=0.75)
    shown = placed.map_back(placed.square[0])
    assert shown.shape == (32, 16)
    assert (shown - torch.from_numpy(crop_pixels((32, 16))[..., 0]).float()).abs().mean() < 4
