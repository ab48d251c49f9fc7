import math

import pytest
import torch

from reidgen.generators.pictures.interpolation import closed_path, lerp, slerp


def test_lerp_by_hand_and_exact_at_the_ends():
    a, b = torch.tensor([1.0, -2.0, 0.1]), torch.tensor([3.0, 2.0, 1e8])
    assert lerp(a, b, 0.25)[:2].tolist() == [1.5, -1.0]
    assert torch.equal(lerp(a, b, 0.0), a)
    assert torch.equal(lerp(a, b, 1.0), b)


def test_slerp_by_hand():
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert slerp(a, b, 1 / 3).tolist() == pytest.approx([math.cos(math.pi / 6), 0.5])
    # lengths 2 and 4: half way the length is 3, at 45 degrees
    assert slerp(2 * a, 4 * b, 0.5).tolist() == pytest.approx([3 / math.sqrt(2)] * 2)


def test_slerp_of_each_pair_is_the_formula_on_the_unit_sphere():
    a, b = torch.nn.functional.normalize(torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(1)), dim=-1)
    t = torch.linspace(0, 1, 20).double()[:, None]
    omega = (a * b).sum(dim=-1, keepdim=True).double().acos()
    expected = (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)
    torch.testing.assert_close(slerp(a, b, t), expected.float(), rtol=0, atol=1e-6)


def test_slerp_of_parallel_vectors_changes_the_length_alone():
    a = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(slerp(a, 3 * a, 0.5), 2 * a)
    torch.testing.assert_close(slerp(a, a * (1 + 1e-7), 0.5), a)
    assert torch.equal(slerp(a, a, 0.3), a)


@pytest.mark.parametrize("off", [0.0, 1e-9, 1e-14])
def test_slerp_of_opposite_vectors_stays_on_the_sphere(off):
    a = torch.tensor([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], dtype=torch.float64)
    b = -a + off * torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    middle = slerp(a, b, 0.5)
    assert middle.norm(dim=-1).tolist() == pytest.approx([1.0, 1.0], abs=1e-8)
    assert (middle * a).sum(dim=-1).abs().max() < 1e-8
    torch.testing.assert_close(slerp(a, b, 1.0), b, rtol=0, atol=1e-8)


def test_slerp_from_the_origin_is_a_line():
    b = torch.tensor([3.0, 4.0])
    torch.testing.assert_close(slerp(torch.zeros(2), b, 1.0), b)
    assert slerp(b, torch.zeros(2), 0.5).norm().item() == pytest.approx(2.5)


def test_spline_by_hand():
    # slopes of the periodic spline through 0, 1, 0, -1 are 1.5, 0, -1.5, 0; half way Hermite's form gives 11/16
    points = torch.tensor([0.0, 1.0, 0.0, -1.0])[:, None]
    at = closed_path(points, [0, 0.5, 1, 2.5, 4], path="spline")[:, 0]
    assert at.tolist() == pytest.approx([0, 0.6875, 1, -0.6875, 0], abs=1e-7)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_spline_is_smooth_where_it_closes(count):
    points = torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    step = 1e-4
    before = closed_path(points, [count - 2 * step, count - step, count], path="spline")
    after = closed_path(points, [0, step, 2 * step], path="spline")
    torch.testing.assert_close(before[2], after[0])
    torch.testing.assert_close((before[2] - before[1]) / step, (after[1] - after[0]) / step, rtol=0, atol=1e-2)
    bends = [(x[2] - 2 * x[1] + x[0]) / step**2 for x in (before, after)]
    torch.testing.assert_close(*bends, rtol=0, atol=2e-2)


def test_straight_walk_by_hand():
    points = torch.tensor([[0.0, 0.0], [2.0, 4.0], [4.0, 0.0]])
    at = closed_path(points, [0, 0.5, 1.25, 2.5, 3], path="lerp")
    assert at.tolist() == [[0, 0], [1, 2], [2.5, 3], [2, 0], [0, 0]]


def test_walk_along_arcs_keeps_the_length():
    points = torch.nn.functional.normalize(torch.randn(4, 2, 8, generator=torch.Generator().manual_seed(3)), dim=-1)
    at = closed_path(points, [0, 0.7, 1.5, 3.9, 4], path="slerp")
    assert at.shape == (5, 2, 8)
    torch.testing.assert_close(at.norm(dim=-1), torch.ones(5, 2))
    torch.testing.assert_close(at[0], points[0])
    torch.testing.assert_close(at[-1], points[0])
    torch.testing.assert_close(at[1], slerp(points[0], points[1], 0.7))


@pytest.mark.parametrize("path", ["spline", "lerp", "slerp"])
def test_one_point_is_a_walk_that_stays(path):
    point = torch.tensor([[0.5, -1.0]])
    torch.testing.assert_close(closed_path(point, [0, 0.25, 0.5], path=path), point.expand(3, -1))
