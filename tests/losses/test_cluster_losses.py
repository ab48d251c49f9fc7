"""Losses of labels that come from clusters, against loops over crops and numbers worked out by hand."""

import math

import pytest
import torch
from torch import tensor

from reidgen.losses.clusters.agreement_smoothing import agreement_smoothed_loss
from reidgen.losses.clusters.camera_proxies import camera_proxy_loss
from reidgen.losses.clusters.cluster_memory import cluster_contrast_loss, moved_memory
from reidgen.losses.clusters.label_refinement import refined_labels
from reidgen.losses.reid.cross_entropy import cross_entropy

LOG3 = math.log(3)  # a score of log 3 against 0 is a probability of 3/4


@pytest.fixture
def drawn():
    """Scores (N 6, P 3, K 5), labels and agreements."""
    rng = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 5, generator=rng), torch.randint(5, (6,), generator=rng), torch.rand(6, 3, generator=rng)


def test_refined_labels_by_hand():
    logits = tensor([[[LOG3, 0.0], [0.0, 0.0]]])  # parts say 3/4 1/4 and 1/2 1/2
    agreement = tensor([[LOG3, 0.0]])  # so their weights are 3/4 and 1/4
    found = refined_labels(tensor([1]), logits, agreement, beta=0.5)
    assert found.tolist()[0] == pytest.approx([0.5 * (9 / 16 + 2 / 16), 0.5 + 0.5 * (3 / 16 + 2 / 16)])
    assert refined_labels(tensor([1]), logits, agreement, beta=1.0).tolist() == [[0, 1]]


def test_refined_labels_equal_the_loop_and_give_no_gradient(drawn):
    logits, labels, agreement = drawn
    found = refined_labels(labels, logits.requires_grad_(), agreement, beta=0.3)
    assert not found.requires_grad
    for i in range(len(labels)):
        weights = [math.exp(c) for c in agreement[i].tolist()]
        for k in range(5):
            told = sum(w * logits[i, n].softmax(0)[k].item() for n, w in enumerate(weights)) / sum(weights)
            assert found[i, k].item() == pytest.approx(0.3 * (labels[i] == k).item() + 0.7 * told, abs=1e-6)


def test_agreement_smoothing_by_hand():
    logits = tensor([[[LOG3, 0.0]]])
    whole, uniform = -math.log(3 / 4), -math.log(2) - (math.log(3 / 4) + math.log(1 / 4)) / 2
    for c in (1.0, 0.0, 0.25):
        found = agreement_smoothed_loss(logits, tensor([0]), tensor([[c]])).item()
        assert found == pytest.approx(c * whole + (1 - c) * uniform)


def test_agreement_smoothing_is_cross_entropy_where_parts_agree_and_nothing_for_uniform_scores(drawn):
    logits, labels, agreement = drawn
    each = [cross_entropy(logits[:, n], labels) for n in range(3)]
    torch.testing.assert_close(agreement_smoothed_loss(logits, labels, torch.ones(6, 3)), torch.stack(each).mean())
    assert agreement_smoothed_loss(torch.zeros(6, 3, 5), labels, torch.zeros(6, 3)).item() == pytest.approx(0, abs=1e-6)
    total = 0.0
    for i in range(6):
        for n in range(3):
            logs, c = logits[i, n].log_softmax(0), agreement[i, n]
            kl = sum((1 / 5) * (math.log(1 / 5) - logs[k]) for k in range(5))
            total += float(c * -logs[labels[i]] + (1 - c) * kl)
    assert agreement_smoothed_loss(logits, labels, agreement).item() == pytest.approx(total / 18, rel=1e-5)


def slow_proxy_loss(features, labels, cameras, proxies, owners, temperature, negatives):
    total = 0.0
    for f, label, camera in zip(features, labels.tolist(), cameras.tolist(), strict=True):
        scores = [float((f / f.norm() @ p).detach()) / temperature for p in proxies]
        who = list(zip(owners[0].tolist(), owners[1].tolist(), strict=True))
        positives = [s for s, (c, v) in zip(scores, who, strict=True) if c == label and v != camera]
        hardest = sorted((s for s, (c, _) in zip(scores, who, strict=True) if c != label), reverse=True)[:negatives]
        below = math.log(sum(math.exp(s) for s in positives + hardest)) if positives else 0
        total += sum(below - s for s in positives) / len(positives) if positives else 0
    return total / len(features)


@pytest.mark.parametrize("negatives", [1, 3, 50])
def test_camera_proxies_equal_the_loop(negatives):
    rng = torch.Generator().manual_seed(2)
    owners = tensor([0, 0, 0, 1, 1, 2, 3]), tensor([1, 2, 3, 1, 2, 3, 1])  # clusters 2 and 3 in one camera each
    proxies = torch.nn.functional.normalize(torch.randn(7, 4, generator=rng), dim=1)
    features = torch.randn(5, 4, generator=rng).requires_grad_()
    labels, cameras = tensor([0, 1, 2, 3, 0]), tensor([1, 2, 3, 2, 4])
    found = camera_proxy_loss(features, labels, cameras, proxies, owners, temperature=0.5, negatives=negatives)
    found.backward()
    assert found.item() == pytest.approx(
        slow_proxy_loss(features, labels, cameras, proxies, owners, 0.5, negatives), rel=1e-5
    )
    assert features.grad.isfinite().all()
    assert not features.grad[2].any()  # nobody else sees its cluster


def test_cluster_contrast_by_hand_and_its_memory_against_a_loop():
    memory = tensor([[1.0, 0.0], [0.0, 1.0]])
    assert cluster_contrast_loss(tensor([[7.0, 0.0]]), tensor([0]), memory, temperature=1 / LOG3).item() == (
        pytest.approx(-math.log(3 / 4))
    )
    rng = torch.Generator().manual_seed(3)
    features, labels = torch.randn(9, 2, generator=rng), tensor([0, 0, 1, 0, 1, 1, 1, 0, 0])
    slow = memory.clone()
    for f, k in zip(features, labels.tolist(), strict=True):
        m = 0.1 * slow[k] + 0.9 * f / f.norm()
        slow[k] = m / m.norm()
    torch.testing.assert_close(moved_memory(features, labels, memory, momentum=0.1), slow)
    assert memory.tolist() == [[1, 0], [0, 1]]
    assert moved_memory(features[:1], labels[:1], memory)[1].tolist() == [0, 1]  # nobody of it was there
