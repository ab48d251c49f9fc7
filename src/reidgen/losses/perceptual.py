"""A perceptual distance: how far apart the features are that a network sees in two images."""

from collections.abc import Sequence

from torch import Tensor

EPS = 1e-10


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Squared distance of unit feature vectors, mean over positions, sum over stages.

    The form of LPIPS (Zhang et al. 2018, equation 1) without its learned weights of channels, so it must not be called
    by that name. At each position of each stage it is 2 - 2 cosine, so the sum is from 0 to 4 times the stages.

    Args:
        a: Maps (N, C, H, W) of the stages of a network, each stage with its own C, H, W.
        b: Those of the other images.

    Returns:
        (N,), float32.
    """
    assert len(a) == len(b), "the same stages"
    total = sum((_unit(x) - _unit(y)).square().sum(dim=1).mean(dim=(1, 2)) for x, y in zip(a, b, strict=True))
    assert isinstance(total, Tensor), "at least one stage"
    return total


def _unit(maps: Tensor) -> Tensor:
    """Each position's features (N, C, H, W) at length 1; where all are 0 they stay so."""
    maps = maps.float()
    # the sum, not the root, gets the small number: a root has no slope at 0
    return maps * (maps.square().sum(dim=1, keepdim=True) + EPS).rsqrt()
