import pytest
import torch
import torch.nn.functional as F

from reidgen.errors import ConfigError
from reidgen.models.reid.embedder import Embedder, dropout_factors
from reidgen.models.resnet import BLOCKS, InstanceBatchNorm, ResNet

# Parameters of torchvision's networks without their fc layer: 11,689,512 - 513,000 and so on.
PARAMETERS = {"resnet18": 11_176_512, "resnet34": 21_284_672, "resnet50": 23_508_032}
# Multiply-adds at 256x128, counted by hand from the layer shapes: 2.67e9 and 4.05e9 (last stride 1), 3x3 layout.
MACS = {2: 2.67e9, 1: 4.05e9}


def functional(state, x, name, stride_in, last_stride):
    """The network written down a second time, from the paper and the key names, on a plain dict of tensors."""

    def conv_bn(x, conv, norm, stride):
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{norm}.weight"], state[f"{norm}.bias"])

    x = F.max_pool2d(F.relu(conv_bn(x, "conv1", "bn1", 2)), 3, 2, 1)
    for layer, blocks in enumerate(BLOCKS[name], start=1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            stride = 1 if layer == 1 or block > 0 else (last_stride if layer == 4 else 2)
            convolutions = 3 if name == "resnet50" else 2
            strided = 1 if name != "resnet50" or stride_in == "1x1" else 2
            y = x
            for number in range(1, convolutions + 1):
                y = conv_bn(y, f"{at}.conv{number}", f"{at}.bn{number}", stride if number == strided else 1)
                y = F.relu(y) if number < convolutions else y
            if f"{at}.downsample.0.weight" in state:
                x = conv_bn(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            x = F.relu(x + y)
    return x


def random_state(network):
    generator = torch.Generator().manual_seed(0)
    network.initialise(generator)
    for name, value in network.state_dict().items():
        if "running" in name or name.endswith(("bias", "bn1.weight")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "stride_in", "last_stride"),
    [
        ("resnet18", "3x3", 2),
        ("resnet34", "3x3", 1),
        ("resnet50", "3x3", 2),
        ("resnet50", "1x1", 2),
        ("resnet50", "1x1", 1),
    ],
)
def test_equals_the_paper_written_down_a_second_time(name, stride_in, last_stride):
    network = random_state(ResNet(name, stride_in=stride_in, last_stride=last_stride))
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        out = network(images)
        expected = functional(network.state_dict(), images, name, stride_in, last_stride)
    assert out.shape == (2, network.channels, 4 // last_stride, 2 // last_stride)
    torch.testing.assert_close(out / expected.abs().max(), expected / expected.abs().max(), rtol=0, atol=1e-5)


def test_the_two_layouts_differ_on_equal_weights():
    network = random_state(ResNet("resnet50"))
    other = ResNet("resnet50", stride_in="1x1").eval()
    other.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        a, b = network(images), other(images)
    assert (a - b).abs().max() > 0.1 * a.abs().max()


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_parameter_counts_are_torchvisions(name):
    network = ResNet(name)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    assert network.channels == (2048 if name == "resnet50" else 512)


def test_key_names_are_torchvisions():
    keys = set(ResNet("resnet50").state_dict())
    assert len(keys) == 318  # 320 with fc.weight and fc.bias
    expected = {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.num_batches_tracked",
        "layer3.5.conv3.weight",
        "layer4.2.bn3.bias",
    }
    assert expected <= keys
    assert "layer1.0.downsample.0.weight" not in ResNet("resnet18").state_dict()
    assert "layer2.0.downsample.0.weight" in ResNet("resnet18").state_dict()


@pytest.mark.parametrize("last_stride", [1, 2])
def test_multiply_adds_are_those_of_the_architecture(last_stride):
    total = 0

    def count(module, _, output):
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    with torch.device("meta"):
        network = ResNet("resnet50", last_stride=last_stride)
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, 256, 128))
    assert total == pytest.approx(MACS[last_stride], rel=0.005)


def test_initial_weights_follow_the_generator_alone():
    states = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        network = Embedder(ResNet("resnet18"), width=16, people=5)
        network.initialise(torch.Generator().manual_seed(7))
        states.append(network.state_dict())
    for name in states[0]:
        assert torch.equal(states[0][name], states[1][name]), name
    weight = states[0]["backbone.layer4.1.conv2.weight"]
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_embedder_gives_embedding_and_logits_and_drops_by_the_given_factors():
    network = Embedder(ResNet("resnet18", last_stride=1), width=16, people=5).eval()
    images = torch.randn(3, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    keep = dropout_factors((3, 16), 0.5, torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, dropped = network(images), network(images, keep)
        assert plain.embedding.shape == (3, 16) and plain.logits.shape == (3, 5)
        torch.testing.assert_close(dropped.embedding, plain.embedding)
        torch.testing.assert_close(dropped.logits, network.classifier(plain.embedding * keep))
        pooled = network.backbone(images).mean(dim=(2, 3))
        torch.testing.assert_close(plain.embedding, network.norm(network.bottleneck(pooled)))


def test_dropout_factors_have_mean_one():
    factors = dropout_factors((1000, 100), 0.3, torch.Generator().manual_seed(0))
    assert set(factors.unique().tolist()) == {0.0, factors.max().item()}
    assert factors.max().item() == pytest.approx(1 / 0.7)
    assert factors.mean().item() == pytest.approx(1, abs=0.01)
    assert dropout_factors((2, 2), 0.0, torch.Generator()) is None


def test_impossible_layouts_are_told():
    with pytest.raises(ConfigError) as caught:
        ResNet("resnet18", stride_in="1x1")
    assert str(caught.value) == (
        "The blocks of resnet18 have no 1x1 convolution that could carry the stride.\n"
        "  got: stride_in 1x1\n"
        "  allowed: 3x3\n"
        "  try: stride_in='3x3', or backbone='resnet50'"
    )
    with pytest.raises(ConfigError, match=r"backbone is unknown\.\n  got: vgg"):
        ResNet("vgg")


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 6), ("resnet34", 13), ("resnet50", 13)])
def test_ibn_has_the_published_names_and_normalises_half_by_instance(name, blocks):
    """Pan et al. 2018: the blocks of stages 1 to 3, 2 + 2 + 2 or 3 + 4 + 6; parameters are as many as without."""
    network = ResNet(f"{name}_ibn")
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    plain, keys = set(ResNet(name).state_dict()), set(network.state_dict())
    assert len(keys - plain) == blocks * (2 + 5) and len(plain - keys) == blocks * 5
    assert {"layer1.0.bn1.IN.weight", "layer3.1.bn1.BN.running_var"} <= keys - plain
    assert "layer4.0.bn1.weight" in keys
    norm = InstanceBatchNorm(5)
    x = torch.randn(4, 5, 6, 3, generator=torch.Generator().manual_seed(0)) * 3 + 7
    out = norm(x)
    torch.testing.assert_close(out[:, :2].mean(dim=(2, 3)), torch.zeros(4, 2), atol=1e-5, rtol=0)  # of each crop
    torch.testing.assert_close(out[:, 2:].mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)  # of the batch
    assert out[:, 2:].mean(dim=(2, 3)).abs().max() > 0.05
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 64, 32)).shape == (1, network.channels, 2, 1)


def test_a_narrow_network_has_the_shapes_of_its_width():
    """All 3x3 and 1x1 convolutions shrink with the square of the width, the first one and the norms with the width."""
    network = ResNet("resnet18_ibn", base_width=16).eval()
    with torch.no_grad():
        maps = network.stages(torch.zeros(1, 3, 64, 32))
    assert [tuple(one.shape) for one in maps] == [(1, 16, 16, 8), (1, 32, 8, 4), (1, 64, 4, 2), (1, 128, 2, 1)]
    assert network.channels == 128
    linear = 3 * 49 * 64 + sum(p.numel() for p in ResNet("resnet18").parameters() if p.ndim == 1)
    square = PARAMETERS["resnet18"] - linear
    assert sum(p.numel() for p in network.parameters()) == linear // 4 + square // 16


def test_bnneck_splits_feature_and_embedding():
    """Luo et al. 2019, figure 5: the feature before the normalisation, the classifier after it, neither has a bias."""
    network = Embedder(ResNet("resnet18"), width=16, people=5, neck="bnneck", pooling="gem")
    network.initialise(torch.Generator().manual_seed(0))
    assert network.width == 512 and network.classifier.bias is None
    assert [name for name, p in network.named_parameters() if not p.requires_grad] == ["norm.bias"]
    images = torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    out = network(images)
    torch.testing.assert_close(out.feature, network.pool(network.backbone(images)))
    torch.testing.assert_close(out.embedding.mean(dim=0), torch.zeros(512), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.logits, out.embedding @ network.classifier.weight.T)
    before = Embedder(ResNet("resnet18"), width=16, people=5, neck="bnneck", compare="before")
    same = before(images)
    assert torch.equal(same.embedding, same.feature)


def test_no_neck_classifies_the_pooled_feature():
    network = Embedder(ResNet("resnet18"), width=16, people=5, neck="none").eval()
    out = network(torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(out.embedding, out.feature) and out.embedding.shape == (2, 512)
    torch.testing.assert_close(out.logits, network.classifier(out.feature))
    assert list(network.state_dict())[-2:] == ["classifier.weight", "classifier.bias"]


def test_the_neck_of_the_thesis_is_that_of_the_baseline_with_a_relu():
    plain, thesis = (
        Embedder(ResNet("resnet18"), width=16, people=5, neck=neck).eval() for neck in ("bottleneck", "bottleneck-relu")
    )
    thesis.load_state_dict(plain.state_dict())  # a ReLU has no numbers of its own
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    before, after = plain(images), thesis(images)
    assert before.embedding.min() < 0
    assert torch.equal(after.embedding, before.embedding.relu())
    assert torch.equal(after.logits, thesis.classifier(before.embedding.relu()))
    assert torch.equal(after.feature, before.feature)


def test_a_resting_backbone_gets_no_gradient():
    network = Embedder(ResNet("resnet18"), width=16, people=5)
    out = network(torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)), backbone="rests")
    out.logits.square().sum().backward()
    assert all(p.grad is None for p in network.backbone.parameters())
    assert network.bottleneck.weight.grad.abs().sum() > 0
