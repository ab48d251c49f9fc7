import pytest
import torch
from torch import nn

from reidgen.backbones.reid_model import build_network
from reidgen.config import ReidConfig
from reidgen.errors import ConfigError
from reidgen.models.reid.embedder import Embedder
from reidgen.models.resnet import ResNet
from reidgen.reid.maps import activation_maps, local_embeddings

pytestmark = pytest.mark.usefixtures("narrow")


def made(neck="bottleneck", compare="after", pooling="average"):
    network = Embedder(ResNet("resnet18"), width=6, people=5, neck=neck, compare=compare, pooling=pooling)
    network.initialise(torch.Generator().manual_seed(0))
    for name, tensor in network.named_buffers():  # as after a training, not as at its start
        if name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand(tensor.shape, generator=torch.Generator().manual_seed(len(name))) + 0.5)
    nn.init.normal_(network.classifier.weight, generator=torch.Generator().manual_seed(1))
    return network.eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 96, 64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("neck", ["bottleneck", "bottleneck-relu", "bnneck", "none"])
@pytest.mark.parametrize("compare", ["after", "before"])
def test_the_mean_over_places_is_what_the_network_says(narrow, images, neck, compare):
    network = made(neck, compare)
    with torch.no_grad():
        said = network(images)
    local = local_embeddings(network, images)
    assert local.shape == (3, 3, 2, network.width)
    torch.testing.assert_close(local.mean(dim=(1, 2)), said.embedding, rtol=1e-4, atol=1e-5)
    bias = 0 if network.classifier.bias is None else network.classifier.bias[said.logits.argmax(dim=1)]
    best = activation_maps(network, images, "class")
    torch.testing.assert_close(best.mean(dim=(1, 2)), said.logits.max(dim=1).values - bias, rtol=1e-4, atol=1e-5)
    match = activation_maps(network, images, "match", query=said.embedding[[0, 0, 0]])
    products = (said.embedding * said.embedding[0]).sum(dim=1)
    torch.testing.assert_close(match.mean(dim=(1, 2)), products, rtol=1e-4, atol=1e-4)


def test_energy_is_the_length_of_each_place(narrow, images):
    network = made(pooling="gem")
    with torch.no_grad():
        maps = network.backbone(images)
    found = activation_maps(network, images)
    for y in range(3):
        for x in range(2):
            torch.testing.assert_close(found[1, y, x], sum(maps[1, :, y, x] ** 2) ** 0.5)


@pytest.mark.parametrize("kind", ["match", "class"])
def test_maps_that_need_the_average_are_refused_without(narrow, images, kind):
    with pytest.raises(ConfigError, match=r"pools otherwise(.|\n)*maps='energy'"):
        activation_maps(made(pooling="gem"), images, kind, query=torch.zeros(3, 6))


def test_a_network_of_a_config_has_maps(narrow, images):
    config = ReidConfig(backbone="resnet18", weights="random", size=(96, 64), bottleneck=8)
    network = build_network(config, people=2)
    network.initialise(torch.Generator().manual_seed(0))
    assert activation_maps(network.eval(), images, "class").shape == (3, 3, 2)
