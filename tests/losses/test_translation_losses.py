"""Each loss of the translators against loops over its formula."""

import math

import numpy as np
import pytest
import torch

from reidgen.losses.gan.least_squares import least_squares_discriminator_loss, least_squares_generator_loss
from reidgen.losses.gan.wasserstein import (
    between,
    slope_penalty,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from reidgen.losses.images.person_and_place import static_losses, variable_losses
from reidgen.losses.images.reconstruction import absolute_error, cycle_error
from reidgen.losses.images.similarity import contrastive_loss, similarity_loss


def images(*seeds, shape=(2, 3, 4, 3)):
    return [torch.randn(shape, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in seeds]


def masks(*seeds, soft=False):
    drawn = [torch.rand((2, 1, 4, 3), generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in seeds]
    return drawn if soft else [(mask > 0.5).double() for mask in drawn]


def test_absolute_and_cycle_error_by_loops():
    x, x_back, y, y_back = images(0, 1, 2, 3)
    first = np.mean([abs(a - b) for a, b in zip(x.flatten().tolist(), x_back.flatten().tolist(), strict=True)])
    second = np.mean([abs(a - b) for a, b in zip(y.flatten().tolist(), y_back.flatten().tolist(), strict=True)])
    assert absolute_error(x, x_back).item() == pytest.approx(first)
    assert cycle_error(x, x_back, y, y_back).item() == pytest.approx(first + second)


@pytest.mark.parametrize("soft", [False, True])
def test_static_losses_by_loops(soft):
    (made, source, target), (m_in, m_out) = images(0, 1, 2), masks(3, 4, soft=soft)
    foreground = background = 0.0
    for n, c, i, j in np.ndindex(*made.shape):
        here, out = m_in[n, 0, i, j].item(), m_out[n, 0, i, j].item()
        foreground += abs((made - source)[n, c, i, j].item()) * here
        background += abs((made - target)[n, c, i, j].item()) * (1 - here) * (1 - out)
    losses = static_losses(made, source, target, m_in, m_out)
    assert [loss.item() for loss in losses] == pytest.approx([foreground / made.numel(), background / made.numel()])


def test_variable_losses_by_loops():
    (made, target), (mask,) = images(0, 1), masks(2)
    foreground = background = 0.0
    for n, c, i, j in np.ndindex(*made.shape):
        error = abs((made - target)[n, c, i, j].item())
        foreground += error * mask[n, 0, i, j].item()
        background += error * (1 - mask[n, 0, i, j].item())
    losses = variable_losses(made, target, mask)
    assert [loss.item() for loss in losses] == pytest.approx([foreground / made.numel(), background / made.numel()])
    assert sum(losses).item() == pytest.approx(absolute_error(made, target).item())


def test_the_gap_between_person_and_place_is_free():
    """Where the target's person stands and the source's does not, nothing holds the image: the gap of section 6.1."""
    (made, source, target), (m_in, m_out) = images(0, 1, 2), masks(3, 4)
    made.requires_grad_()
    sum(static_losses(made, source, target, m_in, m_out)).backward()
    gap = ((1 - m_in) * m_out).expand_as(made).bool()
    assert gap.any()
    assert (made.grad[gap] == 0).all()
    assert (made.grad[~gap] != 0).all()


def test_least_squares_by_hand():
    fake, real = torch.tensor([[0.5, 2.0]]), torch.tensor([[1.0, -1.0]])
    assert least_squares_generator_loss(fake).item() == pytest.approx((0.25 + 1) / 2)
    assert least_squares_discriminator_loss(real, fake).item() == pytest.approx(4 / 2 + (0.25 + 4) / 2)


def test_wasserstein_by_hand():
    fake, real = torch.tensor([[0.5, 2.0]]), torch.tensor([[1.0, -1.0]])
    assert wasserstein_generator_loss(fake).item() == -1.25
    assert wasserstein_discriminator_loss(real, fake).item() == 1.25


def test_slope_penalty_of_a_linear_critic_by_hand():
    """D(x) = (a.x, b.x): the mean of both has the gradient (a + b) / 2 everywhere."""
    a, b = images(0, 1, shape=(1, 2, 3, 2))
    x = images(2, shape=(5, 2, 3, 2))[0].requires_grad_()
    logits = torch.stack([(x * a).sum(dim=(1, 2, 3)), (x * b).sum(dim=(1, 2, 3))], dim=1).requires_grad_()
    expected = (((a + b) / 2).norm().item() - 1) ** 2
    assert slope_penalty(logits, x).item() == pytest.approx(expected)


def test_slope_penalty_image_by_image_and_its_slope():
    first = images(0, shape=(4, 6))[0]
    second = images(1, shape=(1, 4))[0].requires_grad_()
    x = images(2, shape=(3, 1, 2, 3))[0].requires_grad_()
    penalty = slope_penalty(torch.tanh(x.flatten(1) @ first.t()) @ second.t(), x)
    by_hand = 0.0
    for image in x.detach():
        slope = ((1 - torch.tanh(first @ image.flatten()) ** 2) * second[0]) @ first
        by_hand = by_hand + (slope.norm() - 1) ** 2 / 3
    torch.testing.assert_close(penalty, by_hand)
    torch.testing.assert_close(torch.autograd.grad(penalty, second)[0], torch.autograd.grad(by_hand, second)[0])


def test_points_between():
    real, fake = images(0, 1)
    points = between(real, fake, torch.tensor([0.0, 0.25], dtype=torch.float64))
    torch.testing.assert_close(points[0], fake[0])
    torch.testing.assert_close(points[1], 0.25 * real[1] + 0.75 * fake[1])
    assert points.is_leaf
    assert points.requires_grad


def test_contrastive_loss_by_loops():
    first, second = images(0, 1, shape=(5, 3))
    apart = near = 0.0
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        distance = math.dist(a, b)
        near += distance**2 / 5
        apart += max(0.0, 2 - distance) ** 2 / 5
    assert contrastive_loss(first, second, same=True).item() == pytest.approx(near)
    assert contrastive_loss(first, second, same=False).item() == pytest.approx(apart)
    assert contrastive_loss(first, first + 9, same=False).item() == 0


def test_equal_embeddings_have_a_finite_slope():
    x = torch.ones(2, 3, requires_grad=True)
    contrastive_loss(x, x.detach().clone(), same=False).backward()
    assert torch.isfinite(x.grad).all()


def test_similarity_loss_pair_by_pair():
    source, source_moved, target, target_moved = images(0, 1, 2, 3, shape=(4, 3))
    total = contrastive_loss(source, source_moved, same=True) + contrastive_loss(target, target_moved, same=True)
    total = total + contrastive_loss(source_moved, target, same=False)
    total = total + contrastive_loss(target_moved, source, same=False)
    assert similarity_loss(source, source_moved, target, target_moved).item() == pytest.approx(total.item() / 3)
