from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidgen.generators.sampling import PASS, latents, noise_fields, pass_size, to_pixels, to_tensor
from reidgen.generators.trained import load_generator


def test_the_pixels_of_a_seed_do_not_depend_on_the_batch(gan):
    seeds = list(range(2 * PASS + 3))
    together = gan.sample(seeds)
    assert together.shape == (len(seeds), 16, 8, 3)
    assert together.dtype == np.uint8
    for i in (0, 1, PASS - 1, PASS, 2 * PASS + 2):
        assert np.array_equal(gan.sample([seeds[i]])[0], together[i])
    assert np.array_equal(gan.sample(seeds[::-1])[::-1], together)


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan3-t", "stylegan3-r", "dcgan"])
def test_the_pixels_of_a_seed_do_not_depend_on_the_batch_in_any_network(kind, untrained):
    gan = untrained[kind]
    seeds = list(range(PASS + 2))
    together = gan.sample(seeds, psi=0.8)
    assert len({image.tobytes() for image in together}) == len(seeds)
    assert np.array_equal(gan.sample(seeds[::-1], psi=0.8)[::-1], together)
    assert np.array_equal(gan.sample([7], psi=0.8)[0], together[7])


def test_large_maps_are_made_a_few_at_once():
    sizes = {
        numbers: pass_size(SimpleNamespace(largest_map=numbers)) for numbers in (1, 2**22, 2**22 + 1, 2**25, 2**30)
    }
    assert sizes == {1: PASS, 2**22: PASS, 2**22 + 1: PASS // 2, 2**25: 2, 2**30: 1}


def test_the_largest_map_of_a_network(untrained):
    # 16 channels of StyleGAN3-R's 32x16 image with margins of 10: (52, 36)
    assert untrained["stylegan3-r"].network.largest_map == 16 * 52 * 36
    assert pass_size(untrained["stylegan2"].network) == PASS


def test_seeds_differ_and_repeat():
    assert torch.equal(latents([5, 6], 8)[1], latents([6], 8)[0])
    assert not torch.equal(latents([5], 8), latents([6], 8))
    first, second = noise_fields([5, 6], [(4, 2), (8, 4)])
    assert first.shape == (2, 4, 2)
    assert torch.equal(noise_fields([6], [(4, 2), (8, 4)])[1], second[1:])


def test_w_of_a_seed_does_not_depend_on_the_batch(gan):
    together = gan.map(list(range(20)), psi=0.7)
    assert torch.equal(gan.map([13], psi=0.7)[0], together[13])


def test_psi_0_is_the_mean_person(gan):
    assert torch.equal(gan.map([1], psi=0.0)[0], gan.network.mapping.w_avg.cpu())


def test_pixels_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(-1, 3, -1, -1)
    assert np.array_equal(to_pixels(to_tensor(pixels)), pixels.permute(0, 2, 3, 1).numpy())
    assert to_pixels(torch.full((1, 3, 1, 1), 7.0)).max() == 255
    assert to_pixels(torch.full((1, 3, 1, 1), -7.0)).max() == 0


def test_load_generator_gives_the_same_pixels(gan):
    again = load_generator(gan.path, device="cpu")
    assert again.hash == gan.hash
    assert np.array_equal(again.sample([1, 2, 3]), gan.sample([1, 2, 3]))
