"""The non-saturating logistic GAN loss."""

from torch import Tensor
from torch.nn import functional


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Mean of softplus(-D(G(z))) (Goodfellow et al. 2014, section 3, the non-saturating form)."""
    return functional.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of softplus(-D(x)) plus mean of softplus(D(G(z))) (Goodfellow et al. 2014, equation 1, on logits)."""
    return functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()
