import pytest
import torch

from reidgen.losses.reid.center import center_loss, moved_centers


def made(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(7, 4, generator=generator, dtype=torch.float64).to(dtype)
    centers = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return embeddings, torch.tensor([0, 3, 3, 4, -1, 3, 0]), centers


def slow_centers(embeddings, labels, centers, rate):
    """Gradient descent on the mean squared distance, by autograd, crop by crop."""
    moved = centers.clone().requires_grad_()
    kept = [(x, k) for x, k in zip(embeddings, labels.tolist(), strict=True) if k >= 0]
    sum(((x - moved[k]) ** 2).sum() / len(kept) for x, k in kept).backward()
    torch.optim.SGD([moved], lr=rate).step()
    return moved.detach()


def test_equals_the_formula_written_as_a_loop():
    embeddings, labels, centers = made()
    apart = [((x - centers[k]) ** 2).sum() for x, k in zip(embeddings, labels.tolist(), strict=True) if k >= 0]
    assert center_loss(embeddings, labels, centers).item() == pytest.approx(float(sum(apart)) / 6, rel=1e-12)
    expected = slow_centers(embeddings, labels, centers, 0.5)
    torch.testing.assert_close(moved_centers(embeddings, labels, centers), expected, rtol=1e-12, atol=0)
    assert torch.equal(expected[[1, 2]], centers[[1, 2]])  # no crop of theirs in the batch


def test_by_hand():
    """Crops at 3 and 5 of a person at 0, at 6 and 10 of one at 10, and one of nobody.

    The mean of 9, 25, 16 and 0 is 12.5; half of 2 / 4 times 3 + 5 takes the first center from 0 to 2, and times -4 + 0
    the second from 10 to 9.
    """
    embeddings, labels = torch.tensor([[3.0], [6.0], [5.0], [10.0], [99.0]]), torch.tensor([0, 1, 0, 1, -1])
    centers = torch.tensor([[0.0], [10.0], [7.0]])
    assert center_loss(embeddings, labels, centers).item() == 12.5
    assert moved_centers(embeddings, labels, centers).tolist() == [[2.0], [9.0], [7.0]]
    assert moved_centers(embeddings, labels, centers, rate=0.25).tolist() == [[1.0], [9.5], [7.0]]


def test_a_batch_of_the_recipe_moves_a_center_by_a_sixteenth():
    """16 people x 4 crops: 0.5 x 2 / 64 x 4 = 1 / 16 of the way to the mean of the person's crops."""
    labels = torch.arange(16).repeat_interleave(4)
    embeddings = torch.full((64, 2), 16.0)
    assert moved_centers(embeddings, labels, torch.zeros(16, 2)).eq(1).all()


def test_only_the_embeddings_have_a_gradient():
    embeddings, labels, centers = made()
    centers.requires_grad_()
    embeddings.requires_grad_()
    loss = center_loss(embeddings, labels, centers)
    (gradient,) = torch.autograd.grad(loss, embeddings)
    assert not gradient[4].any()
    torch.testing.assert_close(gradient[1], 2 / 6 * (embeddings - centers[labels])[1].detach(), rtol=1e-12, atol=0)
    assert not moved_centers(embeddings, labels, centers).requires_grad


def test_centers_come_to_rest_at_the_means():
    embeddings, labels, centers = made()
    for _ in range(200):
        centers = moved_centers(embeddings, labels, centers)
    torch.testing.assert_close(centers[3], embeddings[[1, 2, 5]].mean(dim=0))


def test_half_precision_is_computed_in_float32():
    embeddings, labels, centers = made(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss, moved = center_loss(embeddings, labels, centers), moved_centers(embeddings, labels, centers.float())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(center_loss(embeddings.double(), labels, centers).item(), rel=1e-5)
    torch.testing.assert_close(moved.double(), slow_centers(embeddings.double(), labels, centers, 0.5))


def test_a_batch_of_nobody_is_0():
    embeddings, _, centers = made()
    nobody = torch.full((7,), -1)
    assert center_loss(embeddings.requires_grad_(), nobody, centers).item() == 0
    assert torch.equal(moved_centers(embeddings, nobody, centers), centers)
