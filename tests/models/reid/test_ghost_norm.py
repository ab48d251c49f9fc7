import pytest
import torch
from torch import nn

from reidgen.errors import ConfigError
from reidgen.models.reid.embedder import Embedder
from reidgen.models.reid.ghost_norm import GhostBatchNorm, GhostBatchNormAct, use_parts
from reidgen.models.resnet import ResNet


def made(shape=(12, 3, 4, 2), seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(12, 3, 4, 2), (12, 3)])
def test_equals_plain_normalisation_of_each_part(shape):
    x = made(shape)
    ghost = GhostBatchNorm(3, part=4).double()
    nn.init.normal_(ghost.weight, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(ghost.bias, generator=torch.Generator().manual_seed(2))
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    parts, means, variances = [], [], []
    for part in x.split(4):
        plain = kind(3).double()
        plain.load_state_dict(ghost.state_dict())
        parts.append(plain(part))
        means.append(plain.running_mean)
        variances.append(plain.running_var)
    torch.testing.assert_close(ghost(x), torch.cat(parts), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ghost.running_mean, torch.stack(means).mean(dim=0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ghost.running_var, torch.stack(variances).mean(dim=0), rtol=1e-12, atol=1e-12)
    assert ghost.num_batches_tracked == 1


def test_one_part_is_batch_normalisation_and_evaluation_uses_the_running_ones():
    x, ghost, plain = made(), GhostBatchNorm(3, part=12).double(), nn.BatchNorm2d(3).double()
    torch.testing.assert_close(ghost(x), plain(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ghost.running_var, plain.running_var, rtol=1e-12, atol=1e-12)
    ghost.eval(), plain.eval()
    torch.testing.assert_close(ghost(x[:5]), plain(x[:5]), rtol=1e-12, atol=1e-12)  # no multiple of the part


def test_gradients():
    ghost = GhostBatchNorm(2, part=3).double()
    x = made((6, 2, 2, 1)).requires_grad_()
    assert torch.autograd.gradcheck(ghost, x)


def test_processes_that_hold_parts_agree_with_one_once_they_average_their_buffers():
    x = made()
    whole, halves = GhostBatchNorm(3, part=3).double(), [GhostBatchNorm(3, part=3).double() for _ in range(2)]
    for _ in range(3):
        whole(x)
        for half, part in zip(halves, x.split(6), strict=True):
            half(part)
    mean = torch.stack([half.running_var for half in halves]).mean(dim=0)
    torch.testing.assert_close(whole.running_var, mean, rtol=1e-12, atol=1e-12)


def test_a_network_keeps_its_names_values_and_frozen_bias():
    network = Embedder(ResNet("resnet50_ibn", attention="non-local"), width=8, people=3, neck="bnneck")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = [id(parameter) for parameter in network.parameters()]
    use_parts(network, 2)
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in network.modules())
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [id(parameter) for parameter in network.parameters()] == parameters
    assert not network.norm.bias.requires_grad


def test_memory_order_is_kept():
    x = made((4, 3, 4, 2)).contiguous(memory_format=torch.channels_last)
    assert GhostBatchNorm(3, part=2).double()(x).is_contiguous(memory_format=torch.channels_last)


class NormDropAct(nn.BatchNorm2d):
    """Normalisation, drop and activation in one, as timm's BatchNormAct2d is: a subclass with a forward of its own."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Hardtanh(-2, 2), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


class Doubled(nn.BatchNorm2d):
    """A subclass that parts would take its forward from."""

    def forward(self, x):
        return 2 * super().forward(x)


class SameInAnotherClass(nn.BatchNorm2d):
    """A subclass that computes nothing else."""


def stacked(kind):
    return nn.Sequential(nn.Conv2d(3, 4, 1), kind(4), nn.Conv2d(4, 4, 1), kind(4)).double()


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, NormDropAct, SameInAnotherClass])
def test_one_part_of_the_whole_batch_changes_nothing(kind):
    x, plain, ghosts = made(), stacked(kind), stacked(kind)
    ghosts.load_state_dict(plain.state_dict())
    names = list(ghosts.state_dict())
    use_parts(ghosts, len(x))
    assert all(isinstance(ghosts[at], GhostBatchNorm) for at in (1, 3))
    assert list(ghosts.state_dict()) == names
    torch.testing.assert_close(ghosts(x), plain(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ghosts.state_dict(), plain.state_dict(), rtol=1e-12, atol=1e-12)
    ghosts.eval(), plain.eval()
    torch.testing.assert_close(ghosts(x), plain(x), rtol=1e-12, atol=1e-12)


def test_drop_and_activation_come_after_each_parts_normalisation():
    x, network = 3 * made(), nn.Sequential(NormDropAct(3).double())
    use_parts(network, 4)
    assert isinstance(network[0], GhostBatchNormAct)
    expected = [NormDropAct(3).double()(part) for part in x.split(4)]
    torch.testing.assert_close(network(x), torch.cat(expected), rtol=1e-12, atol=1e-12)
    assert (network(x) == 0).any() and (network(x) == 2).any()  # both have bitten


@pytest.mark.parametrize(
    "norm", [Doubled(4), nn.BatchNorm2d(4, momentum=None), nn.BatchNorm2d(4, track_running_stats=False)]
)
def test_a_normalisation_of_another_kind_is_refused_by_name(norm):
    with pytest.raises(ConfigError) as caught:
        use_parts(nn.ModuleDict({"stem": nn.Sequential(nn.Conv2d(3, 4, 3), norm)}), 2)
    assert str(caught.value).startswith(
        "norm_batch does not know this network's normalisation.\n"
        f"  got: {type(norm).__name__} (stem.1)\n  allowed: batch normalisation with moving averages"
    )


class OfTokens(nn.Module):
    """Tokens (N, L, C) are normalised as N x L rows, as in LeViT."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3).double()

    def forward(self, x):
        return self.norm(x.flatten(0, 1)).reshape_as(x)


def test_parts_are_of_crops_where_a_crop_has_several_rows():
    x, network = made((12, 5, 3)), OfTokens()
    use_parts(network, 4)
    expected = torch.cat([OfTokens()(part) for part in x.split(4)])
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network(x[:8]), expected[:8], rtol=1e-12, atol=1e-12)
    with pytest.raises(AssertionError, match="50 rows of 10 crops, parts of 4"):
        network(x[:10])
