import contextlib
import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest

from reidgen.config import EvaluateConfig, ExtendConfig, ReidConfig
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, on_command_line
from reidgen.metrics.ranking import rank
from reidgen.sweep.plan import Job
from reidgen.sweep.tables import check_served, check_tested, hashes_of, share_of, steps_of_each, steps_on, table_of
from tests.factories import make_table
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


def test_a_share_is_looked_at_for_each_seed(tmp_path):
    """Two people have 6 crops each, the others one: with some draws half of the people are fewer crops than a batch."""
    pids = [pid for pid, count in enumerate([6, 6, 1, 1, 1, 1], start=1) for _ in range(count)]
    table = make_table(pids, root=tmp_path, name="uneven")
    table.write_metadata(tmp_path)
    real, reid = ReidTable.read(tmp_path), dataclasses.replace(REID, batch=8, validation="none")
    counts = {seed: len(share_of(real, 0.5, seed=seed).train) for seed in range(20)}
    good, bad = (next(seed for seed, count in counts.items() if (count >= 8) is fits) for fits in (True, False))
    check_served([job(seed=good, share=0.5, reid=reid)], real, None)
    with pytest.raises(ConfigError, match="fewer crops than a batch"):
        check_served([job(seed=good, share=0.5, reid=reid), job(seed=bad, share=0.5, reid=reid)], real, None)


def test_errors_name_the_options_of_a_sweep(real, generated):
    asked = [job(extend=ExtendConfig(people=4))]
    with pytest.raises(ConfigError) as told:
        check_served(asked, real, generated, varied=["people"])
    assert "axis people asks" in str(told.value) and "try: axis='people=...,3', or reidgen" in str(told.value)
    typed = told.value.told(on_command_line)
    assert "--axis people asks" in typed and "try: --axis people=...,3, or reidgen generate people --people 4" in typed
    with pytest.raises(ConfigError) as told:
        check_served(asked, real, generated)
    assert "extend.people asks" in str(told.value) and "try: extend.people=3, or reidgen" in str(told.value)
    typed = told.value.told(on_command_line)
    assert "--extend.people asks" in typed and "try: --extend.people 3, or reidgen" in typed
    with pytest.raises(ConfigError) as told:
        check_served([job(extend=ExtendConfig(label="same"))], real, generated, varied=["label"])
    typed = told.value.told(on_command_line)
    assert '--axis label "same" needs' in typed and "try: --axis label=new" in typed


def test_what_cannot_be_evaluated_is_told_at_once(real, tmp_path):
    check_tested(real, EvaluateConfig())
    for split in ("query", "gallery"):
        with pytest.raises(DataError, match=f"has no {split} crops"):
            check_tested(real.where(pl.col("split") != split), EvaluateConfig())
    alone = dataclasses.replace(real, rows=real.rows.with_columns(camid=pl.lit(1, pl.Int64)))
    with pytest.raises(DataError, match="No query of real has a match"):
        check_tested(alone, EvaluateConfig())
    check_tested(alone, EvaluateConfig(protocol="all"))
    nobody = real.rows.with_columns(pid=pl.when(pl.col("split") == "query").then(0).otherwise("pid"))
    with pytest.raises(DataError, match="is of no person"):
        check_tested(dataclasses.replace(real, rows=nobody), EvaluateConfig())


def test_the_check_agrees_with_the_evaluation(real):
    """One match left in the whole test is enough; none is told by both alike."""
    pids = real.gallery.pids
    for some, fits in (([9, 9, 9], True), ([77, 78, 79], False)):
        changed = dict(zip(pids.tolist(), some, strict=True))
        rows = real.rows.with_columns(
            pid=pl.when(pl.col("split") == "gallery").then(pl.col("pid").replace(changed)).otherwise("pid")
        )
        table = dataclasses.replace(real, rows=rows)
        persons = (table.query.pids, table.gallery.pids, table.query.camids, table.gallery.camids)
        distances = np.zeros((len(table.query), len(table.gallery)))
        with contextlib.nullcontext() if fits else pytest.raises(DataError, match="match in the gallery"):
            check_tested(table, EvaluateConfig())
        with contextlib.nullcontext() if fits else pytest.raises(DataError, match="match in the gallery"):
            rank(distances, *persons)


def test_steps_of_each_table(real, generated):
    """8 real crops to learn from, and 6 generated ones of which 2 are held out: 12 / 4; by ratio 8 / 3."""
    some, ratio = ExtendConfig(people=2), dataclasses.replace(REID, epochs=5, generated_ratio=(3, 1))
    reid = dataclasses.replace(REID, epochs=5)
    jobs = [job(reid=reid), job(reid=reid, extend=some), job(reid=ratio, extend=some), job(reid=reid, share=0.5)]
    jobs = [dataclasses.replace(one, name=str(i)) for i, one in enumerate(jobs)]
    assert list(steps_of_each(jobs, real, generated).values()) == [10, 15, 10, 5]


def test_verdicts_and_identities_count_as_inputs(real, generated):
    before = hashes_of(real, generated)
    verdicts = pl.lit("ssim").alias("rejected_by")
    rejected = dataclasses.replace(generated, rows=generated.rows.with_columns(verdicts))
    after = hashes_of(real, rejected)
    assert before["generated"] == after["generated"] and before["verdicts"] != after["verdicts"]
    assert hashes_of(real, None)["generated"] is None
