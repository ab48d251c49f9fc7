"""The documents as a site: built as `make docs` does, strictly, and every link of the built pages looked at."""

import importlib.util
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
LACKING = [name for name in ("sphinx", "myst_parser", "furo") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)} (extra docs)"),
]
OPTIONS = shlex.split(re.search(r"/sphinx-build (.*) docs site\n", (ROOT / "Makefile").read_text())[1])


def build(pages, folder):
    """The same command as that of the Makefile; its pages must not know where they are built."""
    places = {"build/doctrees": folder / "doctrees", "docs/theme": ROOT / "docs" / "theme"}
    options = [str(places.get(word, word)) for word in OPTIONS]
    words = [sys.executable, "-m", "sphinx", *options, str(pages), str(folder / "site")]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class Page(HTMLParser):
    """What a built page links to and loads, and the places in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.places = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "href") if tag in ("link", "script", "img") and given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    done = build(ROOT / "docs", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return {path: Page(path) for path in (folder / "site").rglob("*.html")}


def test_every_page_is_there(site):
    built = {path.with_suffix("").parts[-2:] for path in site}
    written = {path.with_suffix("").parts[-2:] for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "docs"}
    assert written <= built
    assert len(site) > 80


def test_links_lead_to_files_and_places(site):
    faults = []
    for path, page in site.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            found = target.exists() and (
                target.suffix != ".html" or parts.fragment in site[target].places | {""} or parts.fragment == "top"
            )
            faults += [] if found else [f"{path.name}: {link}"]
    assert not faults


def test_nothing_is_loaded_from_elsewhere(site):
    assert not [link for page in site.values() for link in page.loads if urlsplit(link).netloc]
    styles = [path.read_text(encoding="utf-8") for path in next(iter(site)).parents[0].rglob("*.css")]
    assert not [text for text in styles if re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a page](nowhere.md)", "nowhere"),
        ("[a place](page.md#nowhere)", "nowhere"),
        ("![a picture](nowhere.png)", "nowhere.png"),
    ],
)
def test_a_link_that_leads_nowhere_fails(tmp_path, text, said):
    done = build(small(tmp_path, f"# Page\n\n{text}\n"), tmp_path)
    assert done.returncode
    assert said in done.stderr


def test_a_page_that_is_not_listed_fails(tmp_path):
    pages = small(tmp_path, "# Page\n")
    (pages / "forgotten.md").write_text("# Forgotten\n")
    done = build(pages, tmp_path)
    assert done.returncode
    assert "forgotten" in done.stderr


def test_two_pages_without_faults_pass(tmp_path):
    done = build(small(tmp_path, "# Page\n\n[back](index.md#first)\n"), tmp_path)
    assert done.returncode == 0, done.stderr


def small(folder, page):
    """A site of two pages with the settings of the real one."""
    pages = folder / "pages"
    pages.mkdir()
    (pages / "index.md").write_text("# First\n\n```{toctree}\npage\n```\n")
    (pages / "page.md").write_text(page)
    return pages
