import pytest
import torch

from reidgen.models.translation.siamese import SimilarityNetwork


@pytest.mark.parametrize("size", [(256, 256), (128, 64), (64, 32), (32, 16), (16, 16), (160, 64)])
def test_unit_vectors_at_any_canvas(size):
    torch.manual_seed(0)
    network = SimilarityNetwork(size, width=2).eval()
    points = network(torch.randn(3, 3, *size))
    assert points.shape == (3, 64)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(3))


def test_the_layers_of_the_paper_at_its_canvas():
    network = SimilarityNetwork((256, 256))
    convolutions = [m for m in network.layers if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512]
    assert all(m.kernel_size == (4, 4) and m.stride == (2, 2) for m in convolutions)
    assert [m.kernel_size for m in network.layers if isinstance(m, torch.nn.MaxPool2d)] == [(2, 2)] * 4
    assert network.hidden[0].weight.shape == (128, 512), "one pixel is left"
    assert network.last.weight.shape == (64, 128)


def test_what_dropout_keeps_is_given():
    """Dropped units count for nothing, the others double."""
    torch.manual_seed(0)
    network, images = SimilarityNetwork((32, 16), width=2), torch.randn(3, 3, 32, 16)
    kept = torch.rand(3, 128) < 0.5
    hidden = network.hidden(network.layers(images).flatten(1))
    expected = torch.stack([network.last(torch.where(k, 2 * h, 0 * h)) for h, k in zip(hidden, kept, strict=True)])
    torch.testing.assert_close(network(images, kept), expected / expected.norm(dim=1, keepdim=True))
    assert not torch.allclose(network(images), network(images, kept))


def test_poolings_of_a_narrow_canvas():
    network = SimilarityNetwork((128, 64), width=1)
    assert [m.kernel_size for m in network.layers if isinstance(m, torch.nn.MaxPool2d)] == [
        (2, 2),
        (2, 2),
        (2, 1),
        (1, 1),
    ]
