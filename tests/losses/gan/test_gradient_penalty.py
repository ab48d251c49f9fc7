import torch

from reidgen.losses.gan.gradient_penalty import r1_penalty


def test_linear_discriminator_by_hand():
    """D(x) = a.x has the gradient a everywhere, so the penalty is |a|^2."""
    a = torch.tensor([1.0, -2.0, 0.5, 3.0]).view(1, 1, 2, 2).requires_grad_()
    images = torch.randn(5, 1, 2, 2, requires_grad=True)
    penalty = r1_penalty((a * images).sum(dim=(1, 2, 3))[:, None], images)
    torch.testing.assert_close(penalty, torch.tensor(1 + 4 + 0.25 + 9.0))
    (gradient,) = torch.autograd.grad(penalty, a)
    torch.testing.assert_close(gradient, 2 * a)


def test_tiny_network_against_sample_by_sample():
    torch.manual_seed(0)
    first, second = torch.randn(4, 6, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64, requires_grad=True)

    def judge(x):
        return torch.tanh(x.flatten(1) @ first.t()) @ second.t()

    images = torch.randn(3, 1, 2, 3, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(judge(images), images)
    by_hand = 0.0
    for image in images.detach():
        slope = (1 - torch.tanh(first @ image.flatten()) ** 2) * second[0]
        by_hand = by_hand + ((slope @ first) ** 2).sum() / 3
    torch.testing.assert_close(penalty, by_hand)
    torch.testing.assert_close(torch.autograd.grad(penalty, second)[0], torch.autograd.grad(by_hand, second)[0])
