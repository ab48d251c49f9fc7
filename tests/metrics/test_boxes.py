import numpy as np
import pytest

from reidgen.metrics.boxes import overlaps, suppress


def test_overlaps_by_hand():
    box = np.array([0.0, 0, 4, 2])
    others = np.array([[0, 0, 4, 2], [2, 0, 4, 2], [4, 0, 1, 1], [1, 0.5, 2, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 3, 0, 1 / 4, 0])
    assert overlaps(np.zeros(4), np.zeros((1, 4))).tolist() == [0]


def test_a_lower_box_goes_if_it_overlaps_a_kept_one_but_not_if_it_overlaps_one_that_went():
    boxes = np.array([[0, 0, 10, 10], [3, 0, 10, 10], [7, 0, 10, 10], [30, 0, 5, 5]])
    assert suppress(boxes, np.array([0.9, 0.8, 0.7, 0.1]), 0.3).tolist() == [0, 2, 3]
    assert suppress(boxes, np.array([0.8, 0.9, 0.7, 0.1]), 0.3).tolist() == [1, 3]
    assert suppress(np.empty((0, 4)), np.empty(0), 0.3).tolist() == []


def test_equal_scores_are_taken_in_order():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10]])
    assert suppress(boxes, np.array([0.5, 0.5]), 0.3).tolist() == [0]


@pytest.mark.parametrize("seed", range(4))
def test_opencv_keeps_the_same_boxes(seed):
    cv2 = pytest.importorskip("cv2", reason="the extra `detect` is not installed")
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.integers(0, 80, (200, 2)), rng.integers(5, 60, (200, 2))], axis=1)
    scores = rng.permutation(200) / 200
    theirs = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.2, 0.3)
    above = np.flatnonzero(scores > 0.2)
    ours = above[suppress(boxes[above], scores[above], 0.3)]
    assert 5 < len(ours) < 150
    assert ours.tolist() == np.reshape(theirs, -1).tolist()
