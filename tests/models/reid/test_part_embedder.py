import pytest
import torch
from torch import nn

from reidgen.models.reid.embedder import Embedder
from reidgen.models.reid.part_embedder import PartEmbedder


class Maps(nn.Module):
    """A backbone whose map is the picture itself."""

    channels = 3

    def forward(self, images):
        return images

    def initialise(self, generator):
        pass


@pytest.mark.parametrize(("parts", "height"), [(3, 6), (3, 7), (2, 5), (3, 2)])
def test_stripes_are_those_of_adaptive_pooling(parts, height):
    images = torch.randn(4, 3, height, 5, generator=torch.Generator().manual_seed(0))
    network = PartEmbedder(Maps(), parts=parts).eval()  # necks that have seen nothing only divide by sqrt(1 + eps)
    pooled = torch.nn.functional.adaptive_avg_pool2d(images, (parts, 1)).squeeze(3).transpose(1, 2)
    out = network(images)
    torch.testing.assert_close(out.parts, pooled / (1 + 1e-5) ** 0.5)
    assert out.parts.shape == (4, parts, 3)


def test_the_whole_crop_is_what_an_embedder_with_bnneck_says():
    images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    network = PartEmbedder(Maps(), parts=3)
    network(images)  # moves the running statistics
    alone = Embedder(Maps(), width=0, people=2, neck="bnneck")
    alone.load_state_dict(network.global_state(torch.ones(2, 3)))
    torch.testing.assert_close(network.eval()(images).embedding, alone.eval()(images).embedding)


def test_without_parts_there_are_none():
    out = PartEmbedder(Maps(), parts=0)(torch.zeros(2, 3, 4, 4))
    assert out.parts.shape == (2, 0, 3)


def test_the_necks_biases_stay():
    network = PartEmbedder(Maps(), parts=2)
    assert [name for name, value in network.named_parameters() if not value.requires_grad] == [
        "norm.bias",
        "part_norms.0.bias",
        "part_norms.1.bias",
    ]
