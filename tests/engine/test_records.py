from dataclasses import dataclass

import pytest

from reidgen.engine.records import NUMBER, fields_of, read_json
from reidgen.errors import RunError


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
