import pytest
import torch

from reidgen.models.dcgan import Discriminator, Generator, map_channels


def test_channels_by_hand():
    assert map_channels(128, 64) == [64, 128, 256, 512, 512]
    assert map_channels(64, 64) == [64, 128, 256, 512]
    assert map_channels(16, 4) == [4, 8]


@pytest.mark.parametrize("size", [(16, 8), (16, 16), (32, 16), (128, 64)])
def test_shapes(size):
    torch.manual_seed(0)
    generator, discriminator = Generator(7, size=size, width=2), Discriminator(size, width=2)
    images = generator(torch.randn(3, 7))
    assert images.shape == (3, 3, *size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (3, 1)


def test_the_layers_of_the_paper():
    generator, discriminator = Generator(100, size=(64, 64), width=128), Discriminator((64, 64), width=128)
    kinds = [type(layer).__name__ for layer in generator.synthesis.layers]
    assert kinds == ["ConvTranspose2d", *["BatchNorm2d", "ReLU", "ConvTranspose2d"] * 4, "Tanh"]
    assert generator.synthesis.layers[0].weight.shape == (100, 1024, 4, 4), "figure 1"
    assert generator.synthesis.layers[3].weight.shape == (1024, 512, 4, 4)
    kinds = [type(layer).__name__ for layer in discriminator.layers]
    assert kinds == ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3, "Conv2d"]
    assert {layer.negative_slope for layer in discriminator.layers if isinstance(layer, torch.nn.LeakyReLU)} == {0.2}
    for network in (generator, discriminator):
        weights = [p for name, p in network.named_parameters() if p.ndim == 4 and p.numel() > 10000]
        assert all(weight.std().item() == pytest.approx(0.02, rel=0.03) for weight in weights)
        assert all(weight.mean().item() == pytest.approx(0, abs=1e-3) for weight in weights)


def test_one_w_and_no_noise():
    generator = Generator(7, size=(16, 8), width=2)
    assert generator.num_ws == 1
    assert generator.synthesis.noise_shapes == []
    z = torch.randn(3, 7)
    assert torch.equal(generator.styles(z), z[:, None])
    assert torch.equal(generator.styles(z, psi=0.5), 0.5 * z[:, None])
    generator.mapping.track(z + 5)
    assert torch.equal(generator.mapping.w_avg, torch.zeros(7))


def test_an_image_depends_on_its_batch_in_training_alone():
    torch.manual_seed(0)
    generator = Generator(7, size=(16, 8), width=2)
    z = torch.randn(6, 7)
    whole, part = generator(z)[:2], generator(z[:2])
    assert (whole - part).abs().max() > 1e-3
    generator.double().eval()  # float64: what is left of a difference is none of rounding
    torch.testing.assert_close(generator(z.double())[:2], generator(z[:2].double()))


def test_the_discriminator_sees_the_whole_image():
    torch.manual_seed(0)
    discriminator = Discriminator((16, 8), width=2).eval()
    images = torch.randn(1, 3, 16, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images)
    assert (gradient != 0).all()
