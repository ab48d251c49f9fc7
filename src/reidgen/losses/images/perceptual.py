"""Perceptual distances: how far apart the features are that a network sees in two images."""

from collections.abc import Sequence

from torch import Tensor

EPS = 1e-10
SMALLEST_SQUARE = 1e-24  # below it a length has no slope


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


def lpips_distance(a: Sequence[Tensor], b: Sequence[Tensor], heads: Sequence[Tensor]) -> Tensor:
    """LPIPS: squared distance of unit feature vectors with a weight a channel, mean over positions, sum over stages.

    Zhang et al. 2018, equation 1, in the form of version 0.1: the learned weights stand outside of the square, and a
    length has 1e-10 added to it. It is LPIPS only with that version's networks and heads.

    Args:
        a: Maps (N, C, H, W) of the stages of a network, each stage with its own C, H, W.
        b: Those of the other images.
        heads: The weights of the channels, one (C,) a stage.

    Returns:
        (N,), float32.
    """
    total = sum(
        ((_long(x) - _long(y)).square() * weights[:, None, None]).sum(dim=1).mean(dim=(1, 2))
        for x, y, weights in zip(a, b, heads, strict=True)
    )
    assert isinstance(total, Tensor), "at least one stage"
    return total


def _long(maps: Tensor) -> Tensor:
    """Each position's features (N, C, H, W) over their length plus 1e-10; where all are 0 they stay so."""
    maps = maps.float()
    return maps / (maps.square().sum(dim=1, keepdim=True).clamp_min(SMALLEST_SQUARE).sqrt() + EPS)


def _unit(maps: Tensor) -> Tensor:
    """Each position's features (N, C, H, W) at length 1; where all are 0 they stay so."""
    maps = maps.float()
    # the sum, not the root, gets the small number: a root has no slope at 0
    return maps * (maps.square().sum(dim=1, keepdim=True) + EPS).rsqrt()
