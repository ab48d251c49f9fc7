import numpy as np
import pytest

from reidgen.errors import DataError
from reidgen.metrics import cross_agreement


def slow(lists, others):
    sets = [(set(a), set(b)) for a, b in zip(lists.tolist(), others.tolist(), strict=True)]
    return [len(a & b) / len(a | b) for a, b in sets]


def test_hand_worked_lists():
    lists = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    others = np.array([[3, 1, 2], [4, 7, 8], [1, 2, 3]])
    assert cross_agreement(lists, others).tolist() == pytest.approx([1, 1 / 5, 0])


def test_equals_the_loop_over_crops_and_does_not_care_which_is_first():
    rng = np.random.default_rng(0)
    lists, others = (np.stack([rng.permutation(40)[:20] for _ in range(60)]) for _ in range(2))
    found = cross_agreement(lists, others)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow(lists, others), rtol=1e-6)
    assert (found == cross_agreement(others, lists)).all()


@pytest.mark.parametrize("shapes", [((3, 2), (3, 4)), ((3, 2), (2, 2)), ((3,), (3,)), ((3, 0), (3, 0))])
def test_lists_that_do_not_fit_are_an_error(shapes):
    with pytest.raises(DataError, match="do not fit"):
        cross_agreement(*(np.zeros(shape, np.int64) for shape in shapes))
