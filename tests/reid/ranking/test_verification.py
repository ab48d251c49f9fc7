import numpy as np
import pytest
import torch

from reidgen.reid.ranking import verification
from reidgen.reid.ranking.verification import false_matches


@pytest.mark.parametrize("block", [2, 3, 100])
def test_pairs_of_two_people_are_counted_once(block, monkeypatch):
    monkeypatch.setattr(verification, "BLOCK", block)
    embeddings = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    pids = np.array([1, 1, 2, 0, 0, 3, 2, 0, 4])
    unit = (embeddings / embeddings.norm(dim=1, keepdim=True)).double().numpy()
    pairs = [(a, b) for a in range(9) for b in range(a) if pids[a] != pids[b]]
    alike = [unit[a] @ unit[b] for a, b in pairs]
    for threshold in (-1.0, 0.0, 0.3, 0.99):
        found = false_matches(embeddings, pids, threshold)
        assert found == (len(pairs), sum(value >= threshold for value in alike))
    assert false_matches(embeddings, pids, -1.0).rate == 1


def test_equal_crops_of_two_people_match_at_any_similarity_below_one():
    found = false_matches(torch.ones(2, 3), np.array([1, 2]), 0.999)
    assert (found.pairs, found.matched) == (1, 1)
    assert str(found) == "100.000 % of 1 pairs of crops of two people in the gallery reach it"


def test_without_two_people_there_is_no_rate():
    found = false_matches(torch.ones(3, 2), np.array([0, 0, 0]), 0.5)
    assert found.rate is None and "not known" in str(found)
