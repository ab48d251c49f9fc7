import pytest
import torch

from reidgen.backbones.reid_model import build_network
from reidgen.config import ReidConfig
from reidgen.reid.supervised.recipe import learning_rate, like_parameters, make_optimizer, set_learning_rate


def test_step_size_is_the_sources():
    config = ReidConfig()
    rates = [learning_rate(config, epoch / 60) for epoch in (0, 39, 40, 59)]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005])


def test_warmup_grows_from_a_tenth():
    config = ReidConfig(warmup=0.1)
    rates = [learning_rate(config, progress) for progress in (0, 0.05, 0.1, 0.5)]
    assert rates == pytest.approx([0.005, 0.0275, 0.05, 0.05])


def test_backbone_learns_at_a_tenth_and_every_parameter_is_in_one_group():
    config = ReidConfig(backbone="resnet18")
    network = build_network(config, people=7)
    optimizer = make_optimizer(network, config)
    set_learning_rate(optimizer, 0.5)
    backbone, head = optimizer.param_groups
    assert (backbone["lr"], head["lr"]) == (0.05, 0.5)
    assert {id(p) for p in backbone["params"]} == {id(p) for p in network.backbone.parameters()}
    assert len(backbone["params"]) + len(head["params"]) == len(list(network.parameters()))
    assert all(g["momentum"] == 0.9 and g["nesterov"] and g["weight_decay"] == 5e-4 for g in optimizer.param_groups)


def test_one_step_is_nesterovs():
    """Against the update written out: v = g + wd w; w -= lr (v + 0.9 v) at the first step."""
    config = ReidConfig(backbone="resnet18", weight_decay=0.1)
    network = build_network(config, people=3)
    optimizer = make_optimizer(network, config)
    weight = network.classifier.weight
    before = weight.detach().clone()
    weight.grad = torch.ones_like(weight)
    set_learning_rate(optimizer, 0.02)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), before - 0.02 * 1.9 * (1 + 0.1 * before))


def test_step_sizes_of_the_other_recipes():
    softmax, bot = ReidConfig(recipe="softmax"), ReidConfig(recipe="bot")
    rates = [learning_rate(softmax, epoch / 60) for epoch in (0, 19, 20, 39, 40, 59)]
    assert rates == pytest.approx([3e-4, 3e-4, 3e-5, 3e-5, 3e-6, 3e-6])
    rates = [learning_rate(bot, epoch / 120) for epoch in (0, 5, 10, 39, 40, 69, 70, 119)]
    expected = [3.5e-6, 3.5e-4 * (0.01 + 0.99 / 2), *(3.5e-4,) * 2, *(3.5e-5,) * 2, *(3.5e-6,) * 2]
    assert rates == pytest.approx(expected)


def test_a_cosine_goes_from_all_to_nothing():
    config = ReidConfig(schedule="cosine", warmup=0.1, warmup_from=0.5, lr=1.0)
    rates = [learning_rate(config, progress) for progress in (0, 0.1, 0.5, 1)]
    assert rates == pytest.approx([0.5, 0.9755283, 0.5, 0], abs=1e-6)


@pytest.mark.parametrize("name", ["adam", "amsgrad"])
def test_steps_of_adam_are_those_of_the_papers(name):
    """Kingma and Ba 2015, algorithm 1, and Reddi et al. 2018, algorithm 2 (on the moments without bias, as torch)."""
    config = ReidConfig(backbone="resnet18", optimizer=name, weight_decay=0.1, neck="none")
    network = build_network(config, people=3)
    optimizer = make_optimizer(network, config)
    weight = network.classifier.weight
    w = weight.detach().clone().double()
    m = v = largest = torch.zeros_like(w)
    for step in range(1, 5):
        gradient = torch.full_like(weight, 3.0 if step == 1 else 0.1)
        weight.grad = gradient
        set_learning_rate(optimizer, 0.01)
        optimizer.step()
        g = gradient.double() + 0.1 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        largest = torch.maximum(largest, v)
        second = largest if name == "amsgrad" else v
        w = w - 0.01 * (m / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    torch.testing.assert_close(weight.detach().double(), w, rtol=1e-5, atol=1e-6)


def test_loaded_moments_take_their_parameters_memory_order():
    network = build_network(ReidConfig(backbone="resnet18"), people=3).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, ReidConfig(backbone="resnet18", optimizer="adam"))
    weight = network.backbone.layer1[0].conv1.weight
    assert weight.stride()[1] == 1
    values = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    optimizer.state[weight] = {"step": torch.tensor(1.0), "exp_avg": values.contiguous()}
    like_parameters(optimizer)
    assert optimizer.state[weight]["exp_avg"].stride() == weight.stride()
    assert torch.equal(optimizer.state[weight]["exp_avg"], values)
    assert optimizer.state[weight]["step"] == 1


def test_the_bias_of_a_bnneck_never_moves():
    config = ReidConfig(recipe="bot", backbone="resnet18", weight_decay=0.5)
    network = build_network(config, people=3)
    optimizer = make_optimizer(network, config)
    network.norm.bias.data.fill_(1.0)
    network(torch.randn(4, 3, 32, 16, generator=torch.Generator().manual_seed(0))).logits.sum().backward()
    optimizer.step()
    assert network.norm.bias.eq(1).all()
    assert not network.norm.weight.eq(1).all()
