import torch

from reidgen.losses.gan.path_length import path_lengths, path_penalty


def test_linear_generator_by_hand():
    """G(ws) = sum over layers of A_l w_l: the product with y is A_l^T y in each layer."""
    torch.manual_seed(0)
    maps = torch.randn(2, 12, 5, dtype=torch.float64)
    ws = torch.randn(4, 2, 5, dtype=torch.float64, requires_grad=True)
    images = torch.einsum("lpd,nld->np", maps, ws).view(4, 3, 2, 2)
    noise = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    lengths = path_lengths(images, ws, noise)
    for n in range(4):
        products = [maps[layer].t() @ noise[n].flatten() / 2 for layer in range(2)]
        expected = (sum((product**2).sum() for product in products) / 2).sqrt()
        torch.testing.assert_close(lengths[n].detach(), expected)


def test_penalty_and_running_mean():
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty, mean = path_penalty(lengths, torch.tensor(1.0))
    torch.testing.assert_close(mean, torch.tensor(1.01))
    torch.testing.assert_close(penalty, torch.tensor((0.01**2 + 1.99**2) / 2))
    assert not mean.requires_grad
    torch.testing.assert_close(torch.autograd.grad(penalty, lengths)[0], torch.tensor([-0.01, 1.99]))
