import numpy as np
import pytest

from reidgen.data.readers.load import load_dataset
from reidgen.filters import DetectorFilter

cv2 = pytest.importorskip("cv2", reason="the extra `detect` is not installed")


@pytest.fixture(scope="module")
def people():
    sample = load_dataset("sample").train
    return sample.where([row % (len(sample) // 12) == 0 for row in range(len(sample))])


def test_people_score_above_noise_and_plain_colours(people):
    filter_ = DetectorFilter("hog", threshold=0.5)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 64, 32, 3)).astype(np.uint8)
    plain = np.full((1, 64, 32, 3), 90, np.uint8)
    bad = [scores.max() for _, scores in filter_._open().find(np.concatenate([noise, plain]))]
    good = filter_.scores(people)
    assert np.median(good) > 1 > 0.5 > max(bad)
    assert filter_.rejected(np.array(bad)) == ["detector"] * 9


def test_the_same_crops_have_the_same_scores(people):
    filter_ = DetectorFilter("hog")
    np.testing.assert_array_equal(filter_.scores(people), DetectorFilter("hog", batch=3).scores(people))


def test_the_best_window_is_around_the_person(people):
    filter_ = DetectorFilter("hog", threshold=0.5)
    crop = np.asarray(cv2.imread(str(people.paths[0])))[None, ..., ::-1]
    ((boxes, scores),) = DetectorFilter("hog", threshold=-1).detect(crop)
    height, width = crop.shape[1:3]
    left, top, box_width, box_height = boxes[0]
    assert abs(left + box_width / 2 - width / 2) < 0.3 * width
    assert abs(top + box_height / 2 - height / 2) < 0.3 * height
    assert box_height / box_width == pytest.approx(2, abs=0.05)
    assert (np.diff(scores) <= 0).all()
    assert filter_.rule == "no person above 0.5000 found by hog (at their own size)"
