import io
import json
import shutil

import pytest
from rich.console import Console

from reidgen.data.audit.audit import audit
from reidgen.data.audit.findings import Audit, Finding
from reidgen.data.audit.inspect import inspect
from reidgen.data.disk.notes import FROM_ZERO
from reidgen.errors import DataError, RunError
from tests.factories import make_table, write_crop


def found(table):
    return {(one.severity, one.what, one.reason): (one.files, one.people) for one in audit(table).findings}


def shown(result):
    stream = io.StringIO()
    Console(width=160, file=stream).print(result.table())
    return stream.getvalue()


@pytest.fixture
def clean(tmp_path):
    """Two people to train, two to test, in two cameras."""
    splits = ["train"] * 4 + ["query"] * 2 + ["gallery"] * 3
    return make_table([1, 1, 2, 2, 3, 4, 3, 4, 0], [1, 2, 1, 2, 1, 1, 2, 2, 1], splits=splits, root=tmp_path)


def test_a_clean_dataset_has_counts_and_no_findings(clean):
    result = audit(clean)
    assert result.findings == ()
    assert result.bad_files == ()
    assert result.sizes == {"32x16": 9}
    assert result.counts["gallery"] == {"crops": 2, "people": 2, "distractors": 1, "junk": 0, "cameras": 2}
    assert "No findings." in shown(result)


def test_bad_images_are_listed_with_file_and_reason(clean):
    files = clean.rows["file_name"].to_list()
    clean.paths[0].write_bytes(clean.paths[0].read_bytes()[:-60])
    clean.paths[1].write_bytes(b"")
    clean.paths[2].unlink()
    write_crop(clean.paths[3], size=(8, 4))
    write_crop(clean.paths[4], mode="L", seed=50)
    write_crop(clean.paths[5], mode="L", seed=51)
    result = audit(clean)
    assert [(one.severity, one.what, one.reason.split(" (")[0], one.files) for one in result.findings] == [
        ("error", "unreadable image", "image file is truncated", (files[0],)),
        ("error", "unreadable image", "an empty file", (files[1],)),
        ("error", "unreadable image", "no such file", (files[2],)),
        ("warning", "absurd image", "tiny: 8x4, smallest is 16x8", (files[3],)),
        ("warning", "image that is not plain RGB", "greyscale", (files[4], files[5])),
    ]
    assert result.bad_files == tuple(files[:6])
    assert files[4] in shown(result)


def test_duplicates_are_told_apart_by_their_harm(clean):
    files = clean.rows["file_name"].to_list()

    def copy(a, b):
        shutil.copy(clean.paths[a], clean.paths[b])

    copy(0, 1)
    assert found(clean) == {
        ("warning", "duplicates within train", "1 picture: the same pixels more than once"): (
            (f"{files[0]} = {files[1]}",),
            (),
        )
    }
    copy(0, 2)
    ((severity, what, _),) = found(clean)
    assert (severity, what) == ("error", "one picture of several people")
    write_crop(clean.paths[1], seed=101)
    write_crop(clean.paths[2], seed=102)
    copy(4, 6)
    ((severity, what, _),) = found(clean)
    assert (severity, what) == ("warning", "duplicates across query and gallery")


def test_a_wrong_label_does_not_hide_that_a_test_picture_is_learned_from(tmp_path):
    table = make_table([1, 1, 2, 2], splits=["train", "train", "query", "gallery"], root=tmp_path)
    shutil.copy(table.paths[0], table.paths[2])
    errors = [one.what for one in audit(table).findings if one.severity == "error"]
    assert errors[:2] == ["duplicates across train and test", "one picture of several people"]


def test_a_test_picture_in_train_is_an_error(tmp_path):
    table = make_table([1, 1, 1], [1, 2, 1], splits=["train", "query", "gallery"], root=tmp_path)
    shutil.copy(table.paths[0], table.paths[1])
    assert ("error", "duplicates across train and test") in [key[:2] for key in found(table)]


def test_people_in_train_and_test_are_named(tmp_path):
    splits = ["train", "train", "train", "train", "query", "gallery"]
    table = make_table([1, 1, 2, 2, 2, 2], splits=splits, root=tmp_path)
    assert found(table) == {
        ("error", "people in train and test", "1 person: the test measures people that were learned"): ((), (2,))
    }


def test_people_with_one_camera_are_a_note_and_a_warning_when_it_is_everybody(tmp_path):
    table = make_table([1, 1, 2, 2], [1, 2, 3, 3], root=tmp_path)
    why = "1 of 2 train people: nothing to recognise them by from another camera"
    assert found(table)["note", "people with one camera", why] == ((), (2,))
    table = make_table([1, 1], [1, 1], splits=["query", "gallery"], root=tmp_path)
    why = "1 of 1 test people: nothing to recognise them by from another camera"
    assert found(table)["warning", "people with one camera", why] == ((), (1,))


def test_queries_without_a_match_say_why(tmp_path):
    splits = ["train", "train"] + ["query"] * 4 + ["gallery"] * 4
    table = make_table([1, 1, 5, 6, 7, -1, 5, 6, -1, 0], [1, 2, 1, 1, 1, 1, 2, 1, 2, 2], splits=splits, root=tmp_path)
    files = table.rows["file_name"].to_list()
    queries = {
        reason: (files, people) for (_, what, reason), (files, people) in found(table).items() if "queries" in what
    }
    assert queries == {
        "1 of 4 queries: the person is in the gallery only in the query's own camera": ((files[3],), (6,)),
        "1 of 4 queries: the person is not in the gallery": ((files[4],), (7,)),
        "1 of 4 queries: the query itself is junk or a distractor": ((files[5],), (-1,)),
    }


def test_a_gallery_of_junk_alone_matches_nothing(tmp_path):
    table = make_table([5, -1, 0], [1, 2, 2], splits=["query", "gallery", "gallery"], root=tmp_path)
    assert ("error", "queries without a match", "1 of 1 queries: the gallery holds only junk and distractors") in found(
        table
    )


@pytest.mark.parametrize(
    ("splits", "severity", "reason"),
    [
        (["query", "gallery"], "warning", "train has no crops: nothing to learn from"),
        (["train", "train"], "note", "query and gallery have no crops: a training cannot be evaluated"),
        (["train", "gallery"], "error", "query has no crops: nothing can be ranked"),
        (["train", "query"], "error", "gallery has no crops: nothing can be ranked"),
    ],
)
def test_empty_splits_are_found(tmp_path, splits, severity, reason):
    assert (severity, "empty split", reason) in found(make_table([1, 2], splits=splits, root=tmp_path))


def test_junk_among_the_train_crops_is_an_error(tmp_path):
    table = make_table([1, 1, 0, -1], root=tmp_path)
    files = table.rows["file_name"].to_list()
    why = f"junk (-1) and distractors (0) cannot be classes; {FROM_ZERO}"
    assert found(table)["error", "train crops of nobody", why] == ((files[2], files[3]), ())


def test_the_audit_can_be_stored_and_read_and_looks_can_be_given(tmp_path):
    table = make_table([1, 2], root=tmp_path)
    result = audit(table, inspect(table))
    (tmp_path / "audit.json").write_text(json.dumps(result.as_dict()))
    assert Audit.read(tmp_path) == result
    assert len(result.findings) == 2
    with pytest.raises(DataError, match=r"audit\.json is missing"):
        Audit.read(tmp_path / "none")


def test_the_screen_shows_a_few_files_and_how_many_more(tmp_path):
    table = make_table([1] * 9, root=tmp_path)
    for path in table.paths:
        path.write_bytes(b"")
    text = shown(audit(table))
    assert "and 4 more" in text
    assert text.count(".jpg") == 5
    assert text.index("error") < text.index("note")


FINDING = {"what": "", "reason": "", "files": [], "people": []}


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"findings": 3}, "findings is of type int"),
        ({"findings": [{"severity": "note"}]}, "no findings.0.what"),
        (
            {"findings": [{"severity": "bad", "what": "", "reason": "", "files": [], "people": []}]},
            "findings.0.severity is bad",
        ),
        ({"counts": {"train": {"crops": "many"}}}, "counts.train.crops is of type str"),
        ({"counts": {}}, "counts is empty"),
        ({"sizes": {"32x16": None}}, "sizes.32x16 is null"),
    ],
)
def test_a_damaged_audit_is_told(clean, tmp_path, change, got):
    (tmp_path / "audit.json").write_text(json.dumps(audit(clean, inspect(clean)).as_dict() | change))
    with pytest.raises(RunError, match=r"audit\.json is damaged\.") as error:
        Audit.read(tmp_path)
    assert error.value.got == got


def test_of_many_equal_pictures_a_few_are_shown():
    one = Finding(
        "warning", "duplicates", "equal", (" = ".join(f"{number}.jpg" for number in range(2000)), "a.jpg = b.jpg")
    )
    assert one.which() == "0.jpg = 1.jpg = 2.jpg = 3.jpg = 4.jpg = 1,995 more\na.jpg = b.jpg"
