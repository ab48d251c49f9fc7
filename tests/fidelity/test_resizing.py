"""Each resize rule against the library or the loop that it is named after."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from reidgen.fidelity.resizing import to_inception
from tests.factories import crop_pixels

SIZES = [(64, 32), (128, 64), (30, 41)]


def crops(size):
    return np.stack([crop_pixels(size, seed=seed) for seed in (0, 1)])


def enlarged(size, rule, target=75):
    return to_inception(crops(size), rule, size=target)


@pytest.mark.parametrize("size", SIZES)
def test_tensorflow_1_maps_corners_to_corners(size):
    given, (height, width), target = crops(size)[0].astype(float), size, 75
    expected = np.zeros((target, target, 3))
    for row in range(target):
        for column in range(target):
            y, x = row * height / target, column * width / target
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = given[top, left] * (1 - x + left) + given[top, right] * (x - left)
            lower = given[below, left] * (1 - x + left) + given[below, right] * (x - left)
            expected[row, column] = upper * (1 - y + top) + lower * (y - top)
    expected = torch.from_numpy((expected - 128) / 128).permute(2, 0, 1)
    torch.testing.assert_close(enlarged(size, "tf1")[0].double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [75, 20])
def test_pytorch_fid_is_interpolate_on_0_to_1_and_then_minus_1_to_1(size, target):
    given = torch.from_numpy(crops(size)).permute(0, 3, 1, 2) / 255
    expected = 2 * functional.interpolate(given, (target, target), mode="bilinear", align_corners=False) - 1
    torch.testing.assert_close(enlarged(size, "pytorch-fid", target), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [75, 20])
def test_clean_fid_is_pillow_on_each_colour_as_floating_point(size, target):
    planes = crops(size)[1].astype(np.float32).transpose(2, 0, 1)
    by_pillow = [np.asarray(Image.fromarray(one).resize((target, target), Image.Resampling.BICUBIC)) for one in planes]
    expected = (torch.from_numpy(np.stack(by_pillow)) - 128) / 128
    torch.testing.assert_close(enlarged(size, "clean-fid", target)[1], expected, rtol=0, atol=1e-5)


def test_the_rules_differ():
    """Half a pixel is enough to move a FID, so a name must not hide another rule."""
    tf1, pytorch_fid, clean_fid = (enlarged((64, 32), rule) for rule in ("tf1", "pytorch-fid", "clean-fid"))
    assert (
        min((tf1 - pytorch_fid).abs().max(), (tf1 - clean_fid).abs().max(), (pytorch_fid - clean_fid).abs().max())
        > 0.01
    )
