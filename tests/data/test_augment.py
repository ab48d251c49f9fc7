from dataclasses import replace

import numpy as np
import pytest
import torch

from reidgen.config import AugmentConfig
from reidgen.data.augment import Draws, apply, augment, draw, normalise
from reidgen.errors import ConfigError

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
EVERYTHING = AugmentConfig(flip=0.5, pad=3, erase=0.7, jitter=0.4, grey=0.6)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    pixels = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=seeded(seed))
    return pixels.permute(0, 3, 1, 2)


def one_image(pixels: np.ndarray, draws: Draws, i: int, config: AugmentConfig) -> np.ndarray:
    """The same changes to one image (H, W, 3), step by step, in float64."""
    height, width, _ = pixels.shape
    pixels = pixels.astype(np.float64)
    if config.jitter:
        brightness, contrast, saturation = draws.jitter[i].double().tolist()
        luma = np.array([0.299, 0.587, 0.114])
        pixels = np.clip(pixels * brightness, 0, 255)
        pixels = np.clip((pixels @ luma).mean() * (1 - contrast) + pixels * contrast, 0, 255)
        pixels = np.clip((pixels @ luma)[..., None] * (1 - saturation) + pixels * saturation, 0, 255)
    if draws.flip[i]:
        pixels = pixels[:, ::-1]
    padded = np.pad(pixels, ((config.pad, config.pad), (config.pad, config.pad), (0, 0)))
    top, left = (int(draws.top[i]), int(draws.left[i])) if config.pad else (0, 0)
    pixels = padded[top : top + height, left : left + width].copy()
    top, left, tall, wide = draws.grey[i].tolist()
    patch = pixels[top : top + tall, left : left + wide]
    pixels[top : top + tall, left : left + wide] = (patch @ np.array([0.299, 0.587, 0.114]))[..., None]
    pixels = (pixels / 255 - MEAN) / STD
    if config.erase:
        top, left, tall, wide = draws.erase[i].tolist()
        pixels = pixels.copy()
        pixels[top : top + tall, left : left + wide] = MEAN
    return pixels


@pytest.mark.parametrize("config", [
    EVERYTHING,
    AugmentConfig(flip=0.0, pad=0),
    AugmentConfig(flip=1.0, pad=0),
    AugmentConfig(flip=0.5, pad=10, erase=0.5),
    AugmentConfig(flip=0.0, pad=0, erase=1.0),
    AugmentConfig(flip=0.5, pad=0, jitter=0.3),
    AugmentConfig(flip=0.0, pad=0, grey=1.0),
])  # fmt: skip
@pytest.mark.parametrize("size", [(32, 16), (17, 23)])
def test_a_batch_is_what_a_loop_over_its_images_gives(config, size):
    images = batch_of(16, *size)
    draws = draw(16, size, config, seeded(1))
    result = apply(images, draws, config)
    expected = [one_image(image, draws, i, config) for i, image in enumerate(images.permute(0, 2, 3, 1).numpy())]
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(result.permute(0, 2, 3, 1), np.stack(expected), atol=2e-5)


def test_augment_draws_and_applies_and_the_input_stays_as_it_was():
    images = batch_of(8, 32, 16)
    before = images.clone()
    result = augment(images, EVERYTHING, seeded(5))
    assert torch.equal(result, apply(images, draw(8, (32, 16), EVERYTHING, seeded(5)), EVERYTHING))
    assert torch.equal(result, augment(images, EVERYTHING, seeded(5)))
    assert not torch.equal(result, augment(images, EVERYTHING, seeded(6)))
    assert torch.equal(images, before)


def test_a_batch_in_plain_memory_gives_the_same():
    images = batch_of(4, 32, 16)
    assert torch.equal(augment(images, EVERYTHING, seeded(5)), augment(images.contiguous(), EVERYTHING, seeded(5)))


def test_without_changes_it_is_normalisation():
    images = batch_of(4, 32, 16)
    plain = normalise(images)
    expected = (images.permute(0, 2, 3, 1).double().numpy() / 255 - MEAN) / STD
    np.testing.assert_allclose(plain.permute(0, 2, 3, 1), expected, atol=2e-6)
    assert plain.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, augment(images, AugmentConfig(flip=0, pad=0), seeded(0)))


def test_switching_one_change_off_leaves_the_draws_of_the_others():
    full = draw(64, (32, 16), EVERYTHING, seeded(3))
    less = draw(64, (32, 16), AugmentConfig(flip=0.0, pad=3, erase=0.7, jitter=0.0), seeded(3))
    assert torch.equal(full.top, less.top)
    assert torch.equal(full.erase, less.erase)
    assert not less.flip.any()
    assert not less.grey.any()
    assert (less.jitter == 1).all()


def test_draws_have_the_ranges_and_rates_of_the_config():
    config = AugmentConfig(
        flip=0.3, pad=4, erase=0.6, erase_area=(0.05, 0.3), erase_aspect=(0.5, 2.0), jitter=0.2, grey=0.4
    )
    height, width, count = 64, 32, 20_000
    draws = draw(count, (height, width), config, seeded(0))
    assert abs(draws.flip.float().mean() - 0.3) < 0.02
    for offset in (draws.top, draws.left):
        assert offset.unique().tolist() == list(range(9))
        assert torch.bincount(offset).min() > 0.9 * count / 9
    for boxes, share in ((draws.erase, 0.6), (draws.grey, 0.4)):
        top, left, tall, wide = boxes[boxes[:, 2] > 0].double().unbind(1)
        assert abs(len(top) / count - share) < 0.02
        assert (top >= 0).all()
        assert (top + tall <= height).all()
        assert (left + wide <= width).all()
        assert (tall * wide / (height * width)).min() > 0.04
        assert (tall * wide / (height * width)).max() < 0.32
        assert (tall / wide).min() > 0.42
        assert (tall / wide).max() < 2.4
        assert ((top + tall) == height).any()
    assert 0.8 <= draws.jitter.min() < 0.801
    assert 1.199 < draws.jitter.max() < 1.2001


def test_a_box_that_fits_nowhere_erases_nothing():
    config = AugmentConfig(flip=0, pad=0, erase=1.0, erase_area=(0.9, 0.9), erase_aspect=(9.0, 9.0))
    assert (draw(8, (32, 32), config, seeded(0)).erase == 0).all()


def test_the_erased_box_holds_imagenets_mean_after_normalisation():
    config = AugmentConfig(flip=0, pad=0, erase=1.0)
    draws = draw(1, (16, 8), config, seeded(0))
    draws.erase[0] = torch.tensor([2, 1, 5, 4])
    changed = apply(batch_of(1, 16, 8), draws, config) != normalise(batch_of(1, 16, 8))
    assert changed[0, 0, 2:7, 1:5].all()
    assert changed.sum() == 3 * 5 * 4
    assert apply(batch_of(1, 16, 8), draws, config)[0, :, 2, 1].tolist() == pytest.approx(MEAN.tolist())


@pytest.mark.parametrize(
    "wrong", [{"erase_area": (0.4, 0.02)}, {"erase_area": (0.1, 1.0)}, {"erase_aspect": (0.0, 1.0)}]
)
def test_ranges_that_are_none_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be a range"):
        AugmentConfig(**wrong)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_batch():
    images = batch_of(8, 64, 32)
    on_cpu, on_gpu = augment(images, EVERYTHING, seeded(1)), augment(images.cuda(), EVERYTHING, seeded(1))
    assert on_gpu.device.type == "cuda"
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-4, rtol=0)


def test_translation_equals_a_part_of_the_enlarged_sample():
    """Random2DTranslation written out: resize by 1.125 (bilinear), then crop at the drawn place."""
    images = batch_of(6, 32, 16)
    config = AugmentConfig(flip=0.0, pad=0, translate=0.6)
    draws = draw(6, (32, 16), config, torch.Generator().manual_seed(2))
    moved = draws.translate[:, 0] >= 0
    assert 0 < moved.sum() < 6
    ours = apply(images, draws, config)
    big = torch.nn.functional.interpolate(images.float(), (36, 18), mode="bilinear", align_corners=False)
    mean, std = (torch.from_numpy(values).float().view(3, 1, 1) for values in (MEAN, STD))
    for i, (top, left) in enumerate(draws.translate.tolist()):
        expected = big[i, :, top : top + 32, left : left + 16] if moved[i] else images[i].float()
        torch.testing.assert_close(ours[i], (expected / 255 - mean) / std, rtol=1e-4, atol=1e-4)


def test_translations_reach_every_place_and_leave_the_other_draws():
    size = (16, 8)
    config = AugmentConfig(translate=1.0, erase=0.5)
    with_them, without = (
        draw(3000, size, one, torch.Generator().manual_seed(0)) for one in (config, replace(config, translate=0.0))
    )
    assert sorted(set(map(tuple, with_them.translate.tolist()))) == [(y, x) for y in range(3) for x in range(2)]
    assert (without.translate == -1).all()
    for name in ("flip", "top", "left", "erase", "jitter"):
        assert torch.equal(getattr(with_them, name), getattr(without, name)), name
