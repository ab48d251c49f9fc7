import numpy as np
import pytest

from reidgen.config import ReidConfig
from reidgen.errors import ConfigError, DataError
from reidgen.reid.supervised.people import People
from tests.factories import make_table


def test_only_kept_train_crops_of_people_are_learned_from():
    table = make_table(
        [5, 5, 5, 2, 2, 0, -1, 9, 7],
        splits=["train"] * 7 + ["train", "query"],
        origin=["real"] * 3 + ["generated"] * 2 + ["real"] * 4,
        rejected_by=[None, None, "ssim", None, None, None, None, "ssim", None],
    )
    people = People.of(table, ReidConfig())
    assert people.pids == [2, 5]
    assert people.table.pids.tolist() == [5, 5, 2, 2]
    assert people.labels.tolist() == [1, 1, 0, 0]
    assert people.val.tolist() == [0, 2]  # the first crop of each person in table order
    assert people.train.tolist() == [1, 3]
    facts = people.facts()
    assert facts == {
        "images": 2,
        "val_images": 2,
        "people": 2,
        "cameras": 2,
        "generated_images": 1,
        "generated_people": 1,
        "generated_share": 0.5,
    }


def test_a_person_with_one_crop_is_learned_from_and_not_held_out():
    people = People.of(make_table([1, 2, 2]), ReidConfig())
    assert people.train.tolist() == [0, 2]
    assert people.val.tolist() == [1]


def test_without_validation_all_crops_are_learned_from():
    people = People.of(make_table([1, 1, 2, 2]), ReidConfig(validation="none"))
    assert people.train.tolist() == [0, 1, 2, 3]
    assert np.array_equal(people.val, [])


def test_too_few_people_are_told():
    with pytest.raises(DataError) as caught:
        People.of(make_table([1, 1, 0, -1, 3], splits=["train"] * 4 + ["query"], name="small"), ReidConfig())
    assert str(caught.value) == (
        "small has too few people to learn from.\n"
        "  got: 1 people (5 crops, 4 of them in the train split, 2 of these usable)\n"
        "  allowed: at least two people with pid > 0 in split train that no filter has rejected\n"
        "  try: reidgen prepare shows the splits"
    )


def mixed(pids, fakes):
    """Real crops of the first pids, then generated ones."""
    return make_table(pids, origin=["real"] * (len(pids) - fakes) + ["generated"] * fakes)


def test_without_identity_generated_people_are_no_classes_and_are_not_held_out():
    people = People.of(mixed([3, 3, 7, 7, 8, 8, 7], 3), ReidConfig(generated_label="lsro"))
    assert people.pids == [3, 7]
    assert people.labels.tolist() == [0, 0, 1, 1, -1, -1, -1]
    assert people.generated.tolist() == [False] * 4 + [True] * 3
    assert people.val.tolist() == [0, 2]
    assert people.train.tolist() == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("label", ["table", "lsr"])
def test_with_identity_they_are_what_their_pids_say(label):
    people = People.of(mixed([3, 3, 7, 7, 8, 8, 7], 3), ReidConfig(generated_label=label))
    assert people.pids == [3, 7, 8]
    assert people.labels.tolist() == [0, 0, 1, 1, 2, 2, 1]


@pytest.mark.parametrize(("label", "pids"), [("new", [3, 7, 8, 9]), ("same", [3, 7, 7, 3])])
def test_a_policy_that_fits_the_table_is_taken_at_its_word(label, pids):
    table = mixed(pids, 2)
    named, as_is = (People.of(table, ReidConfig(generated_label=name)) for name in (label, "table"))
    assert named.pids == as_is.pids
    assert named.labels.tolist() == as_is.labels.tolist()


def test_a_policy_that_does_not_fit_the_table_is_told():
    with pytest.raises(ConfigError) as caught:
        People.of(mixed([3, 7, 8, 7], 2), ReidConfig(generated_label="same"))
    assert str(caught.value) == (
        'generated_label "same" does not fit made.\n'
        "  got: 1 of 2 generated crops of people with no other crop, such as "
        "bounding_box_train/0008_c1s1_000002_00.jpg of pid 8\n"
        "  allowed: a table that was written by reidgen extend --label same\n"
        "  try: reidgen extend --label same, or generated_label='table', which takes the pids as they are"
    )
    with pytest.raises(ConfigError, match=r"1 of 2 generated crops of people who have other crops too.*of pid 7"):
        People.of(mixed([3, 7, 8, 7], 2), ReidConfig(generated_label="new"))


def test_people_who_are_all_generated_leave_nobody_to_tell_apart():
    with pytest.raises(DataError, match=r"too few people to learn from\.\n  got: 0 people"):
        People.of(mixed([3, 7], 2), ReidConfig(generated_label="lsro"))
