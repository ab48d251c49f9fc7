import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidgen.data.samplers import EpochSampler
from reidgen.errors import DataError


@settings(deadline=None)
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
        "  try: --batch 7"
    )
