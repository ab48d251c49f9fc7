"""GAN losses on logits: the non-saturating logistic one, and the relativistic one that compares pairs."""

from torch import Tensor
from torch.nn import functional


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Mean of softplus(-D(G(z))) (Goodfellow et al. 2014, section 3, the non-saturating form)."""
    return functional.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of softplus(-D(x)) plus mean of softplus(D(G(z))) (Goodfellow et al. 2014, equation 1, on logits)."""
    return functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()


def relativistic_generator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of softplus(-(D(G(z)) - D(x))) over pairs of a fake and a real image.

    Huang et al. 2024 (R3GAN), equation 2 with f(t) = -log(1 + e^-t), in the non-saturating form.
    """
    return functional.softplus(real_logits - fake_logits).mean()


def relativistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of softplus(-(D(x) - D(G(z)))) over pairs (Huang et al. 2024, equation 2)."""
    return functional.softplus(fake_logits - real_logits).mean()
