import numpy as np
import pytest
import torch

import reidgen as rg
from reidgen.annotate import keypoints
from reidgen.annotate.keypoints import KeypointFinder, as_column
from reidgen.data.pixels.images import read_rgb
from reidgen.data.readers.load import SAMPLE
from reidgen.errors import WeightsError


@pytest.fixture(scope="module")
def people():
    """Eight rendered crops from all over the table."""
    table = rg.load_dataset("reidgen", root=SAMPLE)
    return table.where(np.arange(len(table)) % (len(table) // 8) == 0)


def test_rendered_people_are_found_within_some_pixels(people):
    crops = [np.array(read_rgb(path)) for path in people.paths]
    found = KeypointFinder(torch.device("cpu")).find(crops)
    truth = np.array(people.rows["keypoints"].to_list()).reshape(-1, 17, 3)
    errors = np.linalg.norm(found[..., :2] - truth[..., :2], axis=-1)[truth[..., 2] == 2]
    assert np.median(errors) < 3
    assert errors.mean() < 6
    assert ((found[..., 2] >= 0) & (found[..., 2] <= 1)).all()


def test_crops_of_other_sizes_and_shapes(people):
    crop = read_rgb(people.paths[0])
    finder = KeypointFinder(torch.device("cpu"))
    small, large = finder.find([np.array(crop), np.array(crop.resize((96, 192)))])
    sure = small[:, 2] > 0.4
    assert np.abs(small[sure, :2] * 1.5 - large[sure, :2]).mean() < 3


def test_column_has_the_renderers_marks():
    points = np.array([[1.5, 2, 0.9], [1, 2, 0.1], [-0.1, 2, 0.9], [1, 8.1, 0.9], [4, 8, 0.3]])
    assert as_column(points, (8, 4), visible_score=0.3) == [
        *[1.5, 2, 2],
        *[1, 2, 1],
        *[-0.1, 2, 0],
        *[1, 8.1, 0],
        *[4, 8, 2],
    ]


def test_damaged_weights_are_told(tmp_path, monkeypatch):
    damaged = tmp_path / "movenet.safetensors"
    damaged.write_bytes(keypoints.WEIGHTS.read_bytes()[:-1000])
    monkeypatch.setattr(keypoints, "WEIGHTS", damaged)
    with pytest.raises(WeightsError, match="movenet"):
        KeypointFinder(torch.device("cpu"))
