import hashlib
import io
import urllib.error
import urllib.request

import pytest

from reidgen.engine.download import check_digest, download
from reidgen.errors import WeightsError

URL = "https://example.org/file.weights"


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"content of " + url.encode()))
    download(URL, tmp_path / "cache" / "file", what="The file", fix="nothing")
    assert (tmp_path / "cache" / "file").read_bytes() == b"content of " + URL.encode()

    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Broken())
    with pytest.raises(WeightsError, match="timed out"):
        download(URL, tmp_path / "other", what="The file", fix="nothing")
    assert not (tmp_path / "other").exists()


def test_no_connection_word_for_word(tmp_path, monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(WeightsError) as error:
        download(URL, tmp_path / "file.weights", what="The detector's file", fix="--detector FILE.weights")
    assert str(error.value) == (
        "The detector's file file.weights cannot be downloaded.\n"
        "  got: no route\n"
        f"  allowed: a connection to {URL}\n"
        f"  try: download that address elsewhere and put the file at {tmp_path / 'file.weights'}, "
        "or --detector FILE.weights"
    )


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    check_digest(path, f"sha256:{hashlib.sha256(b'abc').hexdigest()}")
    check_digest(path, f"sha1:{hashlib.sha1(b'abc').hexdigest()[:8]}")
    with pytest.raises(WeightsError, match="not the file that was published"):
        check_digest(path, f"sha1:{hashlib.sha1(b'abd').hexdigest()}")
