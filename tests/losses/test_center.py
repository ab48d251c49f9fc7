import pytest
import torch

from reidgen.losses.center import center_loss, moved_centers


def made(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(7, 4, generator=generator, dtype=torch.float64).to(dtype)
    centers = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return embeddings, torch.tensor([0, 3, 3, 4, -1, 3, 0]), centers


def slow_centers(embeddings, labels, centers, rate):
    """Equation 4 of the paper, center by center."""
    moved = centers.clone()
    for j in range(len(centers)):
        delta, count = torch.zeros_like(centers[j]), 0
        for x, label in zip(embeddings, labels.tolist(), strict=True):
            if label == j:
                delta, count = delta + (centers[j] - x), count + 1
        moved[j] = centers[j] - rate * delta / (1 + count)
    return moved


def test_equals_the_formula_written_as_a_loop():
    embeddings, labels, centers = made()
    apart = [((x - centers[k]) ** 2).sum() for x, k in zip(embeddings, labels.tolist(), strict=True) if k >= 0]
    assert center_loss(embeddings, labels, centers).item() == pytest.approx(float(sum(apart)) / 6, rel=1e-12)
    expected = slow_centers(embeddings, labels, centers, 0.5)
    torch.testing.assert_close(moved_centers(embeddings, labels, centers), expected, rtol=1e-12, atol=0)
    assert torch.equal(expected[[1, 2]], centers[[1, 2]])  # no crop of theirs in the batch


def test_by_hand():
    """One person at 0, crops at 3 and 5: mean of 9 and 25; the center goes half of (0 - 3 + 0 - 5) / 3 back."""
    embeddings, labels, centers = torch.tensor([[3.0], [5.0]]), torch.tensor([0, 0]), torch.zeros(1, 1)
    assert center_loss(embeddings, labels, centers).item() == 17
    assert moved_centers(embeddings, labels, centers).item() == pytest.approx(0.5 * 8 / 3)


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
