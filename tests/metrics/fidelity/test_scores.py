"""Fidelity figures against slow loops, closed forms, and the published formula with its matrix root."""

import numpy as np
import pytest
import torch
from scipy import linalg

from reidgen.errors import DataError
from reidgen.metrics.fidelity import kernel as kernel_module
from reidgen.metrics.fidelity import manifold as manifold_module
from reidgen.metrics.fidelity.scores import Moments, frechet_distance, kernel_distance, precision_recall, squared_mmd

WIDTH = 48


def features(count, *, seed, width=WIDTH, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(width, width)) / np.sqrt(width)
    return rng.normal(shift, 1, (count, width)) * np.arange(1, width + 1) ** -0.4 @ mixing + 0.3


def by_matrix_root(mean_a, cov_a, mean_b, cov_b, eps=1e-6):
    """The formula as pytorch-fid states it: scipy's root of the product, a constant on the diagonal where it fails."""
    step = mean_a - mean_b
    root = linalg.sqrtm(cov_a @ cov_b)
    if not np.isfinite(root).all():
        offset = eps * np.eye(len(cov_a))
        root = linalg.sqrtm((cov_a + offset) @ (cov_b + offset))
    return float(step @ step + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root.real))


def published(a, b):
    return by_matrix_root(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))


def test_distance_equals_the_published_formula_where_covariances_are_regular():
    a, b = features(400, seed=0), features(300, seed=1, shift=0.2)
    assert frechet_distance(a, b) == pytest.approx(published(a, b), rel=1e-6)


def test_statistics_and_features_give_the_same_distance():
    a, b = features(400, seed=0), features(300, seed=1, shift=0.2)
    statistics = [(one.mean(0), np.cov(one, rowvar=False)) for one in (a, b)]
    assert frechet_distance(*statistics) == pytest.approx(frechet_distance(a, b), rel=1e-12)
    assert frechet_distance(torch.from_numpy(a), statistics[1]) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_diagonal_gaussians_have_a_closed_form():
    # Means (0, 0, 0) and (1, 2, 2); variances (1, 4, 9) and (4, 1, 0): 9 + (1-2)^2 + (2-1)^2 + (3-0)^2 = 20.
    a = (np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    b = (np.array([1.0, 2.0, 2.0]), np.diag([4.0, 1.0, 0.0]))
    assert frechet_distance(a, b) == pytest.approx(20.0, abs=1e-12)


@pytest.mark.parametrize("counts", [(30, 40), (30, 400), (400, 30)])
def test_fewer_features_than_dimensions_are_exact(counts):
    """Singular covariances: where both live in one subspace, the distance is that within the subspace."""
    basis = np.linalg.qr(np.random.default_rng(4).normal(size=(WIDTH, 20)))[0]
    a, b = (features(count, seed=i, width=20, shift=0.2 * i) for i, count in enumerate(counts))
    assert frechet_distance(a @ basis.T, b @ basis.T) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(published(a, b), rel=1e-6)


@pytest.mark.parametrize("counts", [(20, 25), (20, 300)])
def test_singular_covariances_agree_with_the_published_formula_as_far_as_that_goes(counts):
    # The root of a singular product loses half of the digits: 1e-4 of the distance is what both can promise.
    a, b = (features(count, seed=i, shift=0.2 * i) for i, count in enumerate(counts))
    ours = frechet_distance(a, b)
    assert ours == pytest.approx(published(a, b), rel=1e-4)
    statistics = [(one.mean(0), np.cov(one, rowvar=False)) for one in (a, b)]
    assert frechet_distance(*statistics) == pytest.approx(ours, rel=1e-6)


def test_a_dead_dimension_is_no_failure():
    a, b = features(300, seed=0), features(300, seed=1)
    a[:, 3] = b[:, 3] = 0
    without = np.delete(np.arange(WIDTH), 3)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(a[:, without], b[:, without]), rel=1e-10)


def test_features_that_never_vary_have_the_distance_of_their_means():
    still = np.full((60, 3), 2.0)
    assert frechet_distance(still, np.zeros((60, 3))) == pytest.approx(12)
    assert frechet_distance(still, still[:2]) == 0
    assert frechet_distance((np.zeros(3), np.zeros((3, 3))), (np.ones(3), np.eye(3))) == pytest.approx(6)


def test_a_set_has_no_distance_to_itself_and_the_distance_is_symmetric():
    a, b = features(200, seed=0), features(20, seed=1)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(b, b) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


def test_moments_are_the_same_in_blocks_of_any_length():
    rows = features(300, seed=0) + 1e3  # far from the origin, where sums of squares would lose digits
    for length in (1, 7, 300):
        moments = Moments.over(rows[at : at + length] for at in range(0, 300, length))
        assert moments.count == 300
        np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=1e-14)
        np.testing.assert_allclose(moments.covariance, np.cov(rows, rowvar=False), atol=1e-11)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((1, 3)), np.ones((5, 3)), "two features"),
        (np.zeros((5, 3)), np.ones((5, 4)), "differ in width"),
        (np.full((5, 3), np.nan), np.ones((5, 3)), "not finite"),
        (np.zeros(3), np.ones((5, 3)), "not a matrix"),
        ((np.zeros(3), np.eye(4)), np.ones((5, 3)), "do not fit"),
        ((np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])), np.ones((5, 2)), "not symmetric"),
        ((np.zeros(2), np.diag([1.0, -0.5])), np.ones((5, 2)), "below zero"),
    ],
)
def test_unusable_features_are_refused(a, b, words):
    with pytest.raises(DataError, match=words):
        frechet_distance(a, b)


def test_moments_of_nothing_are_refused():
    with pytest.raises(DataError, match="no features"):
        Moments.over([])


def slow_mmd(a, b):
    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    within = [
        sum(kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j) / (len(x) * (len(x) - 1))
        for x in (a, b)
    ]
    across = sum(kernel(x, y) for x in a for y in b) / (len(a) * len(b))
    return sum(within) - 2 * across


@pytest.mark.parametrize("block", [8, 1024])
def test_kernel_distance_equals_the_double_loop(block, monkeypatch):
    monkeypatch.setattr(kernel_module, "BLOCK", block)
    a, b = features(30, seed=0), features(21, seed=1, shift=0.3)
    assert squared_mmd(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(slow_mmd(a, b), rel=1e-9)
    assert kernel_distance(a, b, subsets=2, size=5).full == pytest.approx(slow_mmd(a, b), rel=1e-9)


def test_kernel_distance_has_no_bias():
    """Of two samples of one distribution the mean is zero within its error, at however few features."""
    a, b = features(600, seed=0), features(600, seed=1)
    found = kernel_distance(a, b, subsets=200, size=10, seed=3)
    assert abs(found.mean - found.full) < 4 * found.sd / np.sqrt(200)
    assert abs(found.full) < 0.1 * abs(kernel_distance(a, a + 0.5, subsets=1).full)


def test_kernel_distance_is_seeded_and_says_what_it_drew():
    a, b = features(60, seed=0), features(40, seed=1)
    one, same, other = (kernel_distance(a, b, subsets=5, size=1000, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert (one.subsets, one.size) == (5, 40)  # all of b in every subset, and different choices of a
    assert one.mean != other.mean
    assert kernel_distance(a, b, subsets=1, size=20).sd == 0


def test_kernel_distance_refuses_what_is_no_pair_of_sets():
    with pytest.raises(DataError, match="two sets"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(DataError, match="two sets"):
        kernel_distance(np.zeros((5, 3)), np.zeros((5, 4)))


def slow_manifold(real, fake, k):
    def radii(x):
        return [sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[k - 1] for i in range(len(x))]

    real_radii, fake_radii = radii(real), radii(fake)
    inside = np.array(
        [[np.linalg.norm(r - f) <= radius for f in fake] for r, radius in zip(real, real_radii, strict=True)]
    )
    recalled = [any(np.linalg.norm(r - f) <= radius for f, radius in zip(fake, fake_radii, strict=True)) for r in real]
    return inside.any(0).mean(), np.mean(recalled), inside.sum() / (k * len(fake)), inside.any(1).mean()


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_and_recall_equal_the_loops(block, dtype, monkeypatch):
    monkeypatch.setattr(manifold_module, "BLOCK", block)
    real, fake = features(40, seed=0, width=4).astype(dtype), features(35, seed=1, width=4, shift=0.4).astype(dtype)
    found = precision_recall(real, fake, neighbours=3)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(
        slow_manifold(real, fake, 3), rel=1e-12
    )
    assert 0.1 < found.precision < 1
    assert 0.1 < found.recall < 1


def test_generated_twins_of_one_real_crop_are_precise_and_recall_little():
    real = np.arange(10.0)[:, None]
    fake = np.full((10, 1), 3.0)
    found = precision_recall(real, fake, neighbours=1)
    assert found.precision == 1
    assert found.recall == 0.1  # the crop itself: the twins' balls have no width


def test_precision_and_recall_need_neighbours():
    with pytest.raises(DataError, match="more than 3"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
