import pytest
import torch

from reidgen.losses.images.perceptual import feature_distance, lpips_distance


def slowly(a, b):
    """Position by position, from cosines."""
    totals = []
    for image in range(len(a[0])):
        total = 0.0
        for x, y in zip(a, b, strict=True):
            _, height, width = x[image].shape
            spots = [(i, j) for i in range(height) for j in range(width)]
            cosines = [torch.cosine_similarity(x[image, :, i, j], y[image, :, i, j], dim=0).item() for i, j in spots]
            total += sum(2 - 2 * cosine for cosine in cosines) / len(spots)
        totals.append(total)
    return totals


def test_it_is_two_minus_two_cosines_of_each_position():
    draw = torch.Generator().manual_seed(0)
    shapes = [(3, 5, 4, 2), (3, 7, 2, 1)]
    a, b = ([torch.randn(shape, generator=draw) for shape in shapes] for _ in range(2))
    assert feature_distance(a, b).tolist() == pytest.approx(slowly(a, b), abs=1e-5)


def test_by_hand():
    a = torch.tensor([[3.0, 0.0], [0.0, 2.0]]).T.reshape(1, 2, 1, 2)  # features (3, 0) and (0, 2)
    b = torch.tensor([[0.0, 5.0], [0.0, 9.0]]).T.reshape(1, 2, 1, 2)  # (0, 5) and (0, 9)
    assert feature_distance([a], [b]).tolist() == pytest.approx([(2 + 0) / 2])
    assert feature_distance([a], [-a]).tolist() == pytest.approx([4.0])
    assert feature_distance([a, b], [a, b]).tolist() == [0.0]


def test_features_that_are_all_zero_have_a_slope():
    a = torch.zeros(1, 3, 2, 2, requires_grad=True)
    feature_distance([a], [torch.ones(1, 3, 2, 2)]).sum().backward()
    assert a.grad is not None and torch.isfinite(a.grad).all()


def test_lpips_is_a_weighted_sum_position_by_position():
    draw = torch.Generator().manual_seed(1)
    shapes = [(2, 5, 4, 2), (2, 7, 2, 1)]
    a, b = ([torch.randn(shape, generator=draw) for shape in shapes] for _ in range(2))
    heads = [torch.rand(shape[1], generator=draw) for shape in shapes]
    for image, found in enumerate(lpips_distance(a, b, heads).tolist()):
        total = 0.0
        for x, y, weights in zip(a, b, heads, strict=True):
            spots = [(i, j) for i in range(x.shape[2]) for j in range(x.shape[3])]
            for i, j in spots:
                u, v = x[image, :, i, j], y[image, :, i, j]
                u, v = u / u.norm(), v / v.norm()
                total += sum(w * (p - q) ** 2 for w, p, q in zip(weights, u, v, strict=True)).item() / len(spots)
        assert found == pytest.approx(total, rel=1e-5)


def test_lpips_by_hand_and_where_features_are_zero():
    a = torch.tensor([[3.0, 0.0], [0.0, 2.0]]).T.reshape(1, 2, 1, 2)  # features (3, 0) and (0, 2)
    b = torch.tensor([[0.0, 5.0], [0.0, 9.0]]).T.reshape(1, 2, 1, 2)  # (0, 5) and (0, 9)
    assert lpips_distance([a], [b], [torch.tensor([0.5, 0.25])]).tolist() == pytest.approx([(0.75 + 0) / 2])
    zero = torch.zeros(1, 2, 1, 2, requires_grad=True)
    lpips_distance([zero], [b], [torch.ones(2)]).sum().backward()
    assert zero.grad is not None and torch.isfinite(zero.grad).all()
