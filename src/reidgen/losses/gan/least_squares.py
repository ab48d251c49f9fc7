"""The least squares GAN loss (Mao et al. 2017), in the form of CycleGAN (Zhu et al. 2017, section 4)."""

from torch import Tensor


def least_squares_generator_loss(fake_logits: Tensor) -> Tensor:
    """Mean of (D(G(x)) - 1)^2."""
    return (fake_logits - 1).square().mean()


def least_squares_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of (D(y) - 1)^2 plus mean of D(G(x))^2."""
    return (real_logits - 1).square().mean() + fake_logits.square().mean()
