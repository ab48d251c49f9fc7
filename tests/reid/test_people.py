import numpy as np
import pytest

from reidgen.config import ReidConfig
from reidgen.errors import DataError
from reidgen.reid.people import People
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
