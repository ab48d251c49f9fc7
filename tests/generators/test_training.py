import dataclasses

import pytest
import torch

from reidgen.config import StyleGANConfig
from reidgen.data.store import CropStore
from reidgen.engine.device import setup
from reidgen.generators.latents import draw_latents, mixed_styles
from reidgen.generators.training import StyleGANTraining
from reidgen.generators.updates import average_decay, lazy_adam, update_average


@pytest.fixture
def store(crops):
    return CropStore.open(crops.train, size=(16, 8))


def make(config, store):
    return StyleGANTraining(config, setup("cpu"), store, ramp=True)


def changed(tiny, **options):
    return dataclasses.replace(tiny, **options)


def test_lazy_regularisation_corrects_adam():
    """16 steps and one regularisation make 17 updates: lr * 16/17, beta^(16/17)."""
    weight = torch.nn.Parameter(torch.zeros(1))
    group = lazy_adam([weight], 0.002, interval=16).param_groups[0]
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))
    assert group["eps"] == 1e-8
    plain = lazy_adam([weight], 0.002, interval=None).param_groups[0]
    assert (plain["lr"], plain["betas"]) == (0.002, (0.0, 0.99))


def test_half_life_of_the_average():
    config = StyleGANConfig(batch=32, ema_kimg=10)
    decay = average_decay(config, 10**6, ramp=True)
    assert decay ** (10_000 / 32) == pytest.approx(0.5)
    assert average_decay(config, 1, ramp=False) == decay
    early = average_decay(config, 1000, ramp=True)  # 32,000 images seen: half-life 1,600
    assert early ** (1600 / 32) == pytest.approx(0.5)


def test_average_follows_weights_and_copies_buffers():
    slow, fast = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    torch.nn.init.constant_(fast.weight, 3.0)
    fast.running_mean.fill_(7.0)
    update_average(slow, fast, 0.75)
    assert slow.weight.item() == pytest.approx(1.5)
    assert slow.running_mean.item() == 7.0


def test_style_mixing_crosses_over_once(tiny, store):
    training = make(changed(tiny, style_mixing=1.0), store)
    latents = draw_latents(
        training.generator, 50, torch.Generator().manual_seed(0), mixing=1.0, device=torch.device("cpu")
    )
    ws = mixed_styles(training.generator, latents)[0].detach()
    for sample in ws:
        first = [torch.equal(layer, sample[0]) for layer in sample]
        cross = first.index(False)
        assert cross >= 1
        assert not any(first[cross:])
        assert all(torch.equal(layer, sample[-1]) for layer in sample[cross:])
    unmixed = dataclasses.replace(latents, second=torch.zeros_like(latents.second))
    plain = mixed_styles(training.generator, unmixed)[0].detach()
    assert torch.equal(plain, plain[:, :1].expand_as(plain))


def test_one_pass_gives_the_gradients_of_two_separate_losses(tiny, store):
    """The shared forward pass of D over the fakes must not mix the networks' gradients."""
    training = make(changed(tiny, r1_interval=10**6, augment="none"), store)
    training.step = 1
    reals, latents = training._reals(), training._latents("main", 8)
    fakes = training.generator.synthesis(mixed_styles(training.generator, latents)[0], latents.noise)
    softplus = torch.nn.functional.softplus
    judge = training.discriminator
    expected_g = torch.autograd.grad(
        softplus(-judge(fakes)).mean(), list(training.generator.parameters()), retain_graph=True
    )
    loss_d = softplus(-judge(reals)).mean() + softplus(judge(fakes.detach())).mean()
    expected_d = torch.autograd.grad(loss_d, list(judge.parameters()))
    training.advance()
    for parameter, gradient in zip(training.generator.parameters(), expected_g, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    for parameter, gradient in zip(judge.parameters(), expected_d, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_p_moves_every_four_steps(tiny, store):
    training = make(changed(tiny, ada_target=-1.1, ada_kimg=1), store)
    seen = []
    for _ in range(9):
        training.advance()
        seen.append(training.ada_p)
    assert seen == pytest.approx([0, 0, 0, 0.032, 0.032, 0.032, 0.032, 0.064, 0.064])


def test_freeze_d_keeps_the_highest_blocks(tiny, store):
    training = make(changed(tiny, freeze_d=1), store)
    before = {name: value.clone() for name, value in training.discriminator.named_parameters()}
    training.advance()
    after = dict(training.discriminator.named_parameters())
    frozen = {name for name in before if torch.equal(before[name], after[name])}
    assert frozen == {name for name in before if name.startswith(("from_rgb.", "blocks.16."))}


def test_regularisations_run_at_their_intervals(tiny, store):
    training = make(changed(tiny, path_weight=2.0, path_interval=2, r1_interval=4), store)
    values = []
    for _ in range(5):
        training.advance()
        values.append((training.lazy["r1"], training.lazy["path"]))
    assert values[0] == values[1]
    assert values[1][0] == values[3][0] != values[4][0]
    assert values[1][1] != values[2][1] == values[3][1]


def test_real_crops_are_shown_mirrored_half_of_the_time(tiny, store):
    training = make(tiny, store)
    originals = store.batch(range(40)).float() / 127.5 - 1
    mirrored = total = 0
    for step in range(20):
        training.step = step
        for image in training._reals():
            plain = (originals - image).abs().amax(dim=(1, 2, 3)).min() < 1e-5
            mirrored += not plain
            total += 1
            assert plain or (originals.flip(3) - image).abs().amax(dim=(1, 2, 3)).min() < 1e-5
    assert 0.35 < mirrored / total < 0.65
