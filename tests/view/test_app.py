"""What the page's server answers: columns, thumbnails, pictures, a person, and refusals in words."""

import io
import itertools
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from reidgen.data.pixels.images import read_rgb
from reidgen.data.provenance import Translation
from reidgen.engine.cache import kept
from reidgen.errors import DataError
from reidgen.files import file_sha256
from reidgen.view.shown import Shown
from tests.factories import make_table, write_crop
from tests.view.made import answers_of, client_of, family, written


@pytest.fixture
def folders(tmp_path):
    return family(tmp_path)


def column(client, name, kind="<i4"):
    return np.frombuffer(client.get(f"/column/{name}").data, kind)


def thumbnails(client, rows):
    data = client.get(f"/thumbnails?rows={','.join(map(str, rows))}").data
    lengths = struct.unpack(f"<{len(rows)}I", data[: 4 * len(rows)])
    ends = np.cumsum([4 * len(rows), *lengths])
    assert ends[-1] == len(data)
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def test_columns_are_those_of_the_tables_in_order(folders):
    client = client_of(answers_of(folders))
    about = client.get("/about").json
    words = {
        name: [labels[code] for code in column(client, name)] for name, labels in about["columns"].items() if labels
    }
    assert about["crops"] == 8 and about["reviewer"] is None
    assert words["table"] == ["people"] * 4 + ["moved"] * 4
    assert words["made"] == ["rendered"] * 2 + ["as it came"] * 2 + [
        "other camera",
        "other side",
        "other side",
        "generated",
    ]
    assert words["origin"] == ["rendered"] * 2 + ["real"] * 2 + ["generated"] * 4
    assert words["split"] == ["train"] * 8
    assert column(client, "pid").tolist() == [1, 1, 2, 3, 1, 1, 1, 9]
    assert column(client, "camid").tolist() == [1, 2, 1, 2, 1, 2, 1, 2]


def test_large_numbers_of_people_stay_what_they_are(tmp_path):
    written(tmp_path / "table", [10**12, 2**31, 7])
    client = client_of(answers_of([tmp_path / "table"]))
    assert column(client, "pid", "<f8").tolist() == [1e12, 2.0**31, 7.0]
    assert column(client, "camid").tolist() == [1, 2, 1]


def test_scores_and_verdicts_of_filters(tmp_path):
    scores, by = [0.5, None, 0.25, 0.75], ["ssim,copies:query/x.jpg", None, "ssim", None]
    written(tmp_path / "filtered", [1, 1, 2, 2], score_ssim=scores, rejected_by=by)
    client = client_of(answers_of([tmp_path / "filtered"]))
    about = client.get("/about").json
    verdicts = [about["columns"]["filters"][code] for code in column(client, "filters")]
    assert verdicts == ["ssim,copies", "not filtered", "ssim", "kept by all filters"]
    np.testing.assert_array_equal(column(client, "score_ssim", "<f4"), np.float32([0.5, np.nan, 0.25, 0.75]))


def test_thumbnails_are_the_crops_made_smaller(tmp_path):
    table = written(tmp_path / "table", [1, 2], size=(256, 128))
    small, again = thumbnails(client_of(answers_of([tmp_path / "table"])), [1, 1])
    assert small == again
    picture = np.asarray(Image.open(io.BytesIO(small)), dtype=float)
    wanted = np.asarray(read_rgb(table.paths[1], size=(128, 64)), dtype=float)
    assert picture.shape == (128, 64, 3) and np.abs(picture - wanted).mean() < 4  # of 255: JPEG, and another filter
    other = np.asarray(read_rgb(table.paths[0], size=(128, 64)), dtype=float)
    assert np.abs(picture - other).mean() > 20


def test_thumbnails_are_made_once_and_anew_when_the_file_changes(tmp_path, monkeypatch):
    table = written(tmp_path / "table", [1, 2])
    client = client_of(answers_of([tmp_path / "table"]))
    first = thumbnails(client, [0, 1])
    with monkeypatch.context() as patch:
        patch.setattr("reidgen.view.thumbnails.read_rgb", None)
        assert thumbnails(client, [1, 0]) == first[::-1]
    write_crop(table.paths[0], seed=77, quality=80)
    changed = thumbnails(client, [0, 1])
    assert changed[0] != first[0] and changed[1] == first[1]


def test_a_crop_that_cannot_be_read_has_no_thumbnail_and_says_why(tmp_path):
    table = written(tmp_path / "table", [1, 2, 3])
    table.paths[0].write_bytes(b"no picture")
    table.paths[2].unlink()
    client = client_of(answers_of([tmp_path / "table"]))
    assert [bool(one) for one in thumbnails(client, [0, 1, 2])] == [False, True, False]
    told = client.get("/picture/0")
    assert told.status_code == 422 and "is not a readable image" in told.json["error"]


def test_a_damaged_cache_is_told_with_what_to_remove(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thumbnails-1.sqlite3").write_bytes(b"x" * 5000)
    written(tmp_path / "table", [1])
    told = client_of(answers_of([tmp_path / "table"])).get("/thumbnails?rows=0")
    assert told.status_code == 422 and "is damaged" in told.json["error"] and "rm " in told.json["error"]


def test_a_picture_has_its_own_size_and_nothing_but_pixels(tmp_path):
    table = written(tmp_path / "table", [1], size=(200, 90))
    with Image.open(table.paths[0]) as image:
        image.save(table.paths[0], comment=b"secret", quality=95)
    data = client_of(answers_of([tmp_path / "table"])).get("/picture/0").data
    assert Image.open(io.BytesIO(data)).size == (90, 200) and b"secret" not in data


def test_thumbnails_are_listed_among_what_is_kept(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    assert len(thumbnails(client_of(answers_of(folders)), [0, 1])) == 2
    assert [path.name for path in kept()["thumbnails"]] == [path.name for path in (tmp_path / "cache").iterdir()]


@pytest.mark.parametrize("rows", ["8", "-1", "1.5", "x", "0,", "١٢", ",".join(["0"] * 401)])
def test_rows_that_there_are_not(folders, rows):
    told = client_of(answers_of(folders)).get(f"/thumbnails?rows={rows}")
    assert told.status_code == 422 and "crops that there are not" in told.json["error"]


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "nothing.js", "style.py", "%00"])
def test_assets_are_those_of_the_page_alone(folders, name):
    client = client_of(answers_of(folders))
    assert client.get(f"/assets/{name}").status_code == 404
    assert client.get("/assets/page.js").status_code == 200
    assert client.get("/").data.startswith(b"<!doctype html>")


def test_a_person_in_groups(folders):
    client = client_of(answers_of(folders))
    groups = {group["title"]: group["rows"] for group in client.get("/person/4").json["groups"]}
    assert groups == {
        "Made from": [0],
        "As recorded or rendered": [0, 1],
        "Generated": [7],
        "As other cameras would show it": [4],
        "From other sides": [6, 5],
    }
    assert {group["title"] for group in client.get("/person/2").json["groups"]} == {"As recorded or rendered"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (0, "Rendered: person 1 of seed 0, seen by camera 1, picture 0 there, pose walk, by version 1"),
        (2, "A real crop, as it came."),
        (4, "of camera 1, as camera 2 would show it. Made by the translator abcdef01"),
        (6, "turned to 90 degrees by its own mesh. Made by the rotator abcdef01"),
        (
            7,
            "Made by the stylegan3-r generator abcdef01 from the w of seed 7, truncated to 0.7. In layers 2, 3",
        ),
    ],
)
def test_provenance_in_words(folders, row, words):
    assert words in client_of(answers_of(folders)).get(f"/person/{row}").json["words"]


def test_a_parent_of_the_same_name_is_found_by_its_content(tmp_path):
    """A translated crop may have the very name of another crop, and of the one that it was made from."""
    people = written(tmp_path / "people", [1, 1], [1, 1])
    content = file_sha256_of(people, 1)
    names = [people.rows["file_name"][1], people.rows["file_name"][1]]
    said = [str(Translation(1, 1, file_sha256_of(people, row), 0, 95)) for row in (1, 1)]
    written(tmp_path / "moved", [1, 1], [1, 1], parent=names, operation=said, origin=["generated"] * 2, size=(40, 20))
    assert content != file_sha256_of(people, 0)
    groups = client_of(answers_of([tmp_path / "moved", tmp_path / "people"])).get("/person/0").json["groups"]
    assert groups[0] == {"title": "Made from", "rows": [3]}


def test_the_program_makes_the_crop_again(folders):
    known = client_of(answers_of(folders)).get("/person/5").json
    assert "rg.regenerate(table, 1, weights=rg.load_rotator(" in known["program"]
    assert f'sources=rg.load_dataset("reidgen", root={str(folders[0])!r})' in known["program"]
    compile(known["program"], "program", "exec")
    assert client_of(answers_of(folders)).get("/person/2").json["program"] is None


def test_a_table_that_changed_under_the_page(folders):
    client = client_of(answers_of(folders))
    assert client.get("/thumbnails?rows=0").status_code == 200
    make_table([5, 6], root=folders[0]).write_metadata(folders[0])
    for address in ("/thumbnails?rows=0", "/picture/0", "/person/0"):
        told = client.get(address)
        assert told.status_code == 409 and "has changed since this page was opened" in told.json["error"]


def test_folders_of_tables_and_of_trainings_are_found_one_level_deep(tmp_path):
    family(tmp_path / "all")
    (tmp_path / "all" / "training").mkdir()
    (tmp_path / "all" / "training" / "metrics.jsonl").write_text("")
    shown = Shown.read([tmp_path / "all"])
    assert shown.names == ["moved", "people"] and [one.name for one in shown.runs] == ["training"]
    shutil.copytree(tmp_path / "all" / "people", tmp_path / "other" / "people")
    assert Shown.read([tmp_path / "all" / "people", tmp_path / "other" / "people"]).names == ["people-1", "people-2"]


def test_a_review_beside_its_tables_is_not_shown_with_them(tmp_path):
    """`view runs --out runs/reviewed` again."""
    family(tmp_path)
    written(tmp_path / "reviewed", [1])
    assert Shown.read([tmp_path], without=tmp_path / "reviewed").names == ["moved", "people"]
    assert Shown.read([tmp_path]).names == ["moved", "people", "reviewed"]


def test_no_folder_is_told():
    with pytest.raises(DataError, match="got: no folder"):
        Shown.read([])


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_with_nothing_to_show(tmp_path, made):
    if made:
        (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="There is nothing to show in"):
        Shown.read([tmp_path / "folder"])


def file_sha256_of(table, row):
    return file_sha256(table.paths[row])[:16]
