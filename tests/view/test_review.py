"""Decisions: kept in order, taken back, refused where somebody was quicker, and never lost; and the table of them."""

import errno
import json
import threading

import polars as pl
import pytest

from reidgen.data.table import ReidTable
from reidgen.errors import DataError, RunError
from reidgen.view.journal import ConflictError, Journal
from reidgen.view.reviewed import check_out, write_reviewed
from reidgen.view.shown import Shown
from tests.factories import write_crop
from tests.view.made import answers_of, client_of, written


@pytest.fixture
def shown(tmp_path):
    written(tmp_path / "table", [1, 1, 2, 3, 0], rejected_by=[None, "ssim", None, "ssim,copies:x.jpg", None])
    return Shown.read([tmp_path / "table"])


@pytest.fixture
def journal(tmp_path, shown):
    return Journal(tmp_path / "out", shown, "anna")


def other(journal, who="ben"):
    """Another program with the same review."""
    return Journal(journal.path.parent, journal.shown, who)


def test_decisions_are_kept_with_who_and_when(journal):
    journal.add("reject", seen=0, row=2)
    journal.add("keep", seen=1, row=0)
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [(one["number"], one["verdict"], one["who"]) for one in lines] == [
        (1, "reject", "anna"),
        (2, "keep", "anna"),
    ]
    assert all(one["when"].endswith("+00:00") for one in lines)
    assert [(one["row"], one["verdict"]) for one in other(journal).entries()] == [(2, "reject"), (0, "keep")]


def test_undo_takes_back_and_removes_nothing(journal):
    journal.add("reject", seen=0, row=2)
    journal.add("keep", seen=1, row=2)
    journal.add("undo", seen=2, undoes=2)
    assert [one["verdict"] for one in journal.standing()] == ["reject"]
    assert len(journal.entries()) == 3
    with pytest.raises(ConflictError, match="taken back already"):
        journal.add("undo", seen=3, undoes=2)
    assert len(journal.path.read_text().splitlines()) == 3


def test_whoever_comes_second_on_a_crop_is_told_and_nothing_is_lost(journal):
    ben = other(journal)
    journal.add("reject", seen=0, row=2)
    with pytest.raises(ConflictError, match="anna has decided on this since: reject"):
        ben.add("keep", seen=0, row=2)
    ben.add("keep", seen=0, row=3)  # of another crop: no conflict
    ben.add("keep", seen=2, row=2)  # now in the knowledge of the first
    assert [(one["row"], one["verdict"], one["who"]) for one in journal.entries()] == [
        (2, "reject", "anna"),
        (3, "keep", "ben"),
        (2, "keep", "ben"),
    ]


def test_merges_conflict_by_person(journal):
    ben = other(journal)
    journal.add("merge", seen=0, row=0, other=2)
    for pair in ((1, 3), (3, 2)):  # other crops of the same people
        with pytest.raises(ConflictError):
            ben.add("merge", seen=0, row=pair[0], other=pair[1])
    ben.add("undo", seen=1, undoes=1)
    with pytest.raises(ConflictError):
        journal.add("merge", seen=1, row=1, other=3)
    journal.add("merge", seen=2, row=1, other=3)
    assert [one["number"] for one in ben.standing()] == [3]


def test_many_windows_and_programs_at_once_lose_nothing(journal):
    programs, rounds = [journal, other(journal), other(journal, "cleo")], 8

    def decide(one, crop):
        for _ in range(rounds):
            one.add("keep", seen=10**6, row=crop)

    threads = [threading.Thread(target=decide, args=(one, crop)) for one in programs for crop in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [one["number"] for one in lines] == list(range(1, 6 * rounds + 1))
    assert all(len(one.entries()) == 6 * rounds for one in programs)
    counts = {(who, crop): 0 for who in ("anna", "ben", "cleo") for crop in (0, 2)}
    for one in journal.entries():
        counts[one["who"], one["row"]] += 1
    assert set(counts.values()) == {rounds}


def test_a_line_that_was_cut_off_was_no_decision(journal):
    journal.add("keep", seen=0, row=0)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"number": 2, "verd')
    again = other(journal)
    assert len(again.entries()) == 1
    again.add("reject", seen=1, row=2)
    assert journal.path.read_bytes().startswith(whole) and len(journal.entries()) == 2


@pytest.mark.parametrize("left", [None, 10])
def test_a_journal_that_lost_lines_under_the_page_is_told(journal, left):
    journal.add("keep", seen=0, row=0)
    journal.add("keep", seen=1, row=2)
    content = journal.path.read_bytes()
    journal.path.unlink()
    if left is not None:
        journal.path.write_bytes(content[:left])
    for act in (journal.entries, lambda: journal.add("reject", seen=2, row=0)):
        with pytest.raises(RunError, match="is damaged"):
            act()
    assert left is None or journal.path.read_bytes() == content[:left], "nothing is written over what is left"


def test_a_full_disk_is_told_and_the_decision_can_be_made_again(tmp_path, shown, monkeypatch):
    client = client_of(answers_of([tmp_path / "table"], out=tmp_path / "out"))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        told = client.post("/decide", {"verdict": "keep", "row": 0, "seen": 0})
    assert told.status_code == 500 and "decisions.jsonl: No space left on device" in told.json["error"]
    known = len(client.get("/decisions").json)
    assert client.post("/decide", {"verdict": "keep", "row": 0, "seen": known}).status_code == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"keep"', b'"kept"'),
        (b'"number": 1', b'"number": 7'),
        (b"{", b"["),
        (b'"who": "anna"', b'"who": 3'),
        (b"null", b"9"),
    ],
)
def test_a_journal_that_somebody_has_edited_is_refused(journal, old, new):
    journal.add("keep", seen=0, row=0)
    journal.path.write_bytes(journal.path.read_bytes().replace(old, new))
    with pytest.raises(RunError, match="is damaged"):
        other(journal)


def test_decisions_are_of_a_crop_not_of_a_row(tmp_path, journal):
    """The table was written anew in another order, and one crop is another picture: decisions find their crops."""
    journal.add("keep", seen=0, row=0)
    journal.add("reject", seen=1, row=2)
    table = ReidTable.read(tmp_path / "table").take([2, 1, 0])
    write_crop(table.paths[2], seed=99)
    table.write_metadata(tmp_path / "table")
    again = Journal(tmp_path / "out", Shown.read([tmp_path / "table"]), "ben")
    assert [one["row"] for one in again.entries()] == [-1, 0]


@pytest.mark.parametrize(
    ("verdict", "more"),
    [
        ("delete", {"row": 0}),
        ("keep", {"row": 5}),
        ("keep", {"row": -1}),
        ("merge", {"row": 0, "other": 1}),  # one person
        ("merge", {"row": 0, "other": 4}),  # a distractor is nobody
        ("merge", {"row": 0}),
    ],
)
def test_what_cannot_be_decided(journal, verdict, more):
    with pytest.raises(DataError):
        journal.add(verdict, seen=0, **more)
    assert not journal.path.exists()


def test_people_of_two_tables_are_not_merged(tmp_path):
    written(tmp_path / "a", [1, 2])
    written(tmp_path / "b", [3, 4])
    journal = Journal(tmp_path / "out", Shown.read([tmp_path / "a", tmp_path / "b"]), "anna")
    with pytest.raises(DataError, match="not two people"):
        journal.add("merge", seen=0, row=0, other=2)


def test_the_reviewed_table(tmp_path, journal):
    for number, (verdict, row) in enumerate([("reject", 0), ("keep", 1), ("wrong person", 2), ("keep", 2)]):
        journal.add(verdict, seen=number, row=row)
    journal.add("undo", seen=4, undoes=4)
    journal.add("merge", seen=5, row=2, other=3)
    before = [path.read_bytes() for path in journal.shown.crops.paths]
    assert write_reviewed(journal) == [tmp_path / "out"]
    table = ReidTable.read(tmp_path / "out")
    assert table.rows["verdict"].to_list() == ["reject", "keep", "wrong person", None, None]
    assert table.rows["verdict_by"].to_list() == ["anna", "anna", "anna", None, None]
    assert table.rows["rejected_by"].to_list() == ["review", None, "review", "ssim,copies:x.jpg", None]
    assert table.pids.tolist() == [1, 1, 2, 2, 0]
    assert table.rows["merged_from"].to_list() == [None, None, None, 3, None]
    assert [path.read_bytes() for path in table.paths] == before
    assert len(table.kept) == 2
    own = ReidTable.read(tmp_path / "table")
    assert own.rows.equals(journal.shown.crops.rows), "the table itself is as it was"


def test_three_people_become_one_and_two_again(tmp_path, journal):
    journal.add("merge", seen=0, row=3, other=2)
    journal.add("merge", seen=1, row=0, other=3)
    write_reviewed(journal)
    assert ReidTable.read(tmp_path / "out").pids.tolist() == [1, 1, 1, 1, 0]
    journal.add("undo", seen=2, undoes=2)
    write_reviewed(journal)
    table = ReidTable.read(tmp_path / "out")
    assert table.pids.tolist() == [1, 1, 2, 2, 0]
    assert sorted((tmp_path / "out" / "bounding_box_train").glob("*.jpg")) == sorted(table.paths), (
        "no link is left over"
    )


def test_several_tables_are_written_beside_each_other(tmp_path):
    written(tmp_path / "a", [1, 2])
    written(tmp_path / "b", [1, 2])
    journal = Journal(tmp_path / "out", Shown.read([tmp_path / "a", tmp_path / "b"]), "anna")
    journal.add("merge", seen=0, row=2, other=3)
    assert write_reviewed(journal) == [tmp_path / "out" / "a", tmp_path / "out" / "b"]
    assert [ReidTable.read(tmp_path / "out" / name).pids.tolist() for name in "ab"] == [[1, 2], [1, 1]]


def test_the_review_of_a_filtered_table_is_filtered_again(tmp_path, journal):
    """A filter that runs after the review keeps its verdict."""
    from reidgen.filters import SSIMFilter
    from reidgen.filters.apply import apply_filters

    journal.add("reject", seen=0, row=0)
    write_reviewed(journal)
    table = apply_filters(ReidTable.read(tmp_path / "out").where(pl.col("pid") > 0), [SSIMFilter(-1.0)])
    assert table.rows["rejected_by"].to_list() == ["review", None, None, "copies:x.jpg"]


@pytest.mark.parametrize("name", ["run.json", "bounding_box_train"])
def test_a_folder_with_something_else(tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(RunError, match="something else than a review"):
        check_out(tmp_path / "out")
    check_out(tmp_path / "new")


def test_over_the_page(tmp_path, shown):
    client = client_of(answers_of([tmp_path / "table"], out=tmp_path / "out"))
    assert client.get("/about").json["reviewer"] == "anna"
    assert client.post("/decide", {"verdict": "reject", "row": 2, "seen": 0}).json["number"] == 1
    told = client.post("/decide", {"verdict": "keep", "row": 2, "seen": 0})
    assert told.status_code == 409 and "anna has decided" in told.json["error"]
    assert [one["row"] for one in client.get("/decisions?since=0").json] == [2]
    assert client.get("/decisions?since=1").json == []
    assert client.post("/write").json == {"folders": [str(tmp_path / "out")]}
    assert ReidTable.read(tmp_path / "out").rows["verdict"].to_list()[2] == "reject"


@pytest.mark.parametrize(
    "asked", [{}, [], {"verdict": "keep"}, {"verdict": 3, "seen": 0}, {"verdict": "keep", "seen": 0, "row": "0"},
              {"verdict": "keep", "seen": 0, "row": 0, "who": "ben"}, {"verdict": "keep", "seen": True, "row": 0}],
)  # fmt: skip
def test_what_is_no_decision_over_the_page(tmp_path, shown, asked):
    client = client_of(answers_of([tmp_path / "table"], out=tmp_path / "out"))
    assert client.post("/decide", asked).status_code == 422
    assert client.get("/decisions").json == []


def test_without_a_folder_nothing_is_decided(tmp_path, shown):
    client = client_of(answers_of([tmp_path / "table"]))
    for address in ("/decide", "/write"):
        told = client.post(address, {"verdict": "keep", "row": 0, "seen": 0})
        assert told.status_code == 422 and "--out" in told.json["error"]


def test_a_changed_table_takes_no_decision(tmp_path, shown):
    client = client_of(answers_of([tmp_path / "table"], out=tmp_path / "out"))
    written(tmp_path / "table", [7])
    assert client.post("/decide", {"verdict": "keep", "row": 0, "seen": 0}).status_code == 409
    assert client.get("/decisions").json == []
