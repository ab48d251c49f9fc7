import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.data.samplers import EpochSampler, PeopleSampler
from reidgen.errors import DataError

LABELS = np.array([5, 7, 5, 9, 7, 5, 5, 9, 9, 9, 2, 11, 11, 5])  # 2 has one crop, 7 and 11 two, 9 four, 5 five


@given(
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    people=st.integers(1, 6),
    crops=st.integers(1, 6),
    seed=st.integers(0, 5),
)
@settings(max_examples=60)
def test_every_batch_has_p_people_with_k_crops(counts, people, crops, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 3, counts))
    if people > len(counts):
        with pytest.raises(DataError, match="too few people for one batch"):
            PeopleSampler(labels, people, crops, seed)
        return
    sampler = PeopleSampler(labels, people, crops, seed)
    for step in range(5):
        rows = sampler.indices(step)
        assert rows.shape == (people * crops,)
        groups = rows.reshape(people, crops)
        who = labels[groups]
        assert (who == who[:, :1]).all() and len(set(who[:, 0])) == people
        for group, person in zip(groups, who[:, 0], strict=True):
            times = np.bincount(group, minlength=len(labels))[labels == person]
            assert times.max() - times.min() <= 1  # a crop comes twice only after all came once


def test_everybody_has_a_turn_each_round_and_orders_differ():
    sampler = PeopleSampler(LABELS, 2, 3, seed=1)
    rounds = [[LABELS[sampler.indices(2 * r + s)][::3].tolist() for s in range(2)] for r in range(40)]
    left_out = []
    for one in rounds:
        shown = [pid for batch in one for pid in batch]
        assert len(set(shown)) == 4  # five people, two batches of two: one is left out
        left_out += sorted({2, 5, 7, 9, 11} - set(shown))
    assert set(left_out) == {2, 5, 7, 9, 11}
    assert len({str(one) for one in rounds}) > 20


def test_any_step_can_be_asked_for_first_and_the_seed_decides():
    forward = [PeopleSampler(LABELS, 2, 2, seed=4).indices(step).tolist() for step in range(9)]
    again = PeopleSampler(LABELS, 2, 2, seed=4)
    assert [again.indices(step).tolist() for step in reversed(range(9))][::-1] == forward
    assert [PeopleSampler(LABELS, 2, 2, seed=5).indices(step).tolist() for step in range(9)] != forward


def test_all_crops_of_a_person_are_drawn_in_time():
    sampler = PeopleSampler(LABELS, 5, 2, seed=0)
    seen = np.unique(np.concatenate([sampler.indices(step) for step in range(30)]))
    assert seen.tolist() == list(range(len(LABELS)))


def test_epochs_are_as_long_as_those_of_the_plain_sampler():
    sampler, plain = PeopleSampler(LABELS, 2, 2), EpochSampler(len(LABELS), 4)
    assert sampler.steps_per_epoch == plain.steps_per_epoch == 3
    assert [sampler.epoch_of(step) for step in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert PeopleSampler(LABELS, 5, 4).steps_per_epoch == 1


def test_a_batch_that_cannot_be_filled_is_told():
    with pytest.raises(DataError) as caught:
        PeopleSampler(LABELS, 8, 4)
    assert str(caught.value) == (
        "The table has too few people for one batch.\n  got: 5 people, batches of 8 people x 4 crops\n"
        "  allowed: at least 8 people\n  try: batch=20"
    )
