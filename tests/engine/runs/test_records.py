import contextlib
import json
import os
from dataclasses import dataclass

import pytest

from reidgen.data.disk.parquet import decode
from reidgen.engine.runs.records import NUMBER, fields_of, read_json, write_checked
from reidgen.errors import DataError, RunError


@dataclass
class Facts:
    share: float
    count: int
    files: tuple[str, ...]
    kind: str | None
    more: dict[str, int]


def test_the_types_of_a_dataclass_in_json():
    kinds = {"share": NUMBER, "count": int, "files": list, "kind": object, "more": dict}
    assert fields_of(Facts) == kinds
    assert fields_of(Facts, without=["more", "kind"]) == {name: kinds[name] for name in ("share", "count", "files")}


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (None, "no such file"),
        (b"\xff{}", "no UTF-8 at byte 0"),
        ("{}".encode("utf-16"), "no UTF-8 at byte 0"),
        (b"[" * 100_000, "maximum recursion"),
        (b"3", "the whole is of type int"),
        (b"{}", "no name"),
        (b'{"name": null}', "name is null"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, content, got):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"x\.json is damaged\.") as error:
        read_json(path, {"name": str})
    assert str(error.value.got).startswith(got)


@pytest.mark.parametrize(("kind", "good"), [(int, False), (NUMBER, False), (bool, True), (object, True)])
def test_true_is_no_number(tmp_path, kind, good):
    (tmp_path / "x.json").write_text('{"count": true}')
    with contextlib.nullcontext() if good else pytest.raises(RunError) as error:
        assert read_json(tmp_path / "x.json", {"count": kind}) == {"count": True}
    assert good or error.value.got == "count is of type bool"


def test_values_come_back_if_no_digit_was_changed(tmp_path):
    path, values = tmp_path / "x.json", {"mAP": 0.5, "by": {10: ("a",), 2: "m\udcff"}, "not": float("inf")}
    write_checked(path, values)
    assert read_json(path, {"mAP": float}) == json.loads(json.dumps(values))
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(RunError, match="other values than were written"):
        read_json(path, {})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_the_place_of_a_file_is_told(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(RunError, match="a named pipe, no regular file"):
        read_json(tmp_path / "x.json", {})
    with pytest.raises(DataError, match="a named pipe, no regular file"):
        decode(tmp_path / "x.json")
