import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reidgen.losses.reid.cross_entropy import cross_entropy
from reidgen.losses.reid.soft_labels import ranked, soft_cross_entropy, soft_targets

# Two real crops of people 0 and 2, two generated ones; three people.
SCORES = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.5, 0.5], [3.0, -1.0, 0.0], [0.0, 1.0, 5.0]])
LABELS = torch.tensor([0, 2, 1, 1])
NAMELESS = torch.tensor([0, 2, -1, -1])
GENERATED = torch.tensor([False, False, True, True])
SHARES = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])

# By hand: rows of the two generated crops.
THIRD = 1 / 3
BY_HAND = {
    "table": [[0, 1, 0], [0, 1, 0]],
    "new": [[0, 1, 0], [0, 1, 0]],
    "same": [[0, 1, 0], [0, 1, 0]],
    "lsr": [[0.1, 0.8, 0.1], [0.1, 0.8, 0.1]],  # epsilon 0.3: 0.3 / 3 for each, 0.7 more for person 1
    "lsro": [[THIRD] * 3] * 2,
    "mprl": [[3 / 6, 1 / 6, 2 / 6], [1 / 6, 2 / 6, 3 / 6]],  # ranks 3 1 2 and 1 2 3, over 3, by 2 / 4
    "slsr": SHARES.tolist(),
    "pseudo": [[1, 0, 0], [0, 0, 1]],
    "none": [[0, 0, 0], [0, 0, 0]],
}


def targets(policy, labels=LABELS, scores=SCORES, **options):
    groups = SHARES[torch.tensor([0, 0, 0, 1])] if policy == "slsr" else None
    return soft_targets(policy, scores, labels, GENERATED, generated_smoothing=0.3, groups=groups, **options)


@pytest.mark.parametrize("policy", BY_HAND)
def test_the_targets_of_generated_crops_are_those_worked_out_by_hand(policy):
    made = targets(policy)
    assert made.dtype == torch.float32
    assert torch.allclose(made[2:], torch.tensor(BY_HAND[policy], dtype=torch.float32))
    assert made[:2].tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("policy", ["lsro", "mprl", "slsr", "pseudo", "none"])
def test_without_identity_the_labels_of_generated_crops_do_not_matter(policy):
    assert torch.equal(targets(policy, NAMELESS), targets(policy))


def test_one_extra_class_takes_all_generated_crops():
    scores = torch.cat([SCORES, torch.zeros(4, 1)], dim=1)
    made = targets("extra", NAMELESS, scores)
    assert made.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_smoothing_is_for_crops_with_a_person():
    real = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]
    for policy, told in [("lsr", BY_HAND["lsr"]), ("lsro", BY_HAND["lsro"]), ("pseudo", BY_HAND["pseudo"])]:
        made = targets(policy, smoothing=0.3)
        assert torch.allclose(made, torch.tensor(real + told, dtype=torch.float32)), policy
    assert torch.allclose(targets("new", smoothing=0.3)[2], torch.tensor([0.1, 0.8, 0.1]))


@given(scores=st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_ranks_are_those_of_a_sort_and_sum_to_one(scores):
    count = len(scores)
    order = sorted(range(count), key=lambda k: (scores[k], k))
    expected = [(order.index(k) + 1) / count * 2 / (count + 1) for k in range(count)]
    made = ranked(torch.tensor([scores], dtype=torch.float32))
    assert made[0].tolist() == pytest.approx(expected)
    assert made.sum().item() == pytest.approx(1, rel=1e-5)


def slow(logits, targets, weights):
    total = 0.0
    for row, told, weight in zip(logits.tolist(), targets.tolist(), weights.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        total -= weight * sum(t * (value - log_sum) for t, value in zip(told, row, strict=True))
    return total / len(logits)


@pytest.mark.parametrize("policy", BY_HAND)
@pytest.mark.parametrize("weight", [0.0, 0.25, 2.0])
def test_the_loss_equals_the_definition(policy, weight):
    weights = torch.where(GENERATED, weight, 1.0)
    made = targets(policy, smoothing=0.1)
    assert soft_cross_entropy(SCORES, made, weights).item() == pytest.approx(slow(SCORES, made, weights), rel=1e-5)


def test_worked_example_of_lsro():
    """Zheng et al. 2017, equation 7, with two people: a real crop of p = 1/4 3/4, a generated one of p = 1/2 1/2."""
    logits = torch.tensor([[0.0, math.log(3)], [1.0, 1.0]])
    made = soft_targets("lsro", logits, torch.tensor([1, -1]), torch.tensor([False, True]))
    assert soft_cross_entropy(logits, made).item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_with_people_for_all_it_is_the_cross_entropy(smoothing):
    made = targets("table", smoothing=smoothing)
    found = soft_cross_entropy(SCORES.double(), made.double()).item()  # the targets themselves are float32
    assert found == pytest.approx(cross_entropy(SCORES.double(), LABELS, smoothing=smoothing).item(), rel=1e-6)


def test_no_weight_and_no_label_say_the_same_and_leave_the_real_ones_alone():
    scores = SCORES.clone().requires_grad_()
    loss = soft_cross_entropy(scores, targets("none", NAMELESS))
    loss.backward()
    unweighted = soft_cross_entropy(SCORES, targets("lsro"), torch.where(GENERATED, 0.0, 1.0))
    assert loss.item() == pytest.approx(unweighted.item())
    assert not scores.grad[2:].any()
    alone = SCORES[:2].clone().requires_grad_()
    (cross_entropy(alone, LABELS[:2]) / 2).backward()  # two of four crops: real ones pull as hard as in a batch of four
    assert torch.allclose(scores.grad[:2], alone.grad)


def test_targets_from_scores_have_no_gradient():
    for policy in ("mprl", "pseudo"):
        assert not targets(policy, scores=SCORES.clone().requires_grad_()).requires_grad


def test_half_precision_is_computed_in_float32():
    made = targets("mprl", scores=SCORES.bfloat16())
    assert made.dtype == soft_cross_entropy(SCORES.bfloat16(), made).dtype == torch.float32
