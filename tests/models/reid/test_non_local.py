import pytest
import torch

from reidgen.models.reid.non_local import NonLocal
from reidgen.models.resnet import ResNet


def block(channels=6):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = NonLocal(channels).double()
    torch.nn.init.normal_(module.norm.weight, generator=torch.Generator().manual_seed(1))
    return module


def test_equals_the_formula_position_by_position():
    module = block().eval()
    x = torch.randn(2, 6, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def line(layer, values):
        return layer.weight[:, :, 0, 0] @ values + layer.bias

    expected = torch.empty_like(x)
    for n in range(2):
        positions = [(i, j) for i in range(3) for j in range(2)]
        for i, j in positions:
            y = torch.zeros(3, dtype=torch.float64)
            for k, m in positions:
                weight = line(module.theta, x[n, :, i, j]) @ line(module.phi, x[n, :, k, m])
                y = y + weight * line(module.g, x[n, :, k, m]) / len(positions)
            z = line(module.out, y) / (1 + module.norm.eps) ** 0.5 * module.norm.weight + module.norm.bias
            expected[n, :, i, j] = x[n, :, i, j] + z
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)


def test_a_new_block_is_the_identity_and_can_leave_it():
    module, x = NonLocal(4), torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    out = module(x)
    assert torch.equal(out, x)
    out.square().sum().backward()
    assert module.norm.weight.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("name", "places"),
    [("resnet18", {"layer2": ["1"], "layer3": ["1"]}), ("resnet50", {"layer2": ["2", "3"], "layer3": ["3", "4", "5"]})],
)
def test_a_network_with_blocks_starts_as_the_network_without(name, places):
    network = ResNet(name, attention="non-local")
    assert {stage: list(blocks) for stage, blocks in network.attention.items()} == places
    network.initialise(torch.Generator().manual_seed(0))
    assert not any(value.any() for key, value in network.state_dict().items() if "theta.bias" in key)
    plain = ResNet(name)
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("attention.")}
    assert list(state) == list(plain.state_dict())
    plain.load_state_dict(state)
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(network.eval()(images), plain.eval()(images))
        torch.nn.init.ones_(network.attention["layer3"][places["layer3"][0]].norm.weight)
        assert not torch.equal(network(images), plain(images))
