import numpy as np
import pytest
import torch

import reidgen
from reidgen.config import FilterConfig
from reidgen.errors import ConfigError, DataError
from reidgen.filters import RealismFilter
from reidgen.filters.apply import apply_filters
from reidgen.filters.features.neighbours import Neighbourhoods
from reidgen.metrics.exact import margin_of
from reidgen.metrics.fidelity.manifold import precision_recall
from tests.filters.made_features import people

SIZE = (8, 4)
owners = np.repeat(np.arange(1, 9), [3, 4, 2, 5, 1, 3, 4, 2])


def slow_radius(real, groups, row, neighbours, without):
    """Distance from a real crop to its k-th nearest other group, a group counting by its nearest crop."""
    nearest = {}
    for vector, group in zip(real, groups, strict=True):
        if group not in (groups[row], without):
            distance = float(np.linalg.norm(vector - real[row]))
            nearest[group] = min(nearest.get(group, np.inf), distance)
    return sorted(nearest.values())[neighbours - 1]


def slow_realism(crop, real, groups, neighbours, balls, without=None):
    rows = [row for row, group in enumerate(groups) if group != without]
    radii = {row: slow_radius(real, groups, row, neighbours, without) for row in rows}
    median = sorted(radii.values())[(len(rows) - 1) // 2]
    kept = [row for row in rows if balls == "all" or radii[row] <= median]
    return max(radii[row] / float(np.linalg.norm(crop - real[row])) for row in kept)


def of(threshold=1.0, **options):
    return RealismFilter("inception", threshold, size=SIZE, **options)


@pytest.fixture
def real(vectors):
    return vectors.put(people(owners, spread=0.5, seed=1), owners.tolist(), name="real", unit=False)


@pytest.fixture
def fakes(vectors):
    made = people(np.arange(1, 16), spread=0.9, seed=1)
    return vectors.put(made, [1 + i % 5 for i in range(15)], name="fakes", unit=False, origin=["generated"] * 15)


@pytest.mark.parametrize("among", ["people", "crops"])
@pytest.mark.parametrize("balls", ["half", "all"])
@pytest.mark.parametrize("neighbours", [1, 3])
def test_scores_are_those_of_a_slow_loop(vectors, real, fakes, among, balls, neighbours, monkeypatch):
    monkeypatch.setattr("reidgen.filters.features.realism.BLOCK", 4)
    monkeypatch.setattr("reidgen.filters.features.neighbours.BLOCK", 7)
    filter_ = of(among=among, balls=balls, neighbours=neighbours)
    known, crops = vectors.array(real), vectors.array(fakes)
    groups = owners.tolist() if among == "people" else list(range(len(owners)))
    expected = [slow_realism(crop, known, groups, neighbours, balls) for crop in crops]
    np.testing.assert_allclose(filter_.scores(fakes, real), expected, rtol=1e-4)
    alone = [slow_realism(known[i], known, groups, neighbours, balls, groups[i]) for i in range(len(known))]
    np.testing.assert_allclose(filter_.scores(real, real), alone, rtol=1e-4)


def test_crops_that_are_each_others_neighbours_have_equal_radii(vectors, real):
    known = torch.from_numpy(vectors.array(real) + 30).float()  # far from the origin, where products round worst
    hoods = Neighbourhoods.of(known, torch.arange(len(known)), 1)
    near, other = hoods.near[:, 0], hoods.near_groups[:, 0]
    mutual = other[other] == torch.arange(len(known))
    assert mutual.sum() > 8 and torch.equal(near[mutual], near[other[mutual]])


@pytest.mark.parametrize("among", ["people", "crops"])
def test_scores_do_not_hang_on_blocks_order_and_threads(vectors, fakes, among, monkeypatch):
    known = people(owners, spread=0.5, seed=1) + 30
    real = vectors.put(known, owners.tolist(), name="there", unit=False)
    filter_ = of(among=among, balls="half", neighbours=1)
    scores, own = filter_.scores(fakes, real), filter_.scores(real, real)
    for module in ("realism", "neighbours"):
        monkeypatch.setattr(f"reidgen.filters.features.{module}.BLOCK", 5)
    monkeypatch.setattr("reidgen.filters.features.realism.squares_to", noisy)
    monkeypatch.setattr("reidgen.filters.features.neighbours.squares_to", noisy)
    back = vectors.put(known[::-1].copy(), owners[::-1].tolist(), name="back", unit=False)
    np.testing.assert_array_equal(filter_.scores(fakes, back), scores)
    np.testing.assert_array_equal(filter_.scores(back, back), own[::-1])


def noisy(known):
    """Squared distances of a processor that rounds in another way."""

    def squares(asked):
        noise = torch.rand(len(asked), len(known), generator=torch.Generator().manual_seed(1)) * 2 - 1
        exact = torch.cdist(asked.double(), known.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
        return (exact + 0.8 * margin_of(asked, known) * noise).float()

    return squares


@pytest.mark.parametrize("balls", ["half", "all"])
def test_a_real_crop_is_scored_as_if_its_person_had_never_been_there(vectors, real, balls):
    scores = of(balls=balls).scores(real, real)
    for pid in (2, 5):
        rest = real.where(owners != pid)
        own = real.where(owners == pid)
        np.testing.assert_allclose(of(balls=balls).scores(own, rest), scores[owners == pid], rtol=1e-5)


def test_crops_among_all_balls_at_one_are_the_published_precision(vectors):
    rng = np.random.default_rng(3)
    real = vectors.put(rng.normal(size=(80, 5)), list(range(1, 81)), name="real", unit=False)
    fakes = vectors.put(1.4 * rng.normal(size=(70, 5)), [1] * 70, name="fakes", unit=False)
    filter_ = of(among="crops", balls="all")
    kept = np.mean([verdict is None for verdict in filter_.rejected(filter_.scores(fakes, real))])
    assert 0.1 < kept < 0.95
    assert kept == precision_recall(vectors.array(real), vectors.array(fakes)).precision


def test_what_is_far_is_rejected_and_what_is_real_is_kept(vectors, real):
    known = vectors.array(real)
    fakes = vectors.put(np.concatenate([known[:4], known[:4] + 30]), [1] * 8, name="fakes", unit=False)
    filter_ = of(None, neighbours=2, balls="all")
    filter_ = filter_.calibrated(filter_.scores(real, real))
    scores = filter_.scores(fakes, real)
    assert (scores[:4] == 1000).all()  # the very same: as real as a score can say
    assert filter_.rejected(scores) == [None] * 4 + ["realism"] * 4


def test_distractors_have_no_ball_and_a_score(vectors, real):
    junk = vectors.put(np.zeros((2, 6)), [0, -1], name="junk", unit=False)
    both = type(real).concat([real, junk])
    np.testing.assert_array_equal(of().scores(both, both)[: len(real)], of().scores(real, real))
    assert np.isfinite(of().scores(both, both)).all()


def test_too_few_people_and_no_reference_are_told(vectors, real, fakes):
    with pytest.raises(DataError, match="too few real crops") as caught:
        of().scores(fakes, real.where(owners < 5))
    assert "4 people in real" in str(caught.value)
    for filter_ in (of(), of(None)):
        with pytest.raises(ConfigError, match="compares crops with real ones"):
            apply_filters(fakes, [filter_])
    with pytest.raises(ConfigError, match="compares crops with real ones"):
        of().scores(fakes)


def test_options_that_cannot_be_are_told():
    for wrong in ({"threshold": -1}, {"neighbours": 0}, {"among": "cameras"}, {"balls": "none"}, {"batch": 0}):
        with pytest.raises(ConfigError):
            RealismFilter("inception", **wrong)
    for wrong in ({"realism_threshold": -1.0}, {"realism_neighbours": 0}):
        with pytest.raises(ConfigError, match="realism"):
            FilterConfig(**wrong)
    with pytest.raises(ConfigError, match="neither reid nor features"):
        FilterConfig(filters=("realism",))
    assert reidgen.RealismFilter is RealismFilter
