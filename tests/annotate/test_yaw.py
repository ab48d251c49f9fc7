import numpy as np
import pytest

import reidgen as rg
from reidgen.annotate.landmarks import POINTS
from reidgen.annotate.landmarks import yaw_of as yaw_of_landmarks
from reidgen.annotate.truth import yaw_error
from reidgen.annotate.yaw import WALKERS, Views, middle, wrap, yaw_of
from reidgen.data.readers.load import SAMPLE
from reidgen.engine.foreign.state_dicts import read_weights


@pytest.fixture(scope="module")
def views():
    """The shipped walkers from all around."""
    return Views.load()


def seen(points, yaw):
    """Points in space as a level camera sees a person who has turned, by a loop; x right, y down."""
    out = []
    for left, back, up in points:
        # of a person who faces the camera the left side is at the picture's right; who looks right has its back left
        out.append((left * np.cos(np.radians(yaw)) - back * np.sin(np.radians(yaw)), -up))
    return np.array(out)


@pytest.mark.parametrize("yaw", [-170, -95, -42, 0, 17, 88, 133, 180])
@pytest.mark.parametrize("stretch", [1.0, 1.1])
def test_the_mean_person_is_found_at_its_yaw(views, yaw, stretch):
    mean = read_weights(WALKERS)[0]["mean"].numpy()
    points = 30 * seen(mean, yaw) * [stretch, 1] + [32, 64]
    assert yaw_error(yaw_of(np.column_stack([points, np.ones(17)]), views), yaw) < 6


def test_true_points_of_rendered_people(views):
    table = rg.load_dataset("reidgen", root=SAMPLE)
    table = table.where(np.arange(len(table)) % 24 == 0)
    errors = []
    for points, yaw in table.rows.select("keypoints", "yaw").iter_rows():
        points = np.array(points).reshape(17, 3)
        errors.append(yaw_error(yaw_of(np.column_stack([points[:, :2], np.ones(17)]), views), yaw))
    assert np.median(errors) < 6
    assert max(errors) < 60


def test_points_in_one_place_have_some_yaw(views):
    assert -180 <= yaw_of(np.full((17, 3), 5.0), views) <= 180


@pytest.mark.parametrize("yaw", [-120, -30, 0, 60, 150])
def test_yaw_of_points_in_space(yaw):
    points = np.zeros((POINTS, 3))
    across = np.array([np.cos(np.radians(yaw)), 0, np.sin(np.radians(yaw))])  # x right, z away from the camera
    points[[11, 23]], points[[12, 24]] = 0.2 * across, -0.2 * across
    assert yaw_of_landmarks(points) == pytest.approx(yaw)


def test_middle_takes_the_short_way_and_the_first_of_opposites():
    assert middle(170, -170) == pytest.approx(-180)
    assert middle(10, 50) == pytest.approx(30)
    assert middle(10, 150) == 10
    assert wrap(540) == -180
