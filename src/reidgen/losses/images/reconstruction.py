"""Mean absolute errors: of an image against the one wanted, and of what comes back from a cycle."""

from torch import Tensor


def absolute_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean of |made - wanted| over all values: pix2pix's L1 (Isola et al. 2017, equation 3; the thesis, equation 4).

    CycleGAN's identity loss is the same of what a generator makes of a crop that is in its target already (Zhu et al.
    2017, section 5.2).
    """
    return (made - wanted).abs().mean()


def cycle_error(first: Tensor, first_back: Tensor, second: Tensor, second_back: Tensor) -> Tensor:
    """Mean of |F(G(x)) - x| plus mean of |G(F(y)) - y| (Zhu et al. 2017, equation 2)."""
    return absolute_error(first_back, first) + absolute_error(second_back, second)
