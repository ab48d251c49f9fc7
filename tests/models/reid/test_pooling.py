import pytest
import torch

from reidgen.models.reid.pooling import GeneralizedMeanPool, make_pool

MAPS = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 8.0]]]])


def test_by_hand():
    """p = 3: ((1 + 8 + 27 + 64) / 4)^(1/3) = 25^(1/3), and (512 / 4)^(1/3)."""
    assert GeneralizedMeanPool()(MAPS).tolist()[0] == pytest.approx([25 ** (1 / 3), 128 ** (1 / 3)], rel=1e-6)
    assert make_pool("average")(MAPS).tolist() == [[2.5, 2.0]]


def test_p_goes_from_the_mean_to_the_maximum_and_is_learned():
    assert GeneralizedMeanPool(1.0)(MAPS).tolist()[0] == pytest.approx([2.5, 2.0], rel=1e-5)
    assert GeneralizedMeanPool(60.0)(MAPS / 8).tolist()[0] == pytest.approx([0.5, 1.0], rel=0.03)
    pool = GeneralizedMeanPool().double()
    maps = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1

    def pooled(power):
        return maps.pow(power).mean(dim=(2, 3)).pow(1 / power).sum().item()

    pool(maps.float()).sum().backward()
    assert pool.power.grad.item() == pytest.approx((pooled(3.001) - pooled(2.999)) / 0.002, rel=1e-3)


def test_dead_channels_have_finite_gradients_and_half_precision_is_float32():
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pool = GeneralizedMeanPool()
    pool(maps).sum().backward()
    assert maps.grad.isfinite().all() and pool.power.grad.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        out = pool(MAPS.bfloat16())
    assert out.dtype == torch.float32
    assert out.tolist()[0] == pytest.approx([25 ** (1 / 3), 128 ** (1 / 3)], rel=1e-6)
