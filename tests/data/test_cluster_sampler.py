import numpy as np

from reidgen.data.samplers import ClusterSampler

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, -1, 2, 3, 3, 3, -1])
CAMERAS = np.array([1, 1, 2, 3, 1, 1, 5, 1, 5, 1, 2, 2, 2])


def test_a_batch_is_cluster_after_cluster_and_a_function_of_seed_and_step():
    sampler = ClusterSampler(LABELS, CAMERAS, 2, 3, seed=1)
    for step in range(20):
        rows = sampler.indices(step)
        who = LABELS[rows].reshape(2, 3)
        assert (who == who[:, :1]).all()
        assert (who >= 0).all()
        assert (rows == ClusterSampler(LABELS, CAMERAS, 2, 3, seed=1).indices(step)).all()
    others = ClusterSampler(LABELS, CAMERAS, 2, 3, seed=2)
    assert any((sampler.indices(step) != others.indices(step)).any() for step in range(5))


def test_each_cluster_comes_once_a_round():
    sampler = ClusterSampler(LABELS, CAMERAS, 2, 3)
    for turn in range(5):
        seen = [LABELS[sampler.indices(step)[::3]] for step in (2 * turn, 2 * turn + 1)]
        assert sorted(np.concatenate(seen)) == [0, 1, 2, 3]


def test_the_others_are_from_other_cameras_where_there_are_any():
    sampler = ClusterSampler(LABELS, CAMERAS, 4, 3)
    for step in range(20):
        for rows in sampler.indices(step).reshape(4, 3):
            cluster, first = LABELS[rows[0]], CAMERAS[rows[0]]
            if cluster in (0, 3):
                assert (CAMERAS[rows[1:]] != first).all()
            else:  # one camera alone: the other crop, twice
                assert rows[1] == rows[2] != rows[0]
            if cluster == 0 and first == 1:
                assert rows[1] != rows[2]  # two others are there, none comes twice before both have come


def test_fewer_clusters_than_a_batch_holds_are_shown_twice_and_one_crop_alone_is_repeated():
    sampler = ClusterSampler(np.array([0, 1, 1]), np.array([1, 1, 2]), 3, 2)
    assert len(sampler.indices(0)) == 6
    assert all((rows == 0).all() for rows in sampler.indices(0).reshape(3, 2) if rows[0] == 0)
