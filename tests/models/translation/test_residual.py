import numpy as np
import pytest
import torch

from reidgen.models.translation.label_discriminator import LabelDiscriminator
from reidgen.models.translation.residual import Border, ResidualBlock, ResidualGenerator, usual_blocks, with_labels


def parameters(*networks):
    return sum(p.numel() for network in networks for p in network.parameters())


@pytest.mark.parametrize("kind", ["cyclegan", "stargan"])
@pytest.mark.parametrize("size", [(32, 16), (128, 64), (16, 16), (20, 12)])
def test_any_canvas_of_quarters(kind, size):
    torch.manual_seed(0)
    image = ResidualGenerator(5, width=2, blocks=1, kind=kind)(torch.randn(2, 5, *size))
    assert image.shape == (2, 3, *size)
    assert image.abs().max() <= 1


def test_stargan_has_the_papers_size():
    """Choi et al. 2018, table 3: 53.2 million parameters for the eight labels of RaFD at 128x128."""
    count = parameters(ResidualGenerator(3 + 8, kind="stargan"), LabelDiscriminator(8, size=(128, 128)))
    assert round(count / 1e6, 1) == 53.2


def test_cyclegan_layers_of_the_paper():
    """Zhu et al. 2017, appendix 7.2: c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3."""
    network = ResidualGenerator(3, blocks=usual_blocks((256, 256)))
    convolutions = [m for m in network.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, *[256] * 18, 128, 64, 3]
    assert [m.kernel_size[0] for m in convolutions] == [7, *[3] * 22, 7]
    assert [m.stride[0] for m in convolutions] == [1, 2, 2, *[1] * 18, 2, 2, 1]
    borders = [m for m in network.modules() if isinstance(m, Border)]
    assert [(m.width, m.padding) for m in borders] == [(3, "mirrored"), *[(1, "mirrored")] * 20, (3, "mirrored")]
    assert usual_blocks((128, 64)) == 6


def test_borders_and_their_slopes():
    """Values and gradients as torch's own padding has them on a CPU."""
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    for padding, mode in (("mirrored", "reflect"), ("zeros", "constant")):
        ours, theirs = Border(3, padding)(x), torch.nn.functional.pad(x, [3] * 4, mode=mode)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        weights = torch.randn_like(ours)
        slopes = [torch.autograd.grad((one * weights).sum(), x)[0] for one in (ours, theirs)]
        torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("padding", ["mirrored", "zeros"])
def test_residual_block_against_loops(padding):
    torch.manual_seed(0)
    block = ResidualBlock(2, padding=padding).double().requires_grad_(False)
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64)
    made = block(x)[0].numpy()

    def convolve(image, layer):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="reflect" if padding == "mirrored" else "constant")
        out = np.zeros_like(image)
        for o, i, j in np.ndindex(*out.shape):
            out[o, i, j] = (padded[:, i : i + 3, j : j + 3] * layer.weight[o].numpy()).sum()
        mean, variance = out.mean(axis=(1, 2), keepdims=True), out.var(axis=(1, 2), keepdims=True)
        return (out - mean) / np.sqrt(variance + 1e-5)

    inner = np.maximum(convolve(x[0].numpy(), block.layers[1]), 0)
    np.testing.assert_allclose(made, x[0].numpy() + convolve(inner, block.layers[5]), rtol=0, atol=1e-9)


def test_labels_become_planes():
    images = torch.randn(2, 3, 4, 2)
    seen = with_labels(images, torch.tensor([2, 0]), 3)
    assert seen.shape == (2, 6, 4, 2)
    assert torch.equal(seen[:, :3], images)
    assert seen[0, 3:].amax(dim=(1, 2)).tolist() == seen[0, 3:].amin(dim=(1, 2)).tolist() == [0, 0, 1]
    assert seen[1, 3:].amax(dim=(1, 2)).tolist() == [1, 0, 0]


def test_a_label_changes_the_image():
    """Instance normalisation takes off what a plane adds to the whole map; at the border, where zeros are, it stays."""
    torch.manual_seed(0)
    network = ResidualGenerator(3 + 2, width=4, blocks=1, kind="stargan")
    image = torch.randn(1, 3, 32, 16)
    one, other = (network(with_labels(image, torch.tensor([label]), 2)) for label in (0, 1))
    assert (one - other).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("size", "patches"), [((128, 64), (2, 1)), ((128, 128), (2, 2)), ((32, 16), (2, 1)), ((96, 32), (3, 1))]
)
def test_label_discriminator_at_any_canvas(size, patches):
    torch.manual_seed(0)
    network = LabelDiscriminator(4, size=size, width=2)
    source, domains = network(torch.randn(3, 3, *size))
    assert source.shape == (3, 1, *patches)
    assert domains.shape == (3, 4)
    assert network.domain.kernel_size == patches
    assert {m.negative_slope for m in network.layers if isinstance(m, torch.nn.LeakyReLU)} == {0.01}
