import pytest
import torch

from reidgen.models import resnet
from reidgen.models.resnet import ResNet
from reidgen.models.stylegan.encoder import Encoder, Head


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 16))


@pytest.mark.parametrize("size", [(16, 8), (64, 32), (128, 64), (32, 32)])
def test_a_step_for_each_w_of_any_rectangle(size):
    network = Encoder("resnet18", size=size, num_ws=5, w_dim=6, width=4)
    network.initialise(torch.Generator().manual_seed(0))
    step = network(torch.rand(2, 3, *size), torch.rand(2, 3, *size))
    assert step.shape == (2, 5, 6)
    assert 0 < step.abs().max() < 0.1  # the first step is a small one
    assert len({tuple(one.flatten().tolist()) for one in step.unbind(dim=1)}) == 5  # each head has its own


def test_halvings_bring_the_map_to_a_height_of_one():
    network = Encoder("resnet18", size=(128, 64), num_ws=1, w_dim=6, width=4)
    head = network.heads[0]
    assert isinstance(head, Head)
    assert head.convolutions(torch.rand(1, 16, 8, 4)).shape == (1, 4, 1, 1)
    with torch.no_grad():
        shapes = [module.stride for module in head.convolutions if isinstance(module, torch.nn.Conv2d)]
    assert shapes == [(2, 2)] * 3


def test_it_sees_the_crop_and_its_reconstruction():
    network = Encoder("resnet18", size=(16, 8), num_ws=2, w_dim=3, width=4)
    network.initialise(torch.Generator().manual_seed(0))
    network.eval()
    a, b = torch.rand(1, 3, 16, 8), torch.rand(1, 3, 16, 8)
    assert not torch.allclose(network(a, a), network(a, b))
    assert not torch.allclose(network(a, b), network(b, a))


def test_same_seed_same_weights():
    networks = [Encoder("resnet18", size=(16, 8), num_ws=2, w_dim=3, width=4) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        network.initialise(torch.Generator().manual_seed(seed))
    first, second, third = (torch.cat([p.flatten() for p in network.parameters()]) for network in networks)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_stages_of_a_backbone_end_with_its_output():
    network = ResNet("resnet18").eval()
    images = torch.rand(2, 3, 64, 32)
    maps = network.stages(images)
    assert [tuple(x.shape[1:]) for x in maps] == [(8, 16, 8), (8, 8, 4), (8, 4, 2), (16, 2, 1)]
    assert torch.equal(maps[-1], network(images))


def test_a_start_sees_where_both_agree_what_the_trained_network_saw():
    trained = ResNet("resnet18").eval()
    trained.initialise(torch.Generator().manual_seed(1))
    draw = torch.Generator().manual_seed(2)
    trained.bn1.running_mean.copy_(torch.randn(64, generator=draw))
    trained.bn1.running_var.copy_(torch.rand(64, generator=draw) + 0.5)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    network = Encoder("resnet18", size=(32, 32), num_ws=2, w_dim=3, width=4).eval()
    network.start_from(trained, mean=mean, std=std)
    images = torch.rand(2, 3, 32, 32, generator=draw) * 2 - 1
    normalised = (images / 2 + 0.5 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    net = network.backbone
    found = net.bn1(net.conv1(torch.cat([images, images], dim=1)))
    wanted = trained.bn1(trained.conv1(normalised))
    inside = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(found[inside], wanted[inside], atol=1e-4)
    for name, value in trained.layer3.state_dict().items():
        assert torch.equal(net.layer3.state_dict()[name], value)


def test_a_start_of_the_other_stride_layout_has_its_stride_there():
    network = Encoder("resnet50", size=(16, 8), num_ws=1, w_dim=2, width=4, stride_in="1x1")
    block = network.backbone.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))
