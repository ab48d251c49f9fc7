import pytest
import torch

from reidgen.models.translation.patch import PatchDiscriminator, most_layers


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (5, 286)])
def test_receptive_fields_of_the_paper(layers, field):
    """Isola et al. 2017, section 4.4: 16x16, 70x70, 286x286; and 34 between them.

    The pixels that move one logit in the middle, counted; no normalisation, which would see the whole map.
    """
    torch.manual_seed(0)
    network = PatchDiscriminator(3, width=1, layers=layers).double()
    plain = torch.nn.Sequential(*[m for m in network.layers if not isinstance(m, torch.nn.BatchNorm2d)])
    image = torch.randn(1, 3, *[512 if layers == 5 else 160] * 2, dtype=torch.float64, requires_grad=True)
    logits = plain(image)
    (slope,) = torch.autograd.grad(logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2], image)
    rows, columns = (slope[0, 0] != 0).any(dim=1).nonzero().flatten(), (slope[0, 0] != 0).any(dim=0).nonzero().flatten()
    assert (rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) == (field, field)


@pytest.mark.parametrize(
    ("size", "layers", "logits"),
    [
        ((128, 64), 3, (14, 6)),
        ((256, 256), 3, (30, 30)),
        ((32, 16), 2, (6, 2)),
        ((16, 8), 1, (6, 2)),
        ((24, 48), 3, (1, 4)),
    ],
)
def test_logits_of_a_canvas(size, layers, logits):
    assert most_layers(size) == layers
    network = PatchDiscriminator(6, width=2, layers=layers, norm="instance" if min(logits) > 1 else "batch")
    assert network(torch.randn(2, 6, *size)).shape == (2, 1, *logits)


def test_a_canvas_that_leaves_no_logit():
    assert most_layers((4, 4)) == 0
    assert most_layers((256, 256), wanted=5) == 5


def test_the_layers_of_the_paper():
    network = PatchDiscriminator(6)
    kinds = [type(m).__name__ for m in network.layers]
    assert kinds == ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3, "Conv2d"], "no norm on C64"
    convolutions = [m for m in network.layers if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1]
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 1, 1]
    assert {m.negative_slope for m in network.layers if isinstance(m, torch.nn.LeakyReLU)} == {0.2}
    weights = 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
    assert sum(p.numel() for p in network.parameters()) == weights + (64 + 1) + 2 * (128 + 256 + 512)
