import hashlib
import json
import os
from pathlib import Path

import pytest

from reidgen import files
from reidgen.errors import ConfigError


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


def test_a_symbolic_link_is_followed_and_one_at_the_target_replaced(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "a").write_bytes(b"12345")
    (tmp_path / "data").mkdir()
    source, target = tmp_path / "data" / "s", tmp_path / "far" / "away" / "t"
    source.symlink_to("../blobs/a")
    target.parent.mkdir(parents=True)
    for before in (None, source, "nowhere"):  # nothing, a link to the very file, a dangling link
        target.unlink(missing_ok=True)
        if before is not None:
            target.symlink_to(before)
        files.link_or_copy(source, target)
        assert not target.is_symlink()
        assert target.samefile(tmp_path / "blobs" / "a")


def test_copies_where_they_are_asked_for(tmp_path):
    source, target = tmp_path / "s", tmp_path / "t"
    source.write_bytes(b"12345")
    files.link_or_copy(source, target)
    files.link_or_copy(source, target, crops="copy")
    assert not target.samefile(source)
    written = target.stat().st_ino
    files.link_or_copy(source, target, crops="copy")
    assert target.stat().st_ino == written
    target.write_bytes(b"edited")
    assert source.read_bytes() == b"12345"


def test_leftovers_of_other_programs_runs_and_links_stay(tmp_path):
    run = tmp_path / "run"
    ours = [run / f".run.json.ab{files.TEMPORARY}", run / "maps" / "mask" / f".a.png.ab{files.TEMPORARY}"]
    others = [
        run / "other" / ".thesis.tmp",
        run / "point" / f".run.json.ab{files.TEMPORARY}",  # a run of its own, perhaps at work
        run / "point" / "sub" / f".a.jpg.ab{files.TEMPORARY}",
        run / ".git" / f".a.ab{files.TEMPORARY}",
        tmp_path / "elsewhere" / f".a.ab{files.TEMPORARY}",
        run / f"a{files.TEMPORARY}",
    ]
    for path in (*ours, *others, run / ".lock", run / "point" / "run.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    (run / "link").symlink_to(tmp_path / "elsewhere")
    files.remove_leftovers(run)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)


def test_the_names_of_temporary_files_are_ours(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(path.name for path in tmp_path.iterdir()))
    files.write_bytes(tmp_path / "a.json", b"1")
    (name,) = seen
    assert name.startswith(".a.json.")
    assert name.endswith(files.TEMPORARY)


@pytest.mark.parametrize("out", ["data", "data/", "data/a/b", "link/a", "other/../data"])
def test_a_folder_that_is_read_is_not_written(tmp_path, monkeypatch, out):
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for read in ("data", tmp_path / "link", Path("other/../data")):
        with pytest.raises(ConfigError, match="out is a folder that is read, or lies in one"):
            files.check_apart(out, [read])
    files.check_apart(out, ["other", "missing"])
    files.check_apart("data-2", ["data"])
    files.check_apart(".", ["data"])  # a run above its data does not write there


def test_hashes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert files.file_sha256(tmp_path / "f") == files.sha256([b"a", b"bc"]) == hashlib.sha256(b"abc").hexdigest()


def test_json_keeps_what_is_no_utf8(tmp_path):
    files.write_json(tmp_path / "x.json", {"path": "m\u00fc\udcff"})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"path": "m\u00fc\udcff"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_hashed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a named pipe, no regular file"):
        files.file_sha256(tmp_path / "pipe")


@pytest.fixture
def rested(tmp_path, monkeypatch):
    """A file that nobody has touched for long, and how often a file was read to be hashed."""
    path, reads = tmp_path / "crop.jpg", []
    path.write_bytes(b"one")
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: (reads.append(1), digest(*given))[1])
    monkeypatch.setattr(files, "RESTED_NS", -1)
    return path, reads


def test_a_file_that_rests_is_hashed_once(rested):
    path, reads = rested
    assert files.file_sha256(path) == files.file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    assert len(reads) == 1


def test_a_changed_file_of_the_same_size_and_time_is_hashed_anew(rested):
    path, _ = rested
    times = path.stat()
    files.file_sha256(path)
    while path.stat().st_ctime_ns == times.st_ctime_ns:  # until the clock of the disk has ticked
        path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert files.file_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_has_just_been_written_is_always_read(rested, monkeypatch):
    path, reads = rested
    monkeypatch.setattr(files, "RESTED_NS", 10**12)
    files.file_sha256(path), files.file_sha256(path)
    assert len(reads) == 2


def test_a_file_that_was_new_when_its_long_reading_began_is_read_again(rested, monkeypatch):
    path, reads = rested
    monkeypatch.setattr(files, "RESTED_NS", 10**9)
    written_ns = path.stat().st_ctime_ns
    monkeypatch.setattr(files.time, "time_ns", lambda: written_ns + len(reads) * 10**10)  # a reading takes ten seconds
    files.file_sha256(path), files.file_sha256(path)
    assert len(reads) == 2
