import numpy as np
import pytest
import torch

from reidgen.models.translation.paste import MARGIN, Paste, backgrounds, inpaint


def test_what_is_known_stays_and_the_rest_lies_between():
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 13, 6) * 255
    known = torch.ones(2, 1, 13, 6)
    known[0, :, 4:9, 1:5] = 0
    known[1, :, :, :4] = 0
    filled = inpaint(picture, known)
    holes = (known == 0).expand_as(picture)
    assert torch.equal(filled[~holes], picture[~holes])
    for one, given, seen in zip(filled, picture, known.bool(), strict=True):
        for channel, values in zip(one, given, strict=True):
            inside = values[seen[0]]
            assert inside.min() - 1e-3 <= channel.min()
            assert channel.max() <= inside.max() + 1e-3


def test_one_colour_stays_one_colour():
    picture = torch.full((1, 3, 32, 16), 93.0)
    known = torch.zeros(1, 1, 32, 16)
    known[:, :, 30:, 15:] = 1
    torch.testing.assert_close(inpaint(picture, known), picture)
    assert (inpaint(picture, torch.zeros(1, 1, 32, 16)) == 0).all(), "nothing is known"


def test_left_and_right_of_a_person():
    """A hole between a dark and a bright half goes from the one to the other."""
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., 8:] = 200
    known = torch.ones(1, 1, 16, 16)
    known[..., 4:12] = 0
    rows = inpaint(picture, known)[0, 0]
    assert (rows.diff(dim=1) >= -1e-3).all()
    assert rows[:, 5].max() < 100 < rows[:, 10].min()


@pytest.fixture
def crops():
    """Bright people, each somewhere else, before a background that is darker towards the right."""
    rng = np.random.default_rng(0)
    place = torch.linspace(100, 20, 16).expand(5, 3, 32, 16)
    masks = torch.zeros(5, 1, 32, 16)
    for mask in masks:
        top, left = rng.integers(2, 8), rng.integers(1, 9)
        mask[:, top : top + 20, left : left + 5] = 1
    return torch.where(masks > 0, 250.0, place), masks, place


@pytest.mark.parametrize("fill", ["mean", "random", "inpainted"])
def test_no_person_is_left(crops, fill):
    pictures, masks, place = crops
    behind = backgrounds(pictures, masks, fill)
    assert behind.shape == ((1 if fill == "mean" else 5), 3, 32, 16)
    assert place.min() - 1e-3 <= behind.min()
    assert behind.max() <= place.max() + 1e-3
    far = torch.nn.functional.max_pool2d(masks, 2 * MARGIN + 1, 1, MARGIN) == 0
    if fill != "mean":
        assert torch.equal(behind[far.expand_as(behind)], pictures[far.expand_as(pictures)])


def test_the_mean_is_that_of_what_is_seen(crops):
    pictures, masks, _ = crops
    far = torch.nn.functional.max_pool2d(masks, 2 * MARGIN + 1, 1, MARGIN)[:, 0] == 0
    mean = backgrounds(pictures, masks, "mean")[0]
    for i, j in [(0, 0), (31, 15), (10, 4), (20, 12)]:
        seen = [picture[0, i, j].item() for picture, free in zip(pictures, far, strict=True) if free[i, j]]
        if seen:
            assert mean[0, i, j].item() == pytest.approx(np.mean(seen), abs=1e-3)


def test_the_person_is_laid_on_the_background():
    network = Paste(2, (4, 2))
    network.backgrounds[1] = 255
    crops, masks = torch.zeros(3, 3, 4, 2), torch.zeros(3, 1, 4, 2)
    masks[:, :, 1] = 1
    masks[:, :, 2] = 0.5
    made = network(crops, masks, torch.tensor([0, 1, 1]))
    assert made[:, 0, :, 0].tolist() == [[-1, 0, -0.5, -1], [1, 0, 0.5, 1], [1, 0, 0.5, 1]]
