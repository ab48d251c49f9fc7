"""CLIP's encoders beside a reference that knows the published names, torch's own attention, and float64."""

import pytest
import torch
from torch.nn import functional

from reidgen.models.reid import clip
from reidgen.models.reid.clip import ClipResNet, ClipViT
from reidgen.models.reid.part_embedder import PartEmbedder

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PUBLISHED = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # beside float32 buffers of the grid and of the mean, in float64 else


def made(kind, size, **options):
    network = kind(size, **options).eval()
    generator = torch.Generator().manual_seed(0)
    network.initialise(generator)
    with torch.no_grad():
        for name, value in network.state_dict().items():  # nothing that stands at 0 or 1
            if name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.1, generator=generator)
            elif name.endswith("running_var") or (("ln_" in name or "bn" in name) and name.endswith("weight")):
                value.uniform_(0.5, 1.5, generator=generator)
    return network.double()


def renormalised(images):
    (mean, std), (their_mean, their_std) = (
        [torch.tensor(x, dtype=torch.float64).view(3, 1, 1) for x in pair] for pair in (IMAGENET, PUBLISHED)
    )
    return (images * std + mean - their_mean) / their_std


def placed(positions, grid):
    """The first row as it is, the others as a picture that is resized."""
    side = int((len(positions) - 1) ** 0.5)
    picture = positions[1:].T.reshape(1, -1, side, side)
    picture = functional.interpolate(picture, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], picture[0].flatten(1).T])


def normed(x, state, name):
    known = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *known)


def resnet(state, images, last_stride=2):
    """The map of the last stage, by the names of the file."""
    x = renormalised(images)
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        x = functional.conv2d(x, state[f"conv{number}.weight"], stride=stride, padding=1)
        x = normed(x, state, f"bn{number}").relu()
    x = functional.avg_pool2d(x, 2)
    for layer, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            stride = 1 if block or layer == 1 else last_stride if layer == 4 else 2
            y = normed(functional.conv2d(x, state[f"{name}.conv1.weight"]), state, f"{name}.bn1").relu()
            y = functional.conv2d(y, state[f"{name}.conv2.weight"], padding=1)
            y = functional.avg_pool2d(normed(y, state, f"{name}.bn2").relu(), stride)
            y = normed(functional.conv2d(y, state[f"{name}.conv3.weight"]), state, f"{name}.bn3")
            if not block:
                x = functional.conv2d(functional.avg_pool2d(x, stride), state[f"{name}.downsample.0.weight"])
                x = normed(x, state, f"{name}.downsample.1")
            x = (x + y).relu()
    return x


def pooled(state, maps):
    """The mean asks all positions and itself: torch's attention, position by position first."""
    tokens = maps.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(dim=0, keepdim=True), tokens])
    tokens = tokens + placed(state["attnpool.positional_embedding"], maps.shape[2:])[:, None]
    weight, bias = ({n: state[f"attnpool.{n}_proj.{part}"] for n in "qkvc"} for part in ("weight", "bias"))
    found, _ = functional.multi_head_attention_forward(
        *(tokens[:1], tokens, tokens, 2048, 32, None, torch.cat([bias[n] for n in "qkv"]), None, None, False, 0.0),
        *(weight["c"], bias["c"]),
        use_separate_proj_weight=True,
        **{f"{n}_proj_weight": weight[n] for n in "qkv"},
        training=False,
    )
    values = functional.linear(functional.linear(tokens[1:], weight["v"], bias["v"]), weight["c"], bias["c"])
    return found[0], values.permute(1, 2, 0).reshape(len(maps), -1, *maps.shape[2:])


@torch.no_grad()
def transformer(state, images):
    maps = functional.conv2d(renormalised(images), state["conv1.weight"], stride=16)
    tokens = maps.flatten(2).transpose(1, 2)
    tokens = torch.cat([state["class_embedding"].expand(len(images), 1, -1), tokens], dim=1)
    tokens = tokens + placed(state["positional_embedding"], maps.shape[2:])

    def norm(x, name):
        return functional.layer_norm(x, (768,), state[f"{name}.weight"], state[f"{name}.bias"])

    tokens = norm(tokens, "ln_pre")
    for n in range(12):
        start = f"transformer.resblocks.{n}."
        attention = torch.nn.MultiheadAttention(768, 12, batch_first=True, dtype=torch.float64)
        attention.load_state_dict(
            {k.removeprefix(f"{start}attn."): v for k, v in state.items() if f"{start}attn." in k}
        )
        asked = norm(tokens, f"{start}ln_1")
        tokens = tokens + attention(asked, asked, asked, need_weights=False)[0]
        wide = functional.linear(
            norm(tokens, f"{start}ln_2"), *(state[f"{start}mlp.c_fc.{p}"] for p in ("weight", "bias"))
        )
        wide = wide / (1 + torch.exp(-1.702 * wide))
        tokens = tokens + functional.linear(wide, *(state[f"{start}mlp.c_proj.{p}"] for p in ("weight", "bias")))
    tokens = norm(tokens, "ln_post") @ state["proj"]
    return tokens[:, 0], tokens[:, 1:].transpose(1, 2).reshape(len(images), -1, *maps.shape[2:])


def images_of(size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("size", "last_stride"), [((128, 64), 2), ((32, 48), 1)])
def test_the_resnet_equals_the_reference(size, last_stride):
    network, images = made(ClipResNet, size, last_stride=last_stride), images_of(size)
    with torch.no_grad():
        vector, maps = network.both(images)
        state = network.state_dict()
        expected, values = pooled(state, resnet(state, images, last_stride))
    assert vector.shape == (2, network.channels, 1, 1) and maps.shape[2:] == tuple(x // 16 // last_stride for x in size)
    torch.testing.assert_close(vector[:, :, 0, 0], expected, **CLOSE)
    torch.testing.assert_close(maps, values, **CLOSE)
    assert expected.std(dim=0).mean() > 1e-3 and values.std() > 1e-2  # far from what would be equal by chance


@pytest.mark.parametrize("size", [(64, 32), (16, 48)])
def test_the_transformer_equals_the_reference(size):
    network, images = made(ClipViT, size), images_of(size)
    expected, tokens = transformer(network.state_dict(), images)
    with torch.no_grad():
        vector, maps = network.both(images)
        torch.testing.assert_close(network(images), vector, rtol=0, atol=0)
    assert maps.shape == (2, 512, size[0] // 16, size[1] // 16)
    torch.testing.assert_close(vector[:, :, 0, 0], expected, **CLOSE)
    torch.testing.assert_close(maps, tokens, **CLOSE)
    assert expected.std() > 1e-2 and tokens.std() > 1e-2


def test_the_names_and_shapes_are_the_published_ones():
    known = {name: tuple(value.shape) for name, value in ClipResNet((224, 224)).state_dict().items()}
    assert known["attnpool.positional_embedding"] == (50, 2048) and known["attnpool.c_proj.weight"] == (1024, 2048)
    assert known["layer4.0.downsample.0.weight"] == (2048, 1024, 1, 1) and known["conv3.weight"] == (64, 32, 3, 3)
    assert sum(not name.endswith(("running_mean", "running_var", "tracked")) for name in known) == 55 * 3 + 9
    known = {name: tuple(value.shape) for name, value in ClipViT((224, 224)).state_dict().items()}
    assert known["positional_embedding"] == (197, 768) and known["proj"] == (768, 512)
    assert known["transformer.resblocks.11.attn.in_proj_weight"] == (2304, 768)
    assert len(known) == 8 + 12 * 12


def test_positions_of_square_images_stay_to_the_bit():
    positions = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(clip._Resample(7, (7, 7))(positions), positions, rtol=0, atol=0)


def test_stripes_of_parts_are_those_of_the_map():
    network = made(ClipResNet, (128, 32))
    parted, images = PartEmbedder(network, parts=2).double().eval(), images_of((128, 32))
    with torch.no_grad():
        vector, maps = network.both(images)
        out = parted(images)
    scale = (1 + 1e-5) ** -0.5  # of necks that have seen nothing
    torch.testing.assert_close(out.embedding, vector[:, :, 0, 0] * scale)
    torch.testing.assert_close(out.parts, torch.stack([maps[:, :, :2], maps[:, :, 2:]], dim=1).mean(dim=(3, 4)) * scale)


def test_the_same_seed_draws_the_same_weights():
    one, other = (ClipResNet((32, 32)) for _ in range(2))
    for network in (one, other):
        network.initialise(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one.attnpool.c_proj.weight.std().item() == pytest.approx(2048**-0.5, rel=0.01)  # of two million numbers
