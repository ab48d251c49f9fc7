"""Every command that the documents show is understood by the command line."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from reidgen.cli import main

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
PARTS = ("guide", "tutorials", "explanations", "cards")
DOCUMENTS = [
    ROOT / "README.md",
    *(page for part in PARTS for page in sorted((ROOT / "docs" / part).glob("*.md"))),
    ROOT / "docs" / "log.md",
]
COMMANDS = [
    (path.name, line.split("#")[0].strip())
    for path in DOCUMENTS
    for block in BLOCK.findall(path.read_text())
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("reidgen ")
]


@pytest.mark.parametrize(("document", "line"), list({line: (name, line) for name, line in COMMANDS}.values()))
def test_command_is_understood(document, line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main([*shlex.split(line)[1:], "--dry-run"])
    assert '"stage"' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_documents_show_commands():
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CHANGELOG.md"], ids=lambda p: p.name
)
def test_relative_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_readme_shows_picture_sentence_command_and_program_before_line_40():
    lines = (ROOT / "README.md").read_text().splitlines()[:40]
    for needed in ("![", "make quickstart", "import reidgen as rg", "**Grow a person"):
        assert any(needed in line for line in lines), needed


def test_reference_is_what_the_docstrings_say():
    written = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["render"]()
    assert {path.name: path.read_text() for path in (ROOT / "docs" / "reference").iterdir()} == written
