"""The server itself: its port, its address, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from reidgen.cli import main
from reidgen.config import ViewConfig
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError
from reidgen.view.app import application
from reidgen.view.serve import started, view
from tests.view.made import answers_of, written


def test_it_listens_on_this_machine_alone_and_asks_for_its_token(tmp_path):
    written(tmp_path / "table", [1, 2])
    answers = answers_of([tmp_path / "table"])
    with started(lambda token, port: application(answers, token=token, port=port), 0) as (server, address):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert server.socket.getsockname()[0] == "127.0.0.1"
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            assert opener.open(address).read().startswith(b"<!doctype html>")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(address.partition("?")[0])
        finally:
            server.shutdown()
            thread.join()


def test_a_port_in_use_is_told_with_another(tmp_path):
    written(tmp_path / "table", [1, 2])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} cannot be had") as told:
            view([tmp_path / "table"], ViewConfig(port=port))
    assert f"port={port + 1}" in str(told.value)


def test_a_review_of_a_folder_in_itself_is_refused(tmp_path):
    written(tmp_path / "table", [1, 2])
    with pytest.raises(ConfigError, match="is a folder that is read"):
        view([tmp_path / "table"], ViewConfig(port=0), out=tmp_path / "table" / "review")


def test_every_option_of_the_command_reaches_the_page(tmp_path, monkeypatch, capsys):
    asked = {}
    monkeypatch.setattr(
        "reidgen.view.serve.view",
        lambda folders, config, **more: asked.update(more, folders=folders, config=config) or [],
    )
    words = [
        "view",
        "a",
        "b",
        "--model",
        "m",
        "n",
        "--weights",
        "w",
        "--out",
        str(tmp_path / "o"),
        "--port",
        "0",
        "--reviewer",
        "x",
    ]
    main(words)
    assert asked == {
        "folders": (Path("a"), Path("b")),
        "models": (Path("m"), Path("n")),
        "weights": (Path("w"),),
        "out": tmp_path / "o",
        "config": ViewConfig(port=0, reviewer="x"),
    }
    assert capsys.readouterr().out == "ended\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_it_and_writes_the_table(tmp_path):
    written(tmp_path / "table", [1, 2])
    command = [sys.executable, "-m", "reidgen", "view", tmp_path / "table", "--out", tmp_path / "out", "--port", "0"]
    program = subprocess.Popen(
        [*map(str, command), "--reviewer", "anna"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    address = re.search(r"http://\S+", program.stderr.readline())[0]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(address).read()
    host = address.partition("/?")[0]
    headers = {"X-Reidgen": "1", "Content-Type": "application/json", "Origin": host}
    body = b'{"verdict": "reject", "row": 1, "seen": 0}'
    assert opener.open(urllib.request.Request(f"{host}/decide", body, headers)).status == 200
    os.kill(program.pid, signal.SIGINT)
    out, _ = program.communicate(timeout=60)
    assert program.returncode == 0 and out == f"reviewed table: {tmp_path / 'out'}\n"
    assert ReidTable.read(tmp_path / "out").rows["verdict"].to_list() == [None, "reject"]
