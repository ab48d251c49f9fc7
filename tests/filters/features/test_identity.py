import json
import math

import numpy as np
import polars as pl
import pytest
import torch

import reidgen
from reidgen.config import FilterConfig, ReidConfig
from reidgen.errors import ConfigError, DataError, WeightsError
from reidgen.files import file_sha256
from reidgen.filters import IdentityFilter
from reidgen.filters.apply import apply_filters, run_filters
from reidgen.models import resnet
from reidgen.reid.train import train_reid
from tests.factories import make_table
from tests.filters.made_features import people

SIZE = (8, 4)
PIDS = [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4]
CAMIDS = [1, 1, 2, 3, 1, 2, 3, 1, 1, 2, 3, 3]


def slow_margin(crop, pid, camid, itself, gallery, pids, camids):
    """Similarity to the nearest crop of the person by another camera, less that to the nearest of anybody else."""
    own, other = [], []
    for row, (vector, whose, camera) in enumerate(zip(gallery, pids, camids, strict=True)):
        if row == itself:
            continue
        similar = float(crop @ vector) / math.sqrt(float(crop @ crop) * float(vector @ vector))
        if whose != pid:
            other.append(similar)
        elif camera != camid:
            own.append(similar)
    return max(own) - max(other) if own else -math.inf


def of(cameras="other", people="auto", threshold=0.0):
    return IdentityFilter("runs/reid", threshold, people, cameras, size=SIZE)


@pytest.fixture
def real(vectors):
    return vectors.put(people(PIDS, spread=0.6, seed=1), PIDS, CAMIDS, name="real")


def variants(vectors, real, pids, parents, *, seed=2, name="variants", **columns):
    made = people(pids, spread=0.6, seed=1) + 0.4 * np.random.default_rng(seed).normal(size=(len(pids), 6))
    names = [None if row is None else real.rows["file_name"][row] for row in parents]
    return vectors.put(made, pids, name=name, parent=names, origin=["generated"] * len(pids), **columns)


@pytest.mark.parametrize("cameras", ["other", "all"])
def test_real_crops_are_scored_against_all_others_as_a_slow_loop_does(vectors, real, cameras, monkeypatch):
    monkeypatch.setattr("reidgen.filters.features.identity.BLOCK", 5)
    known = vectors.array(real)
    scores = of(cameras).scores(real, real)
    for row, (pid, camid) in enumerate(zip(PIDS, CAMIDS, strict=True)):
        without = camid if cameras == "other" else None
        expected = slow_margin(known[row], pid, without, row, known, PIDS, CAMIDS)
        assert scores[row] == pytest.approx(expected, abs=1e-5), row
    assert np.isneginf(scores[-2:]).all() == (cameras == "other")  # person 4 was seen by one camera


def test_generated_crops_of_real_people_meet_the_reference_without_their_parents_camera(vectors, real):
    parents = [0, 4, 7, 2, 10]
    table = variants(vectors, real, [1, 2, 3, 1, 4], parents)
    known, crops = vectors.array(real), vectors.array(table)
    for cameras in ("other", "all"):
        scores = of(cameras).scores(table, real)
        for row, (pid, parent) in enumerate(zip(table.pids, parents, strict=True)):
            without = CAMIDS[parent] if cameras == "other" else None
            expected = slow_margin(crops[row], pid, without, None, known, PIDS, CAMIDS)
            assert scores[row] == pytest.approx(expected, abs=1e-5), (cameras, row)


def test_new_people_meet_each_other_and_their_camera_numbers_mean_nothing(vectors, real):
    pids = [1, 1, 1, 2, 2, 3]
    first = "bounding_box_train/0001_c1s1_000000_00.jpg"
    made = people(pids, spread=0.5, seed=3)
    table = vectors.put(made, pids, name="new", parent=[None, first, first, None, None, None], origin=["generated"] * 6)
    crops = vectors.array(table)
    scores = of().scores(table, real)
    for row, pid in enumerate(pids):
        expected = slow_margin(crops[row], pid, None, row, crops, pids, [1] * 6)
        assert scores[row] == pytest.approx(expected, abs=1e-5)
    assert of().rejected(scores)[-1] == "identity:alone"  # a person with a single crop is not a silent pass


def test_a_chain_of_parents_leads_to_the_real_person(vectors, real):
    """Crop 1 was made from crop 0, which has the very name of the real crop that it was made from."""
    real_name = real.rows["file_name"][0]
    table = vectors.put(
        people([1, 1], spread=0.5, seed=4), [1, 1], name="made", parent=[real_name, real_name], origin=["generated"] * 2
    )
    assert table.rows["file_name"][0] == real_name
    scores = of("all").scores(table, real)
    known, crops = vectors.array(real), vectors.array(table)
    assert scores[1] == pytest.approx(slow_margin(crops[1], 1, None, None, known, PIDS, CAMIDS), abs=1e-5)


def test_swapped_labels_are_rejected_and_right_ones_are_kept(vectors):
    pids = np.repeat(np.arange(1, 31), 6)
    real = vectors.put(people(pids, spread=0.25, seed=5, width=24), pids.tolist(), [1, 2, 3] * 60, name="real")
    swapped = pids.copy()
    wrong = np.arange(0, 180, 9)
    swapped[wrong] = pids[wrong] % 30 + 1
    table = real.where([True] * 180)
    table = type(table)(table.rows.with_columns(pid=pl.Series(swapped)), "swapped")
    filter_ = of(people="real", threshold=None).calibrated(of().scores(real, real))
    rejected = np.array([v is not None for v in filter_.rejected(filter_.scores(table, real))])
    assert rejected[wrong].all()
    assert np.delete(rejected, wrong).mean() == pytest.approx(0.05, abs=0.02)


def test_distractors_and_junk_claim_nobody(vectors):
    pids = [0, 1, 1, 2, 2, -1]
    table = vectors.put(people(pids, spread=0.3, seed=6), pids, name="with-distractors")
    scores = of("all").scores(table)
    assert np.isnan(scores).tolist() == [True, False, False, False, False, True]
    assert of().rejected(scores)[0] is None


def test_the_open_threshold_is_the_quantile_of_real_crops(vectors, real):
    open_ = of(threshold=None)
    scores = open_.scores(real, real)
    assert open_.calibrated(scores).threshold == pytest.approx(np.quantile(scores[np.isfinite(scores)], 0.05))
    with pytest.raises(ConfigError, match="no threshold, and no reference"):
        open_.calibrated(None)
    with pytest.raises(DataError, match="give no threshold for the identity filter"):
        open_.calibrated(np.array([-np.inf, np.nan]))


def test_what_the_reference_lacks_is_told(vectors, real):
    nowhere = variants(vectors, real, [1, 2], [0, 4])
    with pytest.raises(DataError, match="does not find the real crops"):
        of().scores(nowhere, real.where(pl.col("pid") > 1))
    with pytest.raises(DataError, match="does not find the real crops"):
        of().scores(nowhere)
    with pytest.raises(DataError, match="lacks a person whom crops claim to be") as caught:
        of(people="real").scores(nowhere, real.where(pl.col("pid") > 1))
    assert "pid 1" in str(caught.value)
    with pytest.raises(DataError, match="nobody else to compare with"):
        of(people="real").scores(nowhere.where(pl.col("pid") == 1), real.where(pl.col("pid") == 1))
    with pytest.raises(ConfigError, match="there are none"):
        of(people="real").scores(nowhere)
    assert np.isneginf(of(people="new").scores(nowhere)).all()  # each is alone


def test_a_network_that_knows_generated_crops_of_these_people_is_refused(vectors, real):
    table = variants(vectors, real, [1, 2], [0, 4], root=None)
    vectors.model.learned["generated_people"] = [2]
    with pytest.raises(WeightsError, match="runs/reid has learned from other generated crops") as caught:
        of().scores(table, real)
    assert "1 people, such as pid 2" in str(caught.value)


def test_a_network_of_which_nobody_knows_what_it_learned_is_refused(vectors, real):
    table = variants(vectors, real, [1, 2], [0, 4])
    vectors.model.learned = None
    with pytest.raises(WeightsError, match="Nobody knows whether the re-ID network runs/reid"):
        of().scores(table, real)
    vectors.model.facts = {"generated_share": 0.25}
    with pytest.raises(WeightsError, match=r"generated share 0\.25"):
        of().scores(table, real)
    vectors.model.facts = {"generated_share": 0.0}
    assert len(of().scores(table, real)) == 2


def test_a_network_that_is_not_there_is_told(tmp_path):
    with pytest.raises(WeightsError, match="nowhere"):
        IdentityFilter(str(tmp_path / "nowhere"), 0).inputs()


def test_options_that_cannot_be_are_told():
    for wrong in ({"threshold": 3}, {"people": "all"}, {"cameras": "none"}, {"batch": 0}):
        with pytest.raises(ConfigError):
            IdentityFilter("runs/reid", **wrong)
    with pytest.raises(ConfigError, match="The identity filter needs a network"):
        FilterConfig(filters=("identity",), features="inception")
    with pytest.raises(ConfigError, match="identity_threshold"):
        FilterConfig(identity_threshold=2.5)
    assert reidgen.IdentityFilter is IdentityFilter


def trained(table, folder):
    config = ReidConfig(
        backbone="resnet18", weights="random", size=(16, 8), bottleneck=8, steps=2, batch=4, device="cpu"
    )
    return train_reid(table, config, out=folder)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))


def test_a_run_with_a_trained_network(narrow, tmp_path):
    real = make_table([1, 1, 1, 2, 2, 2, 3, 3, 3], [1, 2, 3] * 3, root=tmp_path / "real", size=(16, 8), name="real")
    fakes = make_table([1, 1, 2, 2, 3], root=tmp_path / "fakes", size=(16, 8), origin=["generated"] * 5)
    trained(real, tmp_path / "reid")
    config = FilterConfig(
        filters=("identity", "realism", "diversity", "copies"),
        reid=str(tmp_path / "reid"),
        realism_neighbours=1,
        calibrate=True,
        device="cpu",
    )
    out = run_filters(fakes, config, reference=real, out=tmp_path / "kept")
    rows = json.loads((tmp_path / "kept/discarded.json").read_text())["filters"]
    assert [row["filter"] for row in rows] == ["identity", "realism", "diversity", "copies"]
    assert rows[0]["verdicts"].get("identity:alone") == 1
    assert {f"score_{row['filter']}" for row in rows} <= set(out.rows.columns)
    assert all((tmp_path / f"kept/calibration_{row['filter']}.png").is_file() for row in rows)
    assert all(path.is_file() for path in fakes.paths)
    direct = IdentityFilter(str(tmp_path / "reid"), 0, device="cpu").scores(fakes)
    np.testing.assert_array_equal(direct, out.rows["score_identity"].to_numpy())
    assert torch.isfinite(torch.tensor(direct[:4])).all()


def test_a_network_that_learned_from_the_very_crops_is_refused_by_name(narrow, tmp_path):
    real = make_table([1, 1, 1, 2, 2, 2], root=tmp_path / "real", size=(16, 8))
    fakes = make_table([7, 7, 7, 8, 8], root=tmp_path / "fakes", size=(16, 8), origin=["generated"] * 5)
    both = type(real).concat([real, fakes])
    model = trained(both, tmp_path / "reid")
    assert model.learned["generated_people"] == [7, 8]
    assert file_sha256(fakes.paths[1])[:16] in model.learned["generated"]
    with pytest.raises(WeightsError, match="has learned from the crops that it shall judge") as caught:
        apply_filters(fakes, [IdentityFilter(str(tmp_path / "reid"), 0, device="cpu")], out=tmp_path / "kept")
    assert "3 of 5 generated crops" in str(caught.value)  # the first of each person was held out
    assert not (tmp_path / "kept/run.json").exists()


def test_scores_are_the_same_bits_in_other_blocks_and_another_order(vectors, real, monkeypatch):
    scores = of().scores(real, real)
    monkeypatch.setattr("reidgen.filters.features.identity.BLOCK", 1)
    back = vectors.put(people(PIDS, spread=0.6, seed=1)[::-1].copy(), PIDS[::-1], CAMIDS[::-1], name="back")
    np.testing.assert_array_equal(of().scores(back, back), scores[::-1])
