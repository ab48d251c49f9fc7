"""The trainings of all translators: what moves, what is computed, resume to the bit, and that losses fall."""

import copy

import numpy as np
import polars as pl
import pytest
import torch

from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import setup
from reidgen.generators.training.blur import blur
from reidgen.generators.translation.cycle import CycleTraining
from reidgen.generators.translation.domain_crops import Crops, sampler_of
from reidgen.generators.translation.domains import DomainTraining
from reidgen.generators.translation.networks import seen_by_discriminator, seen_by_generator
from reidgen.generators.translation.paired import PairedTraining
from tests.generators.translation.conftest import SIZE, made_crops, tiny_config

KINDS = {"paired": PairedTraining, "cycle": CycleTraining, "domains": DomainTraining}
PRESETS = ("pix2pix", "pix2pix-mask", "pix2pix-pose", "background", "background-pose", "camstyle", "spgan", "stargan")


def training(preset, crops=None, **changes):
    config = tiny_config(preset, **changes)
    crops = made_crops((1, 2, 3) if preset == "stargan" else (1, 2)) if crops is None else crops
    return KINDS[config.family](config, setup("cpu"), crops)


def flat(networks):
    return {name: value.clone() for name, value in networks.state_dict().items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_network_moves_and_every_figure_is_a_number(preset):
    one = training(preset)
    before = flat(one.networks)
    for _ in range(5):  # the generator of stargan moves in the fifth
        one.advance()
    assert one.finite()
    figures = one.figures()
    assert figures["step"] == 5
    assert all(np.isfinite(value) for value in figures.values())
    after = one.networks.state_dict()
    still = {name for name in before if before[name].is_floating_point() and torch.equal(before[name], after[name])}
    assert not still
    assert not one.networks.training
    assert one.sheet().shape[1:] == (*SIZE, 3)
    assert len(one.sheet()) % 8 == 0


@pytest.mark.parametrize("preset", ["pix2pix-pose", "background", "spgan", "stargan"])
def test_resume_to_the_bit(preset):
    whole, first, second = training(preset), training(preset), training(preset)
    for _ in range(6):
        whole.advance()
    for _ in range(3):
        first.advance()
    second.load(copy.deepcopy(first.state()))
    for _ in range(3):
        second.advance()
    assert all(torch.equal(value, second.networks.state_dict()[name]) for name, value in flat(whole.networks).items())
    assert whole.figures() == second.figures()


def test_first_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    one = training("pix2pix")
    torch.manual_seed(2)
    same, other = training("pix2pix"), training("pix2pix", seed=1)
    name = "generator.downs.0.weight"
    assert torch.equal(flat(one.networks)[name], flat(same.networks)[name])
    assert not torch.equal(flat(one.networks)[name], flat(other.networks)[name])


def test_the_rate_is_constant_then_falls_to_zero():
    one = training("camstyle", steps=10, decay=0.4)
    rates = []
    for one.step in range(11):
        rates.append(one.rate / 2e-4)
    assert rates == pytest.approx([1] * 7 + [0.75, 0.5, 0.25, 0])
    assert training("pix2pix").rate == 2e-4


def shown_by_hand(parts, moves):
    """Crops or masks enlarged to 286 / 256, cut where the moves say, and mirrored where they say."""
    height, width = SIZE
    larger = (round(height * 286 / 256), round(width * 286 / 256))
    shown = []
    for part, flip, (top, left) in zip(parts, moves.mirrored, moves.places, strict=True):
        whole = torch.nn.functional.interpolate(part[None], larger, mode="bilinear")[0]
        cut = whole[:, top : top + height, left : left + width]
        shown.append(cut.flip(2) if flip else cut)
    return torch.stack(shown)


def test_every_place_of_an_enlarged_crop_is_shown():
    """36x18 has 5 times 3 places for 32x16; 300 draws miss one with a chance of 15 * (14 / 15) ** 300 < 2e-8."""
    one = training("camstyle", batch=3)
    seen = set()
    for one.step in range(100):
        seen |= {tuple(place) for place in one.moves("0").places.tolist()}
    assert seen == {(top, left) for top in range(5) for left in range(3)}
    assert training("stargan").moves().places is None, "shown as they are"


def test_one_paired_step_by_hand():
    """The figures of a step are those of the formulas, from networks as they were before each moved."""
    one = training("background", gan_weight=3.0)
    untouched = copy.deepcopy(one.networks).train()
    rows = one.sampler.indices(0)
    moves = one.moves()
    x, y, m_in, m_out = (
        shown_by_hand(parts, moves)
        for parts in (
            one.crops.pictures.batch(rows[:, 0]).float() / 127.5 - 1,
            one.crops.pictures.batch(rows[:, 1]).float() / 127.5 - 1,
            one.crops.masks.batch(rows[:, 0]).float() / 255,
            one.crops.masks.batch(rows[:, 1]).float() / 255,
        )
    )
    made = untouched["generator"](x, one.noise(3, one.random("noise")))
    place = x * (1 - m_in) * (1 - m_out)
    judge = untouched["discriminator"]
    real, fake = judge(torch.cat([place, y], 1)), judge(torch.cat([place, made], 1))
    loss_d = (torch.log1p((-real).exp()).mean() + torch.log1p(fake.exp()).mean()) / 2
    one.advance()
    figures = one.figures()
    foreground = ((made - x).abs() * m_in).mean().item()
    background = ((made - y).abs() * (1 - m_in) * (1 - m_out)).mean().item()
    assert figures["foreground"] == pytest.approx(foreground, rel=1e-4)
    assert figures["background"] == pytest.approx(background, rel=1e-4)
    assert figures["loss_d"] == pytest.approx(loss_d.item(), rel=1e-4)
    total = 3 * figures["gan"] + 70 * figures["foreground"] + 30 * figures["background"]
    assert figures["loss_g"] == pytest.approx(total, rel=1e-4)


def test_the_generator_is_judged_by_the_discriminator_that_has_learned():
    one = training("pix2pix", lr=1e-2)
    before = copy.deepcopy(one.networks["discriminator"]).train()
    condition = torch.randn(3, 6, *SIZE)
    one.advance()
    moved = one.networks["discriminator"].train()
    assert not torch.equal(before(condition), moved(condition))


@pytest.mark.parametrize(
    ("preset", "name", "steps"),
    [("pix2pix-pose", "l1", 60), ("background", "foreground", 60), ("camstyle", "cycle", 40)],
)
def test_what_it_is_held_to_falls(preset, name, steps):
    """Over four seeds to 0.17 to 0.43 of the first step's; the deviation is at most .08."""
    depth = {"blocks": 1} if preset == "camstyle" else {}
    one = training(preset, steps=steps, batch=6, width=8, lr=2e-3, decay=0.0, **depth)
    one.advance()
    first = one.figures()[name]
    for _ in range(steps - 1):
        one.advance()
    one.sums.zero_()
    one.summed = 0
    one.advance()
    assert one.figures()[name] < 0.65 * first


def test_same_person_and_sequence_or_anybody():
    crops = made_crops()
    pids, camids = crops.table.pids, crops.table.camids
    for preset, same in (("pix2pix", True), ("background", False)):
        sampler = sampler_of(crops.table, tiny_config(preset))
        rows = sampler.rows(np.arange(len(sampler)))
        assert set(camids[rows[:, 0]]) == {1}
        assert set(camids[rows[:, 1]]) == {2}
        assert (pids[rows[:, 0]] == pids[rows[:, 1]]).all() == same
        assert len(np.unique(rows, axis=0)) == len(rows)
    assert len(sampler) == 12 * 10, "ten targets for each of twelve crops of camera 1"
    assert (np.bincount(rows[:, 0])[np.flatnonzero(camids == 1)] == 10).all()


def test_labels_of_the_target_do_not_count_for_the_static_loss():
    """Model 4 learns from an unlabelled target: other people's numbers there change nothing."""
    crops = made_crops()
    unknown = np.where(crops.table.camids == 2, -1, crops.table.pids)
    table = ReidTable(crops.table.rows.with_columns(pid=pl.Series(unknown)))
    one, other = training("background", crops), training("background", Crops(table, crops.pictures, crops.masks))
    one.advance()
    other.advance()
    assert all(torch.equal(value, flat(other.networks)[name]) for name, value in flat(one.networks).items())


def test_what_is_seen():
    x, m, n = torch.randn(2, 3, *SIZE), torch.rand(2, 1, *SIZE).round(), torch.rand(2, 1, *SIZE).round()
    assert torch.equal(seen_by_generator(tiny_config("background"), x, m, n), x)
    seen = seen_by_generator(tiny_config("pix2pix-mask"), x, m, n)
    assert torch.equal(seen, torch.cat([x, 2 * m - 1], 1))
    seen = seen_by_generator(tiny_config("pix2pix-pose"), x, m, n)
    assert torch.equal(seen, torch.cat([x, 2 * m - 1, 2 * n - 1], 1))
    assert seen_by_discriminator(tiny_config("pix2pix-pose"), seen, m, n) is seen
    place = seen_by_discriminator(tiny_config("background"), x, m, n)
    assert torch.equal(place, torch.where((m + n) > 0, torch.zeros_like(x), x))


def test_a_gap_that_is_filled_is_held_to_what_is_around_the_targets_person():
    """The background loss is then over all that is not the source's person."""
    free, filled = training("background"), training("background", gap="inpainted")
    free.advance()
    filled.advance()
    one, other = free.figures(), filled.figures()
    assert one["foreground"] == other["foreground"]
    assert other["background"] > one["background"], "more pixels count"
    made, x, y = torch.randn(3, 2, 3, *SIZE)
    m_in, m_out = torch.zeros(2, 1, *SIZE), torch.zeros(2, 1, *SIZE)
    m_in[:, :, 4:20, 2:6], m_out[:, :, 4:20, 8:12] = 1, 1
    y = torch.full_like(y, 0.3)
    y[:, :, 4:20, 8:12] = -1
    _, _, background = filled._held(made, x, y, m_in, m_out)
    expected = ((made - 0.3).abs() * (1 - m_in)).mean()
    torch.testing.assert_close(background, expected)


def test_blurred_masks_blend_person_and_place():
    sharp, soft = training("background"), training("background", mask_blur=2.0)
    made, x, y = torch.randn(3, 2, 3, *SIZE)
    m = torch.zeros(2, 1, *SIZE)
    m[:, :, 8:24, 4:12] = 1
    _, foreground, _ = soft._held(made, x, y, m, m)
    weights = blur(m, 2.0)
    torch.testing.assert_close(foreground, ((made - x).abs() * weights).mean())
    assert 0.2 < weights[0, 0, 8, 8] < 0.8, "half at the border"
    assert sharp._held(made, x, y, m, m)[1] != foreground


@pytest.mark.parametrize("preset", ["background", "spgan", "stargan"])
def test_bfloat16_computes_about_the_same(preset):
    """The networks are the same at the start, so are the first figures up to the rounding of 8 bits, in each layer."""
    full, half = training(preset), training(preset, precision="bf16")
    full.advance()
    half.advance()
    one, other = full.figures(), half.figures()
    assert half.finite()
    assert other["loss_d"] == pytest.approx(one["loss_d"], rel=0.1)
    assert other != one
