"""The door of the page: other hosts, other origins, no token, and what a browser is told to refuse."""

import pytest

from tests.view.made import MARK, PORT, TOKEN, answers_of, client_of, written


@pytest.fixture
def client(tmp_path):
    written(tmp_path / "table", [1, 2])
    return client_of(answers_of([tmp_path / "table"], out=tmp_path / "out"))


def test_nothing_without_the_token(tmp_path):
    written(tmp_path / "table", [1, 2])
    client = client_of(answers_of([tmp_path / "table"]), admitted=False)
    for address in (
        "/",
        "/about",
        "/assets/page.js",
        "/column/pid",
        "/thumbnails?rows=0",
        "/picture/0",
        "/nowhere",
        "/?token=x",
    ):
        told = client.get(address)
        assert told.status_code == 403 and "token" in told.json["error"], address
    assert client.post("/decide", {"verdict": "keep", "seen": 0, "row": 0}).status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(client):
    answer = client.get(f"/?token={TOKEN}")
    assert answer.status_code == 302 and answer.headers["Location"] == "/"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"reidgen-{PORT}=") and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert client.get("/about").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8760", "10.0.0.1", "a b"]
)
def test_a_name_that_leads_here_is_refused(client, host):
    """DNS rebinding: a page of another name whose address is made to be this machine's."""
    told = client.client.get("/about", base_url="http://127.0.0.1", headers={"Host": host})
    assert told.status_code == 400 and "alone" in told.json["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:8760", "localhost:8760", "localhost"])
def test_this_machine_by_either_name_and_any_port(client, host):
    client.client.get(f"/?token={TOKEN}", base_url=f"http://{host}")
    assert client.client.get("/about", base_url=f"http://{host}").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1"},
        {**MARK, "Origin": "http://evil.example"},
        {
            **MARK,
            "Origin": "http://127.0.0.1:9999",
        },  # another program's page on this machine: the cookie is sent there too
        {**MARK, "Origin": "null"},
    ],
)
def test_another_site_changes_nothing(client, headers):
    told = client.post("/decide", {"verdict": "keep", "seen": 0, "row": 0}, headers=headers)
    assert told.status_code == 403 and client.get("/decisions").json == []
    assert client.post("/decide", {"verdict": "keep", "seen": 0, "row": 0}).status_code == 200


def test_what_the_browser_is_told(client):
    for address in ("/", "/about", "/thumbnails?rows=99999", "/nowhere"):
        headers = client.get(address).headers
        assert (
            "default-src 'none'" in headers["Content-Security-Policy"]
            and "unsafe" not in headers["Content-Security-Policy"]
        )
        assert (
            headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["X-Content-Type-Options"] == "nosniff"
        )
        assert headers["Cache-Control"] == "no-store" and "Access-Control-Allow-Origin" not in headers


def test_unknown_addresses_and_methods_are_told_in_words(client):
    assert client.get("/nowhere").status_code == 404 and client.get("/nowhere").json["error"]
    assert client.get("/decide").status_code == 405
    assert client.post("/decide", data="{", content_type="application/json").status_code == 400
