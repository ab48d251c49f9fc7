import re
import xml.etree.ElementTree as ET

import pytest

from reidgen.report.html.figures import Line, chart, legend


@pytest.fixture
def drawn():
    lines = [Line([1, 2, 3], [3.0, None, 1.0]), Line([1, 2, 3], [30, 20, 10], "more", dashed=True), Line([2], [2])]
    return chart("Loss & more", lines, xlabel="step", name="loss", scale="log", marks=[(2.5, "target")])


def test_a_chart_is_well_formed_and_says_what_it_is(drawn):
    root = ET.fromstring(drawn)
    assert root.tag == "figure"
    picture = root.find("{http://www.w3.org/2000/svg}svg")
    assert picture.get("aria-label") == "Loss & more"
    assert {"step", "target"} <= {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}


def test_colours_and_fonts_are_the_pages(drawn):
    assert not re.search(r"#[0-9a-f]{6}\b(?!-)", drawn)
    assert "var(--base)" in drawn
    assert "var(--more)" in drawn
    assert "font-family" not in drawn
    assert "<style" not in drawn


def test_ids_are_the_charts_own_and_each_reference_finds_one(drawn):
    ids = set(re.findall(r'\bid="([^"]+)"', drawn))
    assert all(one.startswith("loss-") for one in ids)
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn))
    assert references
    assert references <= ids


def test_the_same_chart_has_the_same_bytes(drawn):
    again = chart("x", [Line([1, 2], [1, 2])], xlabel="step", name="a")
    assert again == chart("x", [Line([1, 2], [1, 2])], xlabel="step", name="a")


def test_long_curves_are_thinned():
    long = chart("x", [Line(range(30_000), range(30_000))], xlabel="step", name="a")
    assert len(long) < 60_000


def test_a_legend_names_colours_and_dashes():
    assert (
        legend([("baseline", "base", True)]) == '<ul class="legend"><li><i class="base dashed"></i>baseline</li></ul>'
    )
