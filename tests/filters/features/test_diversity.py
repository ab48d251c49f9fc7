import json
from dataclasses import replace

import numpy as np
import pytest

import reidgen
from reidgen.config import FilterConfig
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError
from reidgen.filters import CopiesFilter, DiversityFilter
from reidgen.filters.apply import apply_filters
from reidgen.filters.base import verdict_about
from tests.factories import make_table, write_crop
from tests.filters.made_features import people

SIZE = (8, 4)
PIDS = [1, 2, 1, 1, 2, 3, 1, 2, 0, 0, 1, 2]


def slow_nearest(vectors, pids, threshold):
    """For each crop the distance to the nearest earlier crop of the person that is not nearer than the threshold to
    another such one, and its row.
    """
    scores, near = [], []
    for row, pid in enumerate(pids):
        best, which = np.nan, -1
        for earlier in range(row):
            if pid > 0 and pids[earlier] == pid and not scores[earlier] < threshold:
                distance = float(np.linalg.norm(vectors[row] - vectors[earlier]))
                if which < 0 or distance < best:
                    best, which = distance, earlier
        scores.append(best)
        near.append(which)
    return scores, near


def slow_copy(crop, real, without=None):
    """Distance to the nearest real crop over that one's own to the next, and its row."""
    rows = [row for row in range(len(real)) if row != without]
    near = min(rows, key=lambda row: np.linalg.norm(crop - real[row]))
    spacing = min(np.linalg.norm(real[near] - real[row]) for row in rows if row != near)
    return np.linalg.norm(crop - real[near]) / spacing, near


def duplicates(threshold):
    return DiversityFilter("inception", threshold, size=SIZE)


def copies(threshold=0.5):
    return CopiesFilter("inception", threshold, size=SIZE)


@pytest.fixture
def crops(vectors):
    return vectors.put(people(PIDS, spread=0.4, seed=1), PIDS, name="crops", origin=["generated"] * len(PIDS))


@pytest.fixture
def real(vectors):
    pids = np.repeat(np.arange(1, 7), 4).tolist()
    return vectors.put(people(pids, spread=0.5, seed=2), pids, name="real")


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_duplicates_are_those_of_a_slow_loop(vectors, crops, threshold):
    filter_ = duplicates(threshold)
    expected, near = slow_nearest(vectors.array(crops), PIDS, threshold)
    scores = filter_.scores(crops)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    verdicts = filter_.pointed(filter_.rejected(scores), crops)
    names = crops.rows["file_name"]
    assert verdicts == [
        f"diversity:like={names[n]}" if s < threshold else None for s, n in zip(expected, near, strict=True)
    ]


def test_the_same_crops_again_are_caught_and_only_they(vectors, crops):
    known = vectors.array(crops)
    people_only = [row for row, pid in enumerate(PIDS) if pid > 0]
    pids = [PIDS[row] for row in people_only]
    doubled = vectors.put(np.concatenate([known[people_only]] * 2), pids * 2, name="doubled")
    verdicts = duplicates(1e-3).rejected(duplicates(1e-3).scores(doubled))
    assert verdicts == [None] * len(pids) + ["diversity"] * len(pids)


def test_of_a_chain_of_like_crops_those_are_kept_that_are_unlike_what_is_kept(vectors):
    chain = vectors.put([[0.0], [0.4], [0.8], [1.2], [1.6]], [1] * 5, name="chain", unit=False)
    verdicts = duplicates(0.5).rejected(duplicates(0.5).scores(chain))
    assert verdicts == [None, "diversity", None, "diversity", None]


def test_a_person_with_a_single_crop_has_no_score(vectors, crops):
    scores = duplicates(0.5).scores(crops)
    assert np.isnan(scores[[0, 1, 5, 8, 9]]).all()  # first crops, person 3's only one, distractors
    assert duplicates(0.5).rejected(scores)[5] is None


def test_copies_are_those_of_a_slow_loop(vectors, crops, real, monkeypatch):
    monkeypatch.setattr("reidgen.filters.features.diversity.BLOCK", 5)
    known, made = vectors.array(real), vectors.array(crops)
    expected = [slow_copy(crop, known) for crop in made]
    scores = copies().scores(crops, real)
    np.testing.assert_allclose(scores, [ratio for ratio, _ in expected], rtol=1e-4)
    alone = [slow_copy(known[row], known, row)[0] for row in range(len(known))]
    np.testing.assert_allclose(copies().scores(real, real), alone, rtol=1e-4)
    cut = float(np.median(scores))
    names = real.rows["file_name"]
    verdicts = copies(cut).pointed(copies(cut).rejected(scores), crops, real)
    assert verdicts == [f"copies:of={names[near]}" if ratio < cut else None for ratio, near in expected]
    assert sum(verdict is not None for verdict in verdicts) == 6


def test_a_copied_training_crop_is_named(vectors, real):
    known = vectors.array(real)
    near = known[9] + 0.01 * np.random.default_rng(4).normal(size=6)
    far = people([1, 2], spread=0.5, seed=9)
    table = vectors.put(np.stack([known[5], near, *far]), [7, 7, 8, 9], name="memorised")
    filter_ = replace(copies(), threshold=None)
    filter_ = filter_.calibrated(filter_.scores(real, real))
    scores = filter_.scores(table, real)
    assert scores[0] == pytest.approx(0, abs=1e-6)
    names = real.rows["file_name"]
    verdicts = filter_.pointed(filter_.rejected(scores), table, real)
    assert verdicts == [f"copies:of={names[5]}", f"copies:of={names[9]}", None, None]


def test_twins_among_the_real_crops_hide_no_copy(vectors):
    real = vectors.put([[0.0], [0.0], [1.0], [5.0]], [1, 1, 2, 3], name="real", unit=False)
    fakes = vectors.put([[0.0], [0.001], [3.0]], [7, 7, 7], name="fakes", unit=False)
    assert copies().scores(fakes, real).tolist() == [0, 1000, pytest.approx(2)]


def test_thresholds_come_from_real_crops(vectors, real):
    for filter_ in (duplicates(None), replace(copies(), threshold=None)):
        scores = filter_.scores(real, real)
        cut = filter_.calibrated(scores)
        assert cut.threshold == pytest.approx(np.nanquantile(scores, 0.05))
        assert f"below {cut.threshold:.4f}" in cut.rule
    with pytest.raises(ConfigError, match="no threshold, and no reference"):
        duplicates(None).calibrated(None)
    with pytest.raises(ConfigError, match="compares crops with real ones"):
        copies().calibrated(None)
    with pytest.raises(DataError, match="no threshold for the diversity filter"):
        duplicates(None).calibrated(np.full(3, np.nan))
    with pytest.raises(DataError, match="too few real crops"):
        copies().scores(real, real.where([True, True] + [False] * 22))


def test_options_that_cannot_be_are_told():
    for kind in (DiversityFilter, CopiesFilter):
        for wrong in ({"threshold": -0.1}, {"batch": 0}):
            with pytest.raises(ConfigError):
                kind("inception", **wrong)
    for name in ("diversity", "copies"):
        with pytest.raises(ConfigError, match=f"{name}_threshold"):
            FilterConfig(**{f"{name}_threshold": -1.0})
        with pytest.raises(ConfigError, match=f"The {name} filter needs a network"):
            FilterConfig(filters=(name,))
    assert (reidgen.DiversityFilter, reidgen.CopiesFilter) == (DiversityFilter, CopiesFilter)


def test_a_comma_in_a_file_name_does_not_end_the_verdict():
    assert verdict_about("copies:of", "a,b.jpg") == "copies:of=a%2Cb.jpg"


@pytest.fixture
def fakes(tmp_path, monkeypatch, colours):
    monkeypatch.setattr("reidgen.filters.features.embedding.load_extractor", lambda _: colours)
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    table = make_table([1, 1, 2, 2, 2], root=tmp_path / "fakes", size=SIZE, origin=["generated"] * 5)
    table.paths[4].write_bytes(table.paths[2].read_bytes())
    return table


def test_verdicts_counts_and_sheets_of_a_run(fakes, tmp_path):
    real = make_table([1, 1, 2, 2, 3], root=tmp_path / "real", size=SIZE, name="real", splits="train")
    for row, path in enumerate(real.paths):
        write_crop(path, size=SIZE, seed=100 + row)
    real.paths[3].write_bytes(fakes.paths[1].read_bytes())
    out = apply_filters(
        fakes, [DiversityFilter("inception", 1e-4), CopiesFilter("inception", 1e-3)], real, tmp_path / "out"
    )
    verdicts = ReidTable.read(tmp_path / "out").rows["rejected_by"].to_list()
    assert verdicts == out.rows["rejected_by"].to_list()
    assert verdicts[4].split(",")[0] == f"diversity:like={fakes.rows['file_name'][2]}"
    assert f"copies:of={real.rows['file_name'][3]}" in verdicts[1]
    rows = json.loads((tmp_path / "out/discarded.json").read_text())["filters"]
    assert rows[0]["verdicts"] == {"diversity:like": 1}
    assert set(rows[1]["verdicts"]) == {"copies:of"}
    assert (tmp_path / "out/rejected_copies.png").is_file()
    assert all(path.is_file() for path in fakes.paths)
    again = apply_filters(out, [DiversityFilter("inception", 0.0)])
    assert not any((verdict or "").startswith("diversity") for verdict in again.rows["rejected_by"])


def test_features_are_computed_once_for_a_table_and_a_network(fakes, colours):
    first = duplicates(0.1).scores(fakes)
    seen = sum(colours.seen)
    assert seen == len(fakes)
    np.testing.assert_array_equal(duplicates(0.1).scores(fakes), first)
    copies().scores(fakes, fakes)
    assert sum(colours.seen) == seen
    DiversityFilter("inception", 0.1, size=(16, 8)).scores(fakes)
    assert sum(colours.seen) == 2 * seen
