from types import SimpleNamespace

import numpy as np
import pytest
import torch

from reidgen.config import ReidConfig
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import ConfigError
from reidgen.reid.supervised.groups import find_groups, kept_groups, people_shares
from reidgen.reid.supervised.people import People
from tests.factories import make_table

# Real crops of people 1, 1, 2, 3, 3 (the first of 1 and 3 held out), then generated ones.
PIDS = [1, 1, 2, 3, 3, 8, 9]
FEATURES = torch.tensor([[0.0, 9.0], [5.0, 0.1], [0.2, 7.0], [1.0, 1.0], [0.1, 3.0], [2.0, 0.0], [0.0, 0.5]])


@pytest.fixture
def people():
    table = make_table(PIDS, origin=["real"] * 5 + ["generated"] * 2)
    return People.of(table, ReidConfig(generated_label="lsro"))


def test_a_generated_crop_may_be_anybody_of_its_group(people):
    """Person 1's learned crop points along the first axis, those of 2 and 3 along the second."""
    groups = find_groups(FEATURES, people, groups=2, seed=0)
    first, second = groups.crops[1].item(), groups.crops[2].item()
    assert first != second
    assert groups.crops[[2, 4]].tolist() == [second, second]
    assert groups.crops[[5, 6]].tolist() == [first, second]  # lengths do not count
    assert groups.shares[first].tolist() == [1, 0, 0]
    assert groups.shares[second].tolist() == [0, 0.5, 0.5]


def test_shares_equal_a_slow_count():
    rng = np.random.default_rng(0)
    crops, labels = np.concatenate([np.arange(4), rng.integers(0, 4, 60)]), rng.integers(0, 7, 64)
    shares = people_shares(crops, labels, 4, 7)
    for group in range(4):
        members = {label for crop, label in zip(crops, labels, strict=True) if crop == group}
        expected = [1 / len(members) if person in members else 0 for person in range(7)]
        assert shares[group].tolist() == pytest.approx(expected)


def test_one_group_is_lsro_over_the_people_that_are_learned(people):
    assert find_groups(FEATURES, people, groups=1, seed=0).shares[0].tolist() == pytest.approx([1 / 3] * 3)


def test_the_same_seed_finds_the_same_groups(people):
    ours, theirs = (find_groups(FEATURES, people, groups=2, seed=3) for _ in range(2))
    assert torch.equal(ours.crops, theirs.crops)


def test_more_groups_than_real_crops_are_told(people):
    with pytest.raises(ConfigError) as caught:
        find_groups(FEATURES, people, groups=9, seed=0)
    assert str(caught.value) == (
        "generated_groups asks for more groups than there are real crops.\n"
        "  got: 9\n  allowed: 1 to 3\n  try: generated_groups=3"
    )


def test_groups_are_found_once_and_kept(people, tmp_path):
    """A resumed training must not depend on features or clusters coming out the same again."""
    config = ReidConfig(generated_label="slsr", generated_features="elsewhere", generated_groups=2)
    first = kept_groups(RunFiles(tmp_path, "a run"), people, config, SimpleNamespace(embed=lambda table: FEATURES))
    found = find_groups(FEATURES, people, groups=2, seed=0)
    assert torch.equal(first.crops, found.crops)
    again = kept_groups(RunFiles(tmp_path, "a run"), people, config, SimpleNamespace(embed=None))
    assert torch.equal(again.crops, found.crops)
    assert torch.equal(again.shares, found.shares)
