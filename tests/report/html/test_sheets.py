import base64
import io

import pytest
from PIL import Image

from reidgen.report.html.sheets import Viewer, crop
from tests.factories import make_table


@pytest.mark.parametrize(
    ("viewer", "shown"),
    [
        (Viewer(), {"rendered"}),
        (Viewer(learned_from=frozenset({"rendered"})), {"rendered", "generated"}),
        (Viewer(learned_from=frozenset({"rendered", "real"})), {"rendered"}),
        (Viewer(learned_from=frozenset({"unknown"})), {"rendered"}),
        (Viewer("allow"), {"rendered", "generated", "real", "unknown"}),
    ],
)
def test_who_may_be_seen(viewer, shown):
    assert {origin for origin in ("rendered", "generated", "real", "unknown") if viewer.shows(origin)} == shown


def test_what_is_missing_is_said():
    assert Viewer().why_not({"rendered"}) is None
    assert Viewer().why_not({"real", "rendered"}) == (
        'Real people are not shown: this page may be published. show_real "allow" puts them on it.'
    )
    learned = Viewer(learned_from=frozenset({"real"})).why_not({"generated", "real"})
    assert learned.startswith(
        "Crops of a generator that learned from real people are not shown, as it may remember them; real"
    )


def test_a_crop_is_coded_anew_without_what_its_file_says_of_itself(tmp_path):
    table = make_table([1], root=tmp_path, origin=["rendered"], size=(400, 200))
    image = Image.open(table.paths[0])
    image.save(table.paths[0], comment=b"where it was taken", exif=b"Exif\0\0secret")
    made = crop(table.rows.row(0, named=True), Viewer(), verdict="right", caption="a < b")
    content = base64.b64decode(made.split("base64,")[1].split('"')[0])
    assert b"secret" not in content
    assert b"taken" not in content
    assert Image.open(io.BytesIO(content)).size == (80, 160)
    assert made.startswith('<figure class="crop right"><img src="data:image/jpeg;base64,')
    assert 'alt="rendered crop of person 1, camera 1, right"' in made
    assert made.endswith("<figcaption>a &lt; b</figcaption></figure>")


def test_a_real_crop_is_an_empty_frame(tmp_path):
    table = make_table([1], root=tmp_path)
    made = crop(table.rows.row(0, named=True), Viewer())
    assert "<img" not in made
    assert 'aria-label="real crop of person 1, camera 1, not shown"' in made
    assert "<img" in crop(table.rows.row(0, named=True), Viewer("allow"))


def test_a_crop_whose_file_is_gone_is_an_empty_frame():
    row = {"root": "/nowhere", "file_name": "x.jpg", "pid": 1, "camid": 1, "origin": "unknown"}
    assert "<img" not in crop(row, Viewer("allow"))
