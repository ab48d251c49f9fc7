import hashlib
import os

import pytest

from reidgen import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, {"x": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write_json(path, {"x": 2})
    assert path.read_text() == '{\n  "x": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        files.write_json(tmp_path / "a.json", {})
    with pytest.raises(FileNotFoundError) as error, files.naming(tmp_path / "other"):
        (tmp_path / "none").read_bytes()
    assert error.value.filename == str(tmp_path / "none")  # a name that is there stays


def test_parts_are_one_file_or_none(tmp_path):
    path = tmp_path / "a.bin"

    def parts(last):
        yield b"12"
        yield b"3" if last else 1 / 0

    files.write_chunks(path, parts(last=True))
    with pytest.raises(ZeroDivisionError):
        files.write_chunks(path, parts(last=False))
    assert path.read_bytes() == b"123"
    assert list(tmp_path.iterdir()) == [path]


def test_links_are_made_once_and_replaced_when_cut_off(tmp_path):
    source, target = tmp_path / "s", tmp_path / "t"
    source.write_bytes(b"12345")
    files.link_or_copy(source, target)
    files.link_or_copy(source, target)
    assert target.samefile(source)
    target.unlink()
    target.write_bytes(b"12")
    files.link_or_copy(source, target)
    assert target.read_bytes() == b"12345"


def test_copies_where_links_cannot_be_made(tmp_path, monkeypatch):
    source, target = tmp_path / "s", tmp_path / "t"
    source.write_bytes(b"12345")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("another disk")))
    files.link_or_copy(source, target)
    assert target.read_bytes() == b"12345" and not target.samefile(source)


def test_hashes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert files.file_sha256(tmp_path / "f") == files.sha256([b"a", b"bc"]) == hashlib.sha256(b"abc").hexdigest()
