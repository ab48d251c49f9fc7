"""Losses over pairs of a batch: each against its formula written as slow loops, and what all of them share."""

import functools
import math

import pytest
import torch

from reidgen.losses.reid.circle import circle_loss
from reidgen.losses.reid.pairs import euclidean_distances, pair_masks
from reidgen.losses.reid.triplet import triplet_loss
from reidgen.losses.reid.weighted_triplet import weighted_triplet_loss


def others(labels, i):
    same = [j for j in range(len(labels)) if j != i and labels[j] == labels[i] >= 0]
    apart = [j for j in range(len(labels)) if labels[j] >= 0 and labels[i] >= 0 and labels[j] != labels[i]]
    return same, apart


def slow(embeddings, labels, anchor_loss):
    """Mean of a loss of (anchor, positives, negatives) over the anchors that have both; plain Python floats."""
    rows, labels = embeddings.tolist(), labels.tolist()
    losses = []
    for i in range(len(rows)):
        same, apart = others(labels, i)
        if same and apart:
            losses.append(anchor_loss(rows[i], [rows[j] for j in same], [rows[j] for j in apart]))
    return sum(losses) / len(losses) if losses else 0.0


def slow_hard(anchor, positives, negatives, margin):
    excess = max(math.dist(anchor, p) for p in positives) - min(math.dist(anchor, n) for n in negatives)
    return math.log1p(math.exp(excess)) if margin is None else max(0.0, margin + excess)


def slow_weighted(anchor, positives, negatives):
    far, near = [math.dist(anchor, p) for p in positives], [math.dist(anchor, n) for n in negatives]
    w, v = [math.exp(d) for d in far], [math.exp(-d) for d in near]
    excess = sum(a * b for a, b in zip(w, far, strict=True)) / sum(w) - sum(
        a * b for a, b in zip(v, near, strict=True)
    ) / sum(v)
    return math.log1p(math.exp(excess))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def slow_circle(anchor, positives, negatives, margin=0.25, scale=32.0):
    total_n = total_p = 0.0
    for s in (cosine(anchor, n) for n in negatives):
        total_n += math.exp(scale * max(0.0, s + margin) * (s - margin))
    for s in (cosine(anchor, p) for p in positives):
        total_p += math.exp(-scale * max(0.0, 1 + margin - s) * (s - (1 - margin)))
    return math.log1p(total_n * total_p)


LOSSES = {
    "hard": (functools.partial(triplet_loss, margin=0.3), functools.partial(slow_hard, margin=0.3)),
    "soft": (functools.partial(triplet_loss, margin=None), functools.partial(slow_hard, margin=None)),
    "weighted": (weighted_triplet_loss, slow_weighted),
    "circle": (circle_loss, slow_circle),
    "circle 0.4, 8": (
        functools.partial(circle_loss, margin=0.4, scale=8.0),
        functools.partial(slow_circle, margin=0.4, scale=8.0),
    ),
}
BATCHES = {
    "PK": [0, 0, 0, 1, 1, 1, 2, 2, 2],
    "uneven": [4, 0, 4, 4, 2, 0, 7, 7, 2],  # every anchor has a positive
    "alone": [0, 1, 2, 2, 3, 0, 5, 6, 6],  # 1, 3 and 5 have no positive
    "nobody": [0, -1, 0, 1, -1, -1, 1, -1, 2],  # crops of nobody are neither positive nor negative
    "one person": [3] * 9,  # no negatives at all
    "all apart": list(range(9)),  # no positives at all
    "all nobody": [-1] * 9,
}


@pytest.fixture(params=list(LOSSES))
def pair(request):
    return LOSSES[request.param]


def batch(name, dtype=torch.float64):
    embeddings = torch.randn(9, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return embeddings.to(dtype), torch.tensor(BATCHES[name])


@pytest.mark.parametrize("name", list(BATCHES))
def test_equals_the_formula_written_as_loops(pair, name):
    ours, slow_anchor = pair
    embeddings, labels = batch(name)
    assert ours(embeddings, labels).item() == pytest.approx(slow(embeddings, labels, slow_anchor), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", list(BATCHES))
def test_gradients_are_those_of_the_formula_and_never_nan(pair, name):
    """By differences of the loss; circle's weights are constants of the gradient, which its own test looks at."""
    ours, _ = pair
    embeddings, labels = batch(name)
    embeddings.requires_grad_()
    (gradient,) = torch.autograd.grad(ours(embeddings, labels), embeddings)
    assert gradient.isfinite().all()
    if name in ("one person", "all apart", "all nobody"):
        assert not gradient.any()
    elif "circle" not in str(ours.func if isinstance(ours, functools.partial) else ours):
        assert torch.autograd.gradcheck(lambda x: ours(x, labels), embeddings)


def test_equal_crops_have_finite_gradients(pair):
    """A person with a single crop is drawn twice: the same embedding twice, at distance 0."""
    ours, _ = pair
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = ours(rows[[0, 0, 1, 1, 2, 2]], torch.tensor([0, 0, 1, 1, 2, 2]))
    (gradient,) = torch.autograd.grad(loss, rows)
    assert loss.isfinite() and gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_half_precision_is_computed_in_float32(pair, dtype):
    ours, _ = pair
    embeddings, labels = batch("uneven", dtype)
    loss = ours(embeddings, labels)
    assert loss.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(embeddings, labels).item() == loss.item()
    assert loss.item() == pytest.approx(ours(embeddings.double(), labels).item(), rel=1e-5)


def test_the_order_of_the_crops_does_not_matter(pair):
    ours, _ = pair
    embeddings, labels = batch("uneven")
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    assert ours(embeddings[order], labels[order]).item() == pytest.approx(ours(embeddings, labels).item(), rel=1e-12)


def test_a_step_down_the_gradient_lowers_the_loss(pair):
    ours, _ = pair
    embeddings, labels = batch("PK")
    embeddings.requires_grad_()
    before = ours(embeddings, labels)
    (gradient,) = torch.autograd.grad(before, embeddings)
    assert ours(embeddings - 1e-3 * gradient, labels) < before


def test_triplets_on_a_line_by_hand():
    """Crops at 0 and 1 of one person, at 3 and 7 of another: anchors want 1 - 3, 1 - 2, 4 - 2, 4 - 6."""
    embeddings, labels = torch.tensor([[0.0], [1.0], [3.0], [7.0]]), torch.tensor([0, 0, 1, 1])
    assert triplet_loss(embeddings, labels, margin=0.3).item() == pytest.approx((0 + 0 + 2.3 + 0) / 4)
    assert triplet_loss(embeddings, labels, margin=1.5).item() == pytest.approx((0 + 0.5 + 3.5 + 0) / 4)
    soft = sum(math.log1p(math.exp(x)) for x in (-2, -1, 2, -2)) / 4
    assert triplet_loss(embeddings, labels, margin=None).item() == pytest.approx(soft)


def test_weights_of_the_weighted_triplet_by_hand():
    """One positive at 1, negatives at 2 and 3: their weights are e^-2 and e^-3 over their sum."""
    embeddings, labels = torch.tensor([[0.0], [1.0], [2.0], [-3.0]]).double(), torch.tensor([0, 0, 1, 2])
    v = math.exp(-2) / (math.exp(-2) + math.exp(-3))
    first = math.log1p(math.exp(1 - (2 * v + 3 * (1 - v))))
    u = math.exp(-1) / (math.exp(-1) + math.exp(-4))
    second = math.log1p(math.exp(1 - (1 * u + 4 * (1 - u))))
    assert weighted_triplet_loss(embeddings, labels).item() == pytest.approx((first + second) / 2, rel=1e-9)


def test_circle_by_hand():
    """Orthogonal people: a positive at cosine 1 has weight m, a negative at 0 has weight m: log(1 + e^(-2 g m^2))."""
    # in float64: a cosine that is 6e-8 off moves the loss of scale 32 by more than 1e-6 of it
    embeddings, labels = torch.tensor([[1.0, 0], [2, 0], [0, 3], [0, 1]]).double(), torch.tensor([0, 0, 1, 1])
    # two negatives each: exp(32 * .25 * -.25) twice; one positive: exp(-32 * .25 * .25)
    expected = math.log1p(2 * math.exp(-2) * math.exp(-2))
    assert circle_loss(embeddings, labels).item() == pytest.approx(expected, rel=1e-9)


def test_the_weights_of_circle_have_no_gradient():
    """d/ds of the exponent is scale times the weight alone (equation 10), not its double."""
    angle = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    positive = torch.stack([angle.cos(), angle.sin()])
    embeddings = torch.stack([torch.tensor([1.0, 0.0], dtype=torch.float64), positive, torch.tensor([0.0, -1.0])])
    loss = circle_loss(embeddings, torch.tensor([0, 0, 1]), margin=0.25, scale=2.0)
    (gradient,) = torch.autograd.grad(loss, angle)
    total = 0.0
    s, m, g = math.cos(1.2), 0.25, 2.0
    for negative in (0.0, -math.sin(1.2)):
        exponent = g * max(0, negative + m) * (negative - m) - g * (1 + m - s) * (s - 1 + m)
        share = 1 / (1 + math.exp(-exponent))
        total += share * g * (1 + m - s) * math.sin(1.2)
        if negative:
            total += share * g * max(0, negative + m) * -math.cos(1.2)
    assert gradient.item() == pytest.approx(total / 2, rel=1e-9)


def test_a_margin_in_distance_is_not_moved_by_a_far_origin():
    """1,000 from the origin float32 keeps no digits of |a|^2 - 2ab + |b|^2 unless the mean is taken off."""
    embeddings, labels = batch("PK", torch.float32)
    near, far = (triplet_loss(embeddings + shift, labels).item() for shift in (0, 1000))
    assert far == pytest.approx(near, rel=1e-3)


def test_distances_equal_those_of_torch():
    embeddings, _ = batch("PK", torch.float32)
    expected = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(euclidean_distances(embeddings), expected, rtol=1e-5, atol=1e-5)


def test_masks_by_hand():
    positives, negatives = pair_masks(torch.tensor([1, 2, 1, -1]))
    assert positives.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert negatives.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
