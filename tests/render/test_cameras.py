from dataclasses import replace

import numpy as np
import pytest

from reidgen.render.cameras import project, sample_camera, sample_place, wrap


def camera(**changes):
    return replace(sample_camera(np.random.default_rng(0)), **changes)


def test_projection_by_hand():
    level = camera(height=3.0, pitch=0.0)
    points = np.array([[1, 10, 3], [0, 5, 2], [-2, 4, 5]], np.float32)
    assert project(level, points) == pytest.approx(np.array([[0.1, 0], [0, -0.2], [-0.5, 0.5]]), abs=1e-6)


def test_projection_of_a_tilted_camera_by_hand():
    # 45 degrees down from 2 m: (0, 2, 0) lies on the axis; (0, 4, 0) is 2 sqrt(0.5) above it at a depth of 6 sqrt(0.5)
    tilted = camera(height=2.0, pitch=45.0)
    points = np.array([[0, 2, 0], [0, 4, 0], [1, 2, 0]], np.float32)
    assert project(tilted, points) == pytest.approx(np.array([[0, 0], [0, 1 / 3], [1 / np.sqrt(8), 0]]), abs=1e-6)


def test_axes_are_orthonormal():
    axes = np.stack(camera(pitch=23.0).axes)
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-6)


@pytest.mark.parametrize(("angle", "wrapped"), [(0, 0), (190, -170), (-190, 170), (180, 180), (-180, 180), (725, 5)])
def test_wrap(angle, wrapped):
    assert wrap(angle) == pytest.approx(wrapped)


def test_yaw_is_the_angle_between_where_a_person_looks_and_the_camera():
    for seed in range(50):
        place = sample_place(camera(), np.random.default_rng(seed))
        turn = np.radians(place.turn)
        looks = np.array([np.sin(turn), -np.cos(turn)])
        to_camera = -np.array([place.x, place.y]) / np.hypot(place.x, place.y)
        assert np.cos(np.radians(place.yaw)) == pytest.approx(looks @ to_camera, abs=1e-6)
        # positive: looks to the right of the picture, seen from the camera
        right = np.array([-to_camera[1], to_camera[0]])
        assert np.sin(np.radians(place.yaw)) == pytest.approx(looks @ right, abs=1e-6)


def test_people_stand_in_the_field():
    view = camera(near=5.0, far=9.0, spread=0.3)
    for seed in range(100):
        place = sample_place(view, np.random.default_rng(seed))
        assert 5 <= place.y <= 9 and abs(place.x) <= 0.3 * place.y


def test_cameras_differ_and_repeat():
    a, b, c = (sample_camera(np.random.default_rng(s)) for s in (1, 1, 2))
    assert a == b != c
    for seed in range(40):
        view = sample_camera(np.random.default_rng(seed))
        assert 2 < view.height < 6 and 5 < view.pitch < 60 and 70 <= view.quality <= 95
        assert np.linalg.norm(view.sun) == pytest.approx(1) and view.sun[2] > 0
