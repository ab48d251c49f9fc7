import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest

from reidgen.config import ExtendConfig, ReidConfig
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError
from reidgen.sweep.plan import Job
from reidgen.sweep.tables import check_served, hashes_of, share_of, steps_on, table_of
from tests.sweep.made import REID, generated_table, real_table, variants_table


@pytest.fixture
def real(tmp_path):
    return ReidTable.read(real_table(tmp_path / "real"))


@pytest.fixture
def generated(tmp_path):
    return ReidTable.read(generated_table(tmp_path / "generated"))


def job(*, seed=0, share=1.0, extend=None, reid=REID):
    return Job("job", seed, share, extend, reid)


def test_smaller_shares_are_parts_of_larger_ones(real):
    people = [set(share_of(real, share, seed=3).train.pids.tolist()) for share in (1, 0.5, 0.3, 0.25, 0.01)]
    assert [len(some) for some in people] == [8, 4, 3, 2, 1]
    assert all(small < large for large, small in itertools.pairwise(people))
    assert people[2] != set(share_of(real, 0.3, seed=4).train.pids.tolist())
    half = share_of(real, 0.5, seed=3)
    assert len(half.query) == len(real.query) and len(half.gallery) == len(real.gallery)
    assert len(half.train) == 8  # all crops of each


def test_the_table_of_a_job(real, generated):
    table = table_of(job(share=0.5, extend=ExtendConfig(people=2, crops_per_person=1)), real, generated)
    assert len(table.train) == 8 + 2
    assert (table.train.rows["origin"] == "generated").sum() == 2
    assert table_of(job(), real, generated) is real


def test_variants_of_people_who_are_left_out_are_left_out(real, tmp_path):
    variants = ReidTable.read(variants_table(tmp_path / "variants", real))
    table = table_of(job(share=0.25, extend=ExtendConfig(label="same", crops_per_person=2)), real, variants)
    people, counts = np.unique(table.train.pids, return_counts=True)
    assert len(people) == 2 and counts.tolist() == [4, 4]


def test_steps_are_those_of_all_real_crops(real):
    """16 crops, of which the first of each of 8 people is held out: 8 crops, 2 steps of 4, times 5 epochs."""
    steps = steps_on(real)
    assert steps(dataclasses.replace(REID, epochs=5)) == 10
    assert steps(dataclasses.replace(REID, epochs=5, validation="none")) == 20
    assert steps(dataclasses.replace(REID, epochs=5, generated_ratio=(1, 1))) == 10
    with pytest.raises(ConfigError, match="fewer crops than a batch"):
        steps(dataclasses.replace(REID, batch=9))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"extend": ExtendConfig(people=4)}, "more generated people than there are"),
        ({"extend": ExtendConfig(crops_per_person=4)}, "more crops of a person than anybody has"),
        ({"extend": ExtendConfig(label="same")}, "label .same. needs"),
        ({"reid": ReidConfig(batch=32)}, "fewer crops than a batch"),
    ],
)
def test_an_axis_that_the_crops_cannot_serve(real, generated, asked, said):
    with pytest.raises(ConfigError, match=said):
        check_served([job(), job(**asked)], real, generated)
    check_served([job(), job(extend=ExtendConfig(people=3, crops_per_person=3))], real, generated)


def test_a_share_of_too_few_people(real):
    with pytest.raises(DataError, match="too few people"):
        check_served([job(share=0.1)], real, None)


def test_verdicts_and_identities_count_as_inputs(real, generated):
    before = hashes_of(real, generated)
    verdicts = pl.lit("ssim").alias("rejected_by")
    rejected = dataclasses.replace(generated, rows=generated.rows.with_columns(verdicts))
    after = hashes_of(real, rejected)
    assert before["generated"] == after["generated"] and before["verdicts"] != after["verdicts"]
    assert hashes_of(real, None)["generated"] is None
