import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from reidgen.errors import DataError
from reidgen.metrics import Ranking, counting, rank, rank_features
from reidgen.metrics.counting import COUNT_AT_MOST, Persons, device_ranks, host_ranks
from reidgen.metrics.distance import distance_to
from reidgen.metrics.ranking import distance_blocks, nearest

# Three queries of persons 1, 2, 3, all seen by camera 1. Gallery:      index  0  1  2  3  4  5
#                                                                       pid    1  1  2  0 -1  1
#                                                                       camid  2  3  2  2  2  1
# Query 0 (pid 1): index 5 is removed (same camera), 4 is junk. Order 0 3 1 2 -> P N P N: ranks 1, 3.
#   AP = (1/1 + 2/3) / 2 = 5/6; trapezoid = (1 + (1/2 + 2/3) / 2) / 2 = 19/24; mINP term = 2/3.
# Query 1 (pid 2): order 5 2 0 1 3 -> N P N N N: rank 2 (index 5 is another person here, so it stays).
#   AP = 1/2; trapezoid = (0 + 1/2) / 2 = 1/4; mINP term = 1/2.
# Query 2 (pid 3): nobody in the gallery.
HAND = {
    "distances": np.array(
        [[0.1, 0.3, 0.4, 0.2, 0.0, 0.0], [0.3, 0.4, 0.2, 0.5, 0.0, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]
    ),
    "query_pids": np.array([1, 2, 3]),
    "gallery_pids": np.array([1, 1, 2, 0, -1, 1]),
    "query_camids": np.array([1, 1, 1]),
    "gallery_camids": np.array([2, 3, 2, 2, 2, 1]),
}
FIGURES = ("cmc", "mAP", "mAP_trapezoid", "mINP", "ap", "ap_trapezoid", "inp", "first_rank", "matched")


def slow_rank(distances, query_pids, gallery_pids, query_camids, gallery_camids, protocol="market"):
    """The protocol as one reads it: sort the row, walk down the list, skip what is removed."""
    ap, trapezoid, inp, first = [], [], [], []
    for q, row in enumerate(distances):
        place, found, precisions, areas, hits = 0, 0, [], [], []
        old_precision = 1.0
        for g in sorted(range(len(row)), key=lambda g: row[g]):  # Python's sort is stable
            same = gallery_pids[g] == query_pids[q]
            removed = gallery_pids[g] == -1 or (same and gallery_camids[g] == query_camids[q])
            if removed and protocol == "market":
                continue
            place += 1
            if same:
                found += 1
                precisions.append(found / place)
                areas.append((old_precision + found / place) / 2)
                hits.append(place)
            old_precision = found / place
        if found:
            ap.append(sum(precisions) / found)
            trapezoid.append(sum(areas) / found)
            inp.append(found / hits[-1])
            first.append(hits[0])
    cmc = [sum(f <= k for f in first) / len(first) for k in range(1, 51)]
    return {
        "cmc": cmc,
        "mAP": np.mean(ap),
        "mAP_trapezoid": np.mean(trapezoid),
        "mINP": np.mean(inp),
        "ap": ap,
        "first": first,
    }


def people(rng, queries, gallery, persons=8, cameras=3):
    return {
        "query_pids": rng.integers(1, persons + 1, queries),
        "gallery_pids": rng.integers(-1, persons + 1, gallery),
        "query_camids": rng.integers(1, cameras + 1, queries),
        "gallery_camids": rng.integers(1, cameras + 1, gallery),
    }


def assert_equal(a: Ranking, b: Ranking):
    for name in FIGURES:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_hand_worked_example():
    result = rank(**HAND)
    assert result.mAP == pytest.approx(2 / 3)
    assert result.mAP_trapezoid == pytest.approx(25 / 48)
    assert result.mINP == pytest.approx(7 / 12)
    np.testing.assert_allclose(result.cmc[:3], [0.5, 1, 1])
    np.testing.assert_allclose(result.ap, [5 / 6, 1 / 2, np.nan])
    np.testing.assert_allclose(result.ap_trapezoid, [19 / 24, 1 / 4, np.nan])
    np.testing.assert_array_equal(result.first_rank, [1, 2, 0])
    np.testing.assert_array_equal(result.matched, [True, True, False])
    assert (result.num_queries, result.num_matched, result.num_unmatched) == (3, 2, 1)


def test_protocol_all_removes_nothing():
    # Query 0 (pid 1), ties by index: 4(junk) 5(P) 0(P) 3 1(P) 2 -> positives at ranks 2, 3, 5.
    result = rank(**HAND, protocol="all")
    assert result.ap[0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert result.first_rank[0] == 2


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("protocol", ["market", "all"])
def test_equals_the_slow_loop_with_and_without_ties(seed, levels, protocol):
    rng = np.random.default_rng(seed)
    who = people(rng, 20, 90)
    distances = rng.normal(size=(20, 90)) if levels is None else rng.integers(0, levels, (20, 90))
    result, slow = rank(distances, **who, protocol=protocol), slow_rank(distances, **who, protocol=protocol)
    for name in ("mAP", "mAP_trapezoid", "mINP"):
        assert getattr(result, name) == pytest.approx(slow[name], abs=1e-12), name
    np.testing.assert_allclose(result.cmc, slow["cmc"], atol=1e-12)
    np.testing.assert_allclose(result.ap[result.matched], slow["ap"], atol=1e-12)
    np.testing.assert_array_equal(result.first_rank[result.matched], slow["first"])


@pytest.mark.parametrize("levels", [None, 40])
@pytest.mark.parametrize("drop_from", [1, 2, counting.DROP_FROM, 10**9])
def test_what_is_dropped_from_a_row_changes_no_rank(levels, drop_from, monkeypatch):
    monkeypatch.setattr(counting, "DROP_FROM", drop_from)
    rng = np.random.default_rng(7)
    who = people(rng, 12, 800, persons=40)
    distances = rng.random((12, 800)) if levels is None else rng.integers(0, levels, (12, 800)) / levels
    distances -= 0.9 * (who["gallery_pids"] == who["query_pids"][:, None]) * rng.random((12, 800))  # many come early
    result, slow = rank(distances, **who), slow_rank(distances, **who)
    np.testing.assert_allclose(result.ap[result.matched], slow["ap"], atol=1e-12)
    np.testing.assert_array_equal(result.first_rank[result.matched], slow["first"])


def test_many_positives_take_the_other_branch_and_agree():
    rng = np.random.default_rng(0)
    who = people(rng, 4, 1500, persons=2)
    distances = rng.integers(0, 50, (4, 1500)).astype(np.float32)
    result, slow = rank(distances, **who), slow_rank(distances, **who)
    assert max(np.bincount(who["gallery_pids"][who["gallery_pids"] > 0])) > 1.4 * COUNT_AT_MOST
    np.testing.assert_allclose(result.ap[result.matched], slow["ap"], atol=1e-12)


@pytest.mark.parametrize("levels", [None, 5])
def test_device_path_equals_host_path(levels, monkeypatch):
    monkeypatch.setattr(counting, "DEVICE_BYTES", 50_000)  # several blocks
    rng = np.random.default_rng(3)
    who = people(rng, 30, 120)
    who["query_pids"][4] = 99  # without a match
    distances = rng.normal(size=(30, 120)) if levels is None else rng.integers(0, levels, (30, 120)).astype(float)
    persons = Persons.of(*who.values(), "market")
    for host, device in zip(
        host_ranks(distances, persons, 0), device_ranks(torch.from_numpy(distances), persons, 0), strict=True
    ):
        np.testing.assert_array_equal(host, device)


def test_ap_is_sklearns_average_precision():
    rng = np.random.default_rng(1)
    who = people(rng, 12, 80)
    distances = rng.normal(size=(12, 80))
    result = rank(distances, **who)
    for q in np.flatnonzero(result.matched):
        same = who["gallery_pids"] == who["query_pids"][q]
        seen = (who["gallery_pids"] != -1) & ~(same & (who["gallery_camids"] == who["query_camids"][q]))
        assert result.ap[q] == pytest.approx(average_precision_score(same[seen], -distances[q, seen]), abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["cube", "negative", "log", "far"]))
def test_any_increasing_transform_of_the_distances_changes_nothing(seed, transform):
    rng = np.random.default_rng(seed)
    who = people(rng, 8, 60)
    who["gallery_pids"][:8], who["gallery_camids"][:8] = (
        who["query_pids"],
        who["query_camids"] + 1,
    )  # everyone has a match
    distances = rng.permuted(np.arange(8 * 60, dtype=float)).reshape(8, 60) / 480
    changed = {
        "cube": distances**3,
        "negative": distances - 1.0,  # all below zero, as -similarity is
        "log": np.log(distances + 1e-3),
        "far": distances * 1e6 + 1e3,
    }[transform]
    assert_equal(rank(distances, **who), rank(changed, **who))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_gallery_order_changes_nothing_without_ties(seed):
    rng = np.random.default_rng(seed)
    who = people(rng, 8, 60)
    who["gallery_pids"][:8], who["gallery_camids"][:8] = who["query_pids"], who["query_camids"] + 1
    distances = rng.permuted(np.arange(8 * 60)).reshape(8, 60)
    order = rng.permutation(60)
    moved = who | {"gallery_pids": who["gallery_pids"][order], "gallery_camids": who["gallery_camids"][order]}
    assert_equal(rank(distances, **who), rank(distances[:, order], **moved))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["junk", "same camera"]))
def test_added_crops_that_are_removed_change_nothing(seed, kind):
    rng = np.random.default_rng(seed)
    who = people(rng, 1, 40)
    who["gallery_pids"][0], who["gallery_camids"][0] = who["query_pids"][0], who["query_camids"][0] + 1
    distances = rng.integers(0, 9, (1, 50))  # ties with the added ones too
    pid, camids = (
        (-1, rng.integers(1, 4, 10)) if kind == "junk" else (who["query_pids"][0], np.full(10, who["query_camids"][0]))
    )
    place = rng.permutation(50)  # the added crops may stand anywhere in the gallery
    more = who | {
        "gallery_pids": np.concatenate([who["gallery_pids"], np.full(10, pid)])[place],
        "gallery_camids": np.concatenate([who["gallery_camids"], camids])[place],
    }
    old = place[place < 40]
    less = who | {"gallery_pids": who["gallery_pids"][old], "gallery_camids": who["gallery_camids"][old]}
    assert_equal(rank(distances[:, place < 40], **less), rank(distances, **more))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_trapezoid_never_exceeds_rectangle_and_a_perfect_ranking_is_one(seed):
    rng = np.random.default_rng(seed)
    who = people(rng, 8, 60)
    who["gallery_pids"][:8], who["gallery_camids"][:8] = who["query_pids"], who["query_camids"] + 1
    result = rank(rng.normal(size=(8, 60)), **who)
    assert np.all(result.ap_trapezoid[result.matched] <= result.ap[result.matched] + 1e-12)
    perfect = rank((who["gallery_pids"] != who["query_pids"][:, None]) - rng.random((8, 60)) / 2, **who)
    assert perfect.mAP == perfect.mAP_trapezoid == perfect.mINP == perfect.cmc[0] == 1.0


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_features_in_blocks_rank_as_the_whole_matrix(metric):
    rng = np.random.default_rng(5)
    who = people(rng, 23, 70)
    query, gallery = rng.normal(size=(23, 6)), rng.normal(size=(70, 6))
    whole = rank_features(query, gallery, **who, metric=metric)
    if metric == "cosine":
        distances = 1 - (query @ gallery.T) / np.linalg.norm(query, axis=1)[:, None] / np.linalg.norm(gallery, axis=1)
    else:
        distances = np.linalg.norm(query[:, None] - gallery, axis=2)
    assert_equal(whole, rank(distances, **who))
    for block in (1, 7, 23, 1000):
        assert_equal(whole, rank_features(query, gallery, **who, metric=metric, block=block))


def test_half_precision_features_are_ranked_in_float32():
    rng = np.random.default_rng(6)
    who = people(rng, 10, 60)
    query, gallery = (torch.from_numpy(rng.normal(size=(n, 8))).bfloat16() for n in (10, 60))
    assert_equal(rank_features(query, gallery, **who), rank_features(query.float(), gallery.float(), **who))


def test_nearest_lists_what_is_left_in_order():
    persons = Persons.of(
        HAND["query_pids"], HAND["gallery_pids"], HAND["query_camids"], HAND["gallery_camids"], "market"
    )
    lists = nearest(HAND["distances"][[0, 1]], persons, [0, 1], count=4)
    assert [one.tolist() for one in lists] == [[0, 3, 1, 2], [5, 2, 0, 1]]


def test_cmc_reaches_beyond_a_small_gallery():
    result = rank([[0.1, 0.2]], [1], [2, 1], [1], [2, 2])
    assert len(result.cmc) == 50
    np.testing.assert_array_equal(result.cmc[:3], [0, 1, 1])


def test_no_match_at_all_is_an_error():
    with pytest.raises(DataError) as caught:
        rank([[0.1, 0.2]], [1], [1, 2], [1], [1, 2])
    assert str(caught.value) == (
        "No query has a match in the gallery.\n"
        "  got: 1 queries, none with a gallery crop of the same person from another camera\n"
        "  allowed: at least one\n"
        "  try: reidgen prepare shows why; protocol='all' counts matches in the same camera too"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": np.zeros((2, 6))}, "The distances do not fit the pids"),
        ({"distances": np.where(np.arange(6) == 2, np.nan, HAND["distances"])}, "A distance is not a number"),
        ({"query_pids": [1.0, 2.0, 3.0]}, "query_pids is not a list of integers"),
        ({"gallery_camids": [1, 2]}, "gallery_pids and gallery_camids differ in length"),
        ({"protocol": "duke"}, "The protocol is unknown"),
    ],
)
def test_bad_input_is_told(change, message):
    with pytest.raises(DataError, match=message):
        rank(**(HAND | change))


@pytest.mark.parametrize("broken", [np.inf, -np.inf, np.nan])
def test_nan_in_features_is_told_with_its_row(broken):
    gallery = np.ones((6, 2))
    gallery[4, 1] = broken
    who = {name: HAND[name] for name in ("query_pids", "gallery_pids", "query_camids", "gallery_camids")}
    with pytest.raises(DataError, match=r"A gallery embedding is not finite\.\n  got: row 4"):
        rank_features(np.ones((3, 2)), gallery, **who)
    with pytest.raises(DataError, match=r"query embeddings do not fit the pids\.\n  got: \(3, 0\)"):
        rank_features(np.ones((3, 0)), np.ones((6, 0)), **who)


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_all_blocks_of_distances_lie_in_one_place(metric):
    query, gallery = torch.randn(2, 10, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    parts, places = zip(
        *((part.clone(), part.data_ptr()) for part in distance_blocks(query, gallery, metric=metric, block=4)),
        strict=True,
    )
    assert [len(part) for part in parts] == [4, 4, 2] and len(set(places)) == 1
    torch.testing.assert_close(torch.cat(parts), distance_to(gallery, metric)(query).detach())
