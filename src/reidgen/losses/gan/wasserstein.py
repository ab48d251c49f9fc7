"""The Wasserstein GAN loss and the penalty that keeps its critic's slope at one (Gulrajani et al. 2017)."""

import torch
from torch import Tensor


def wasserstein_generator_loss(fake_logits: Tensor) -> Tensor:
    """Minus the mean of D(G(x)) (Choi et al. 2018, equation 8)."""
    return -fake_logits.mean()


def wasserstein_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of D(G(x)) minus mean of D(y), without the penalty (Choi et al. 2018, equation 8)."""
    return fake_logits.mean() - real_logits.mean()


def slope_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Mean over the batch of (|gradient of D at an image| - 1)^2 (Gulrajani et al. 2017, equation 3).

    Args:
        logits: (N, ...), computed from `images`; an image with several logits counts with their mean, so that the
            penalty does not depend on how many patches a canvas has.
        images: (N, C, H, W), points between a real and a fake image; a leaf that requires gradients.

    Returns:
        A scalar that can be differentiated again.
    """
    judged = logits.flatten(1).mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(judged, images, create_graph=True)
    norms = torch.linalg.vector_norm(gradient, dim=(1, 2, 3))
    return (norms - 1).square().mean()


def between(reals: Tensor, fakes: Tensor, shares: Tensor) -> Tensor:
    """Points between each real and its fake image, as a leaf that requires gradients (Gulrajani et al. 2017, 4).

    Args:
        reals: (N, C, H, W).
        fakes: (N, C, H, W).
        shares: (N,), of the real image, 0 to 1.
    """
    return torch.lerp(fakes.detach(), reals.detach(), shares[:, None, None, None]).requires_grad_()
