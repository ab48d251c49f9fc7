import math

import pytest
import torch

from reidgen.losses.reid.cross_entropy import cross_entropy


def slow(logits, labels, smoothing):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        targets = [(1 - smoothing) * (k == label) + smoothing / len(row) for k in range(len(row))]
        total -= sum(t * (value - log_sum) for t, value in zip(targets, row, strict=True))
    return total / len(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_equals_the_definition(smoothing):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 3, 0])
    assert cross_entropy(logits, labels, smoothing=smoothing).item() == pytest.approx(
        slow(logits, labels, smoothing), rel=1e-5
    )


def test_worked_example():
    # One crop, two people, scores 0 and log 3: probabilities 1/4 and 3/4.
    logits = torch.tensor([[0.0, math.log(3)]])
    assert cross_entropy(logits, torch.tensor([1])).item() == pytest.approx(math.log(4 / 3))


def test_half_precision_is_computed_in_float32():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    loss = cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    assert loss.dtype == torch.float32
    assert loss == cross_entropy(logits.float(), torch.zeros(6, dtype=torch.int64))
