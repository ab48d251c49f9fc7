import numpy as np
import pytest

from reidgen.errors import DataError
from reidgen.reid.ranking.queries import Queries
from tests.factories import make_table, write_crop


def test_each_crop_is_a_query_unless_asked_otherwise():
    table = make_table([1, 1, 2], [1, 1, 1], splits="query")
    queries = Queries.of(table, "none")
    assert queries.table is table and queries.pool is table and queries.groups is None


def test_crops_of_one_person_and_camera_are_one_query():
    table = make_table([3, 1, 3, 3, 1], [1, 1, 1, 2, 1], splits="query")
    queries = Queries.of(table, "queries")
    assert queries.groups.tolist() == [0, 1, 0, 2, 1]
    assert list(zip(queries.table.pids, queries.table.camids, strict=True)) == [(3, 1), (1, 1), (3, 2)]
    assert queries.table.rows["frame"].to_list() == [0, 1, 3]  # the first of each


def test_a_folder_of_boxes_answers_for_the_queries(tmp_path):
    for name in ("0001_c1s1_000001_00.jpg", "0001_c1s1_000002_00.jpg", "0001_c2s1_000003_00.jpg", "0007_c1s1_1_00.jpg"):
        write_crop(tmp_path / name)
    queries = Queries.of(make_table([1, 7], [1, 1], splits="query"), str(tmp_path))
    assert queries.groups.tolist() == [0, 0, -1, 1]
    assert len(queries.pool) == 4 and np.array_equal(queries.table.pids, [1, 7])


def test_a_query_without_a_crop_in_the_folder_is_told(tmp_path):
    write_crop(tmp_path / "0001_c1s1_000001_00.jpg")
    with pytest.raises(DataError, match=r"no crop of a query's person and camera\.\n  got: none for .*; 2 queries"):
        Queries.of(make_table([1, 1, 5], [1, 2, 1], splits="query"), str(tmp_path))


def test_a_folder_that_is_not_one_of_crops_is_told(tmp_path):
    table = make_table([1], splits="query")
    with pytest.raises(DataError, match=r"holds no crops\.\n  got: no such folder"):
        Queries.of(table, str(tmp_path / "gt_bbox"))
    with pytest.raises(DataError, match=r"holds no crops\.\n  got: no file with the ending"):
        Queries.of(table, str(tmp_path))
    write_crop(tmp_path / "someone.jpg")
    with pytest.raises(DataError, match="has a name that does not parse"):
        Queries.of(table, str(tmp_path))
