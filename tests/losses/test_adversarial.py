import math

import pytest
import torch

from reidgen.losses.adversarial import discriminator_loss, generator_loss


def test_by_hand():
    fake, real = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [-1.0]])
    assert generator_loss(fake).item() == pytest.approx((math.log(2) + math.log(1 + math.exp(-2))) / 2)
    on_fake = (math.log(2) + math.log(1 + math.exp(2))) / 2
    on_real = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2
    assert discriminator_loss(real, fake).item() == pytest.approx(on_fake + on_real)


def test_sure_logits_do_not_overflow():
    assert generator_loss(torch.tensor([[-1e4]])).item() == pytest.approx(1e4)
    assert discriminator_loss(torch.tensor([[1e4]]), torch.tensor([[-1e4]])).item() == 0
