import math

import pytest
import torch

from reidgen.losses.gan.adversarial import (
    discriminator_loss,
    generator_loss,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)


def test_by_hand():
    fake, real = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [-1.0]])
    assert generator_loss(fake).item() == pytest.approx((math.log(2) + math.log(1 + math.exp(-2))) / 2)
    on_fake = (math.log(2) + math.log(1 + math.exp(2))) / 2
    on_real = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2
    assert discriminator_loss(real, fake).item() == pytest.approx(on_fake + on_real)


def test_sure_logits_do_not_overflow():
    assert generator_loss(torch.tensor([[-1e4]])).item() == pytest.approx(1e4)
    assert discriminator_loss(torch.tensor([[1e4]]), torch.tensor([[-1e4]])).item() == 0


def test_relativistic_losses_pair_by_pair():
    """Huang et al. 2024, equation 2, in its own words: f(t) = -log(1 + e^-t) of the difference, averaged over pairs."""
    real, fake = torch.tensor([[1.0], [-1.0], [0.5]]), torch.tensor([[0.0], [2.0], [0.5]])

    def f(t):
        return -math.log(1 + math.exp(-t))

    pairs = list(zip(real.flatten().tolist(), fake.flatten().tolist(), strict=True))
    of_generator = -sum(f(g - r) for r, g in pairs) / 3
    of_discriminator = -sum(f(r - g) for r, g in pairs) / 3
    assert relativistic_generator_loss(real, fake).item() == pytest.approx(of_generator)
    assert relativistic_discriminator_loss(real, fake).item() == pytest.approx(of_discriminator)
    shifted = (real + 7, fake + 7)  # one logit alone means nothing
    assert relativistic_generator_loss(*shifted).item() == pytest.approx(of_generator)
