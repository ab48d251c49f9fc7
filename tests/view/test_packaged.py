"""The page's files are in the wheel, and ask for nothing from elsewhere."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "src" / "reidgen" / "view" / "assets"


def test_every_file_of_the_page_is_in_the_wheel():
    builder = pytest.importorskip("hatchling.builders.wheel", reason="no hatchling").WheelBuilder(str(ROOT))
    packed = {one.distribution_path for one in builder.recurse_included_files()}
    own = {f"reidgen/view/assets/{path.name}" for path in ASSETS.iterdir()}
    assert own and own <= packed


def test_what_the_page_names_is_there_and_here():
    """Each address in the files is one of theirs or of the server; none leads to another machine."""
    for path in ASSETS.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path.name
        for name in re.findall(r"""(?:/assets/|from "\./)([\w.]+)""", text):
            assert (files("reidgen.view") / "assets" / name).is_file(), (path.name, name)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path.name
        )
