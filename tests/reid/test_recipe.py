import pytest
import torch

from reidgen.config import ReidConfig
from reidgen.reid.embed import build_network
from reidgen.reid.recipe import learning_rate, make_optimizer, set_learning_rate


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
