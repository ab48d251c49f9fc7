import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidgen.data.samplers import EpochSampler, MixedSampler
from reidgen.errors import DataError


@given(count=st.integers(1, 60), batch=st.integers(1, 60), seed=st.integers(0, 2**63 - 1))
def test_an_epoch_shows_each_crop_at_most_once_and_leaves_out_less_than_a_batch(count, batch, seed):
    if count < batch:
        with pytest.raises(DataError, match="too few crops"):
            EpochSampler(count, batch, seed)
        return
    sampler = EpochSampler(count, batch, seed)
    for epoch in (0, 3):
        steps = range(epoch * sampler.steps_per_epoch, (epoch + 1) * sampler.steps_per_epoch)
        seen = np.concatenate([sampler.indices(step) for step in steps])
        assert {sampler.epoch_of(step) for step in steps} == {epoch}
        assert len(set(seen.tolist())) == len(seen) == count // batch * batch
        assert seen.min() >= 0
        assert seen.max() < count


def test_a_resumed_sampler_goes_on_where_the_first_one_stopped():
    whole = [EpochSampler(23, 4, seed=5).indices(step).tolist() for step in range(20)]
    resumed = [EpochSampler(23, 4, seed=5).indices(step).tolist() for step in reversed(range(11, 20))]
    assert whole[11:] == resumed[::-1]


def test_epochs_and_seeds_have_orders_of_their_own_and_leave_out_other_crops():
    first, other = EpochSampler(100, 30, seed=0), EpochSampler(100, 30, seed=1)
    assert first.indices(0).tolist() != first.indices(3).tolist()
    assert first.indices(0).tolist() != other.indices(0).tolist()
    seen = [set(np.concatenate([first.indices(3 * epoch + i) for i in range(3)]).tolist()) for epoch in range(2)]
    assert seen[0] != seen[1]


def test_the_indices_can_be_written_to_without_changing_the_order():
    sampler = EpochSampler(10, 5)
    before = sampler.indices(0).tolist()
    sampler.indices(0)[:] = 0
    assert sampler.indices(0).tolist() == before


def test_a_table_smaller_than_the_batch_is_an_error_that_says_what_to_type():
    with pytest.raises(DataError) as error:
        EpochSampler(7, 32)
    assert str(error.value) == (
        "The table has too few crops for one batch.\n"
        "  got: 7 crops, batch 32\n"
        "  allowed: at least one batch\n"
        "  try: batch=7"
    )


@given(
    kinds=st.lists(st.booleans(), max_size=60), real=st.integers(1, 9), fake=st.integers(1, 9), seed=st.integers(0, 9)
)
def test_mixed_batches_hold_so_many_of_each_kind_and_each_kind_comes_equally_often(kinds, real, fake, seed):
    generated = np.array(kinds, dtype=bool)
    if (~generated).sum() < real or generated.sum() < fake:
        with pytest.raises(DataError, match="too few crops for one batch of real and generated"):
            MixedSampler(generated, (real, fake), seed)
        return
    sampler = MixedSampler(generated, (real, fake), seed)
    assert sampler.steps_per_epoch == (~generated).sum() // real
    batches = [sampler.indices(step) for step in range(2 * sampler.steps_per_epoch)]
    turns = math.gcd(real, fake)
    turn = [False] * (real // turns) + [True] * (fake // turns)
    assert all(generated[rows].tolist() == turn * turns for rows in batches)
    assert [sampler.epoch_of(step) for step in range(len(batches))] == np.repeat(
        [0, 1], sampler.steps_per_epoch
    ).tolist()
    shown = np.concatenate([rows[~generated[rows]] for rows in batches[: sampler.steps_per_epoch]])
    assert len(set(shown.tolist())) == len(shown)
    round_of_fakes = np.concatenate([rows[generated[rows]] for rows in batches[: generated.sum() // fake]])
    assert len(set(round_of_fakes.tolist())) == len(round_of_fakes)


def test_a_mixed_sampler_goes_on_where_another_one_stopped_and_its_kinds_have_orders_of_their_own():
    generated = np.arange(40) % 2 == 1
    whole = [MixedSampler(generated, (4, 4), seed=5).indices(step).tolist() for step in range(20)]
    resumed = MixedSampler(generated, (4, 4), seed=5)
    assert [resumed.indices(step).tolist() for step in reversed(range(20))] == whole[::-1]
    assert any([row // 2 for row in rows[::2]] != [row // 2 for row in rows[1::2]] for rows in whole)


def test_real_crops_come_in_the_same_order_whatever_the_generated_ones():
    few, many = (MixedSampler(np.arange(n) >= 12, (3, 1), seed=1) for n in (16, 40))
    assert [few.indices(step)[:3].tolist() for step in range(9)] == [
        many.indices(step)[:3].tolist() for step in range(9)
    ]


def test_too_few_generated_crops_are_told():
    with pytest.raises(DataError) as error:
        MixedSampler(np.arange(10) >= 9, (6, 2))
    assert str(error.value) == (
        "The table has too few crops for one batch of real and generated ones.\n"
        "  got: 9 real and 1 generated crops\n"
        "  allowed: at least 6 real and 2 generated ones, as in each batch\n"
        "  try: a smaller batch, another generated_ratio or none, or a table with more crops"
    )
