import dataclasses

import pytest
import torch

from reidgen.config import StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.devices.device import setup
from reidgen.generators.training.latents import draw_latents, mixed_styles
from reidgen.generators.training.style import StyleGANTraining
from reidgen.generators.training.updates import average_decay, lazy_adam, unscale, update_average


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


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("stylegan3-t", "stylegan3-r")]
SLOPES = {"logistic": "R1", "relativistic": "R1 and R2"}


def gradients(training):
    return {
        f"{part} {name}": parameter.grad.clone()
        for part in ("generator", "discriminator")
        for name, parameter in getattr(training, part).named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("network", ["stylegan2", *SLOW])
def test_parts_have_the_gradient_of_the_whole_batch(tiny, store, network):
    """Where images of a batch have something in common it is switched off: the statistic, the running magnitudes."""
    found = []
    for parts in (1, 4):
        config = changed(tiny, network=network, loss="relativistic", gamma=3.0, accumulate=parts, blur_kimg=1.0)
        training = make(config, store)
        training.discriminator.mbstd_group = 1
        training.generator.eval()
        training.advance()
        found.append((gradients(training), training.figures(), training.generator.mapping.w_avg))
    (whole, figures, mean), (parted, parted_figures, parted_mean) = found
    assert whole.keys() == parted.keys()
    assert any(name.startswith("generator") for name in whole)
    for name, gradient in whole.items():
        assert (parted[name] - gradient).norm() <= 2e-3 * gradient.norm() + 1e-6, name
    assert parted_figures.pop("warning") == figures.pop("warning")
    assert parted_figures == pytest.approx(figures, rel=1e-3, abs=1e-5)
    torch.testing.assert_close(parted_mean, mean)


def test_parts_are_all_that_the_networks_see_at_once(tiny, store):
    training = make(changed(tiny, accumulate=4, path_weight=2.0, loss="relativistic"), store)
    seen = []
    for network in (training.generator.synthesis, training.discriminator):
        network.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    training.advance()
    assert set(seen) == {2}
    assert len(seen) == 4 + 2 + 4 * 2  # fakes, path lengths on half a batch, D on fakes and reals


@pytest.mark.parametrize("loss", SLOPES)
def test_gradient_of_the_discriminator_term_by_term(tiny, store, loss):
    """Losses and penalties, each written out sample by sample, against one step's gradient."""
    gamma = 5.0
    config = changed(tiny, loss=loss, gamma=gamma, r1_interval=1, augment="none")
    training = make(config, store)
    reals, latents = training._reals(), training._latents("main", 8)
    fakes = training.generator.synthesis(mixed_styles(training.generator, latents)[0], latents.noise).detach()
    judge = training.discriminator

    def squared_slope(images):
        images = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(judge(images).sum(), images, create_graph=True)
        return sum((sample**2).sum() for sample in slope) / len(images)

    real, fake = judge(reals).flatten(), judge(fakes).flatten()
    if loss == "logistic":
        expected = sum(torch.log1p(torch.exp(-r)) + torch.log1p(torch.exp(f)) for r, f in zip(real, fake, strict=True))
        expected = expected / 8 + gamma / 2 * squared_slope(reals)
    else:
        expected = sum(torch.log1p(torch.exp(-(r - f))) for r, f in zip(real, fake, strict=True)) / 8
        expected = expected + gamma / 2 * (squared_slope(reals) + squared_slope(fakes))
    slopes = torch.autograd.grad(expected, list(judge.parameters()), allow_unused=True)
    training.advance()
    for parameter, slope in zip(judge.parameters(), slopes, strict=True):
        torch.testing.assert_close(parameter.grad, slope, rtol=1e-3, atol=1e-5)


def test_relativistic_training_penalises_at_each_step_without_correcting_adam(tiny, store):
    training = make(changed(tiny, loss="relativistic"), store)
    assert training.d_optimiser.param_groups[0]["lr"] == tiny.lr_discriminator
    values = []
    for _ in range(3):
        training.advance()
        values.append((training.lazy["r1"].item(), training.lazy["r2"].item()))
    assert len(set(values)) == 3
    assert all(r1 > 0 and r2 > 0 for r1, r2 in values)


def test_r_t_of_the_relativistic_loss_compares_pairs(tiny, store):
    """D's zero is free there, so a large common offset must not look like overfitting."""
    training = make(changed(tiny, loss="relativistic", augment="none"), store)
    with torch.no_grad():
        training.discriminator.logit.bias.fill_(100.0)
    for _ in range(4):
        training.advance()
    figures = training.figures()
    assert figures["d_real"] > 90
    assert -1 <= figures["r_t"] < 0.95


def test_magnitudes_move_once_an_image_and_the_average_copies_them(tiny, store):
    training = make(changed(tiny, network="stylegan3-r", accumulate=2, style_mixing=0.0), store)
    magnitudes = [layer.magnitude_ema for layer in training.generator.synthesis.layers]
    seen = [[] for _ in magnitudes]
    for layer, squares in zip(training.generator.synthesis.layers, seen, strict=True):
        layer.register_forward_pre_hook(
            lambda module, inputs, into=squares: into.append(inputs[0].square().mean().item())
        )
    for _ in range(2):
        training.advance()
    for magnitude, squares in zip(magnitudes, seen, strict=True):
        expected = 1.0
        assert len(squares) == 4
        for square in squares:  # parts of four images, half-life 20,000
            expected += (square - expected) * (1 - 0.5 ** (4 / 20_000))
        assert magnitude.item() == pytest.approx(expected, rel=1e-4)
    kept = dict(training.average.named_buffers())
    assert all(torch.equal(kept[name], value) for name, value in training.generator.named_buffers())


def test_blurred_are_reals_fakes_and_the_penalty(tiny, store, monkeypatch):
    from reidgen.generators.training import style as module

    training = make(changed(tiny, augment="none", blur_kimg=0.016), store)
    assert training.figures()["blur"] == 10
    sigmas, plain = [], module.blur

    def noted(images, sigma):
        sigmas.append(sigma)
        return plain(images, sigma)

    monkeypatch.setattr(module, "blur", noted)
    for _ in range(3):
        training.advance()
    assert sigmas == [10, 10, 10, 5, 5, 0, 0]  # reals, fakes, and R1 at the first step
    images = training._reals()
    training.step = 0
    torch.testing.assert_close(training._judge(images, "real", 0), training.discriminator(plain(images, 10.0)))


@pytest.mark.parametrize(("precision", "error"), [("bf16", 0.1), ("fp16", 0.02)])
@pytest.mark.parametrize("network", ["stylegan2", *SLOW])
def test_half_precision_has_nearly_the_same_gradients(tiny, store, network, precision, error):
    found = []
    for kind in ("float32", precision):
        training = make(changed(tiny, network=network, precision=kind, r1_interval=1, gamma=1.0), store)
        training.advance()
        found.append(gradients(training))
        training.advance()
        assert training.finite()
    exact, rough = (torch.cat([gradient.flatten() for gradient in each.values()]) for each in found)
    assert (rough - exact).norm() < error * exact.norm()


def test_a_gradient_that_overflows_is_mended_in_float16_alone(tiny, store):
    weight = torch.nn.Parameter(torch.zeros(4))
    weight.grad = torch.tensor([torch.nan, torch.inf, -torch.inf, 32.0])
    unscale([weight], 16.0)
    assert weight.grad.tolist() == [0, 1e5, -1e5, 2]
    for precision, survives in (("fp16", True), ("float32", False)):
        training = make(changed(tiny, precision=precision, r1_interval=10**6), store)
        training.step = 1
        training.discriminator.conv.weight.register_hook(lambda gradient: gradient * torch.inf)
        training.advance()
        assert training.finite() is survives


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            {"network": "stylegan3-r", "blur_kimg": 0.016, "precision": "fp16", "style_mixing": 0.0, "augment": "bgc"},
            marks=pytest.mark.slow,
        ),
        {"loss": "relativistic", "accumulate": 2},
    ],
)
def test_a_stopped_training_goes_on_to_the_same_bits(tiny, store, tmp_path, options):
    """Weights, optimisers, running magnitudes, p and the blur's width, which all move in these steps."""
    config = changed(tiny, batch=4, ada_target=-1.1, ada_kimg=1.0, **options)
    whole, first, second = (make(config, store) for _ in range(3))
    for _ in range(5):
        whole.advance()
    for _ in range(2):
        first.advance()
    save_state(tmp_path / "state.safetensors", first.state())
    second.load(load_state(tmp_path / "state.safetensors"))
    for _ in range(3):
        second.advance()
    save_state(tmp_path / "second.safetensors", second.state())
    save_state(tmp_path / "whole.safetensors", whole.state())
    assert (tmp_path / "second.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert second.figures() == whole.figures()
    assert whole.ada_p == pytest.approx(0.016)
