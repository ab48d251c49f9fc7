"""The sum of losses that a config names, by hand on made scores and features."""

import math

import pytest
import torch

from reidgen.config import ReidConfig
from reidgen.losses.reid.center import center_loss, moved_centers
from reidgen.losses.reid.circle import circle_loss
from reidgen.losses.reid.triplet import triplet_loss
from reidgen.losses.reid.weighted_triplet import weighted_triplet_loss
from reidgen.models.reid.embedder import Embedded
from reidgen.reid.supervised.labels import Labels
from reidgen.reid.supervised.objective import LOSSES, Objective

PEOPLE = torch.tensor([0, 0, 1, 1, 2, 2, 1, 0])
GENERATED = torch.tensor([False] * 6 + [True] * 2)
ROWS = torch.tensor([1, 0, 3, 2, 6, 7])


def made(**options):
    config = ReidConfig(label_smoothing=0.1, **options)
    labels = Labels(PEOPLE, GENERATED, None, config.generated_weight == 1 and config.generated_from == 0, config)
    generator = torch.Generator().manual_seed(0)
    feature, logits = (torch.randn(6, width, generator=generator, requires_grad=True) for width in (5, 3))
    objective = Objective(config, labels, people=3, width=5, parts=config.accumulate, seed=config.seed)
    return objective, Embedded(feature * 2, logits, feature)


def test_every_loss_is_that_of_its_module():
    people = PEOPLE[ROWS]
    objective, out = made(losses=("center",))
    expected = {
        "cross-entropy": torch.nn.functional.cross_entropy(out.logits, people, label_smoothing=0.1),
        "triplet": triplet_loss(out.feature, people, margin=0.7),
        "triplet-soft": triplet_loss(out.feature, people, margin=None),
        "triplet-weighted": weighted_triplet_loss(out.feature, people),
        "circle": circle_loss(out.feature, people),
        "center": center_loss(out.feature, people, objective.centers),
    }
    assert set(expected) == set(LOSSES)
    for name, value in expected.items():
        objective, out = made(losses=(name,), margin=0.7)
        assert objective.loss(out, ROWS, 0.0).item() == pytest.approx(value.item(), rel=1e-6), name
    objective, out = made(losses=tuple(f"{name}:{weight}" for weight, name in enumerate(expected, start=1)), margin=0.7)
    total = sum(weight * value.item() for weight, value in enumerate(expected.values(), start=1))
    assert objective.loss(out, ROWS, 0.0).item() == pytest.approx(total, rel=1e-6)


def test_centers_follow_and_are_drawn_by_the_seed():
    objective, out = made(losses=("center:0.001",))
    before = objective.centers.clone()
    objective.follow(out, ROWS, 0.0)
    torch.testing.assert_close(objective.centers, moved_centers(out.feature.detach(), PEOPLE[ROWS], before))
    parts, out = made(losses=("center:0.001",), accumulate=2)
    parts.follow(out, ROWS, 0.0)
    torch.testing.assert_close(parts.centers - before, (objective.centers - before) / 2)
    assert torch.equal(made(losses=("center",))[0].centers, before)
    assert not torch.equal(made(losses=("center",), seed=1)[0].centers, before)
    plain, _ = made()
    plain.follow(out, ROWS, 0.0)
    assert plain.centers is None


@pytest.mark.parametrize(
    ("options", "progress", "takes_part"),
    [
        ({}, 0.0, True),
        ({"generated_weight": 0.5}, 0.0, True),
        ({"generated_weight": 0.0}, 0.9, False),
        ({"generated_from": 0.3}, 0.2, False),
        ({"generated_from": 0.3}, 0.3, True),
    ],
)
def test_generated_crops_without_weight_take_no_part_in_losses_between_crops(options, progress, takes_part):
    objective, out = made(losses=("triplet",), **options)
    people = PEOPLE[ROWS] if takes_part else torch.where(GENERATED[ROWS], -1, PEOPLE[ROWS])
    expected = triplet_loss(out.feature, people, margin=0.3).item()
    assert objective.loss(out, ROWS, progress).item() == pytest.approx(expected, rel=1e-6)
    both = [triplet_loss(out.feature, p, margin=0.3).item() for p in (PEOPLE[ROWS], people)]
    assert takes_part or not math.isclose(*both)  # else nothing was tested
