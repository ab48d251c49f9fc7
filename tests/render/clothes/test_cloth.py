import numpy as np
import pytest
from scipy.spatial import ConvexHull

from reidgen.render.clothes.cloth import hang, profile, ring_hull, ring_points, soft_max

HEIGHTS = np.array([1.0, 0.9, 0.8], np.float32)


def test_profile_of_a_cylinder_is_its_radius():
    angle = np.linspace(0, 2 * np.pi, 500)
    ring = np.stack([0.1 + 0.3 * np.sin(angle), -0.2 - 0.3 * np.cos(angle)], 1)
    points = np.concatenate([np.c_[ring, np.full(500, h)] for h in HEIGHTS]).astype(np.float32)
    assert profile(points, HEIGHTS, (0.1, -0.2), 32) == pytest.approx(np.full((3, 32), 0.3), abs=1e-5)


def test_profile_column_zero_is_the_front():
    grid = profile(np.array([[0, -0.5, 1.0]], np.float32), HEIGHTS, (0, 0), 16)
    assert grid[0].argmax() == 0 and grid[0, 0] == pytest.approx(0.5)
    assert profile(np.array([[0.4, 0, 1.0]], np.float32), HEIGHTS, (0, 0), 16)[0].max() == pytest.approx(0.4)


def test_ring_hull_is_the_convex_hull():
    rng = np.random.default_rng(0)
    columns = 48
    radii = rng.uniform(0.2, 1.0, columns)
    points = ring_points(radii[None].astype(np.float32), np.zeros(1, np.float32), (0, 0))[:, :2]
    hull = ConvexHull(points)
    out = ring_points(ring_hull(radii[None]), np.zeros(1, np.float32), (0, 0))[:, :2]
    outside = (out @ hull.equations[:, :2].T + hull.equations[:, 2]).max(1)
    assert outside.min() > -0.02  # on or just outside of the hull: directions of the support are the columns alone
    assert outside.max() < 0.1
    assert (ring_hull(radii[None])[0] >= radii - 1e-6).all()


def test_ring_hull_of_an_empty_ring_is_finite():
    assert np.isfinite(ring_hull(np.zeros((2, 48), np.float32))).all()


def test_hanging_cloth_never_narrows_faster_than_it_clings():
    grid = np.array([[0.3], [0.1], [0.1], [0.25]], np.float32)
    out = hang(grid, 0.1, 0.2)
    assert (out >= grid - 0.003).all()
    assert out[1, 0] > 0.27 and out[2, 0] > 0.25


def test_soft_max_is_close_to_the_maximum():
    a = np.linspace(-1, 1, 21)
    assert np.abs(soft_max(a, 0.2, 0.02) - np.maximum(a, 0.2)).max() < 0.006
