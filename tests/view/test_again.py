"""Crops made again from the page, and by the program that it shows."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

import reidgen as rg
from reidgen.errors import WeightsError
from reidgen.generators.translation.translate import translate
from reidgen.view.again import load_makers
from tests.generators.translation.conftest import untrained, write_people
from tests.view.made import answers_of, client_of


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Two folders, people and what a translator made of them; and the translator's."""
    folder = tmp_path_factory.mktemp("again")
    people = write_people(folder / "people", cameras=(1, 2))
    people.write_metadata(folder / "people")
    translator = untrained("pix2pix-mask", folder / "translator")
    translate(translator, people, out=folder / "moved")
    return [folder / "people", folder / "moved"], folder / "translator"


def test_a_crop_is_made_again_by_the_weights_that_are_given(moved):
    folders, weights = moved
    answers = answers_of(folders, makers=load_makers([weights], device="cpu"))
    row = next(row for row, table in enumerate(answers.shown.table) if table == 1)
    made = client_of(answers).post(f"/again/{row}").json
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(made["picture"].partition(",")[2]))), dtype=int)
    wanted = rg.regenerate(
        answers.shown.crops, row, weights=answers.makers, sources=rg.load_dataset("reidgen", root=folders[0])
    )
    assert made["same"] and np.array_equal(picture, wanted)
    own = np.asarray(Image.open(answers.shown.path(row)), dtype=int)
    assert made["difference"] == np.abs(wanted.astype(int) - own).max()
    Image.open(answers.shown.path(row)).rotate(180).save(answers.shown.path(row), quality=95)
    assert not client_of(answers).post(f"/again/{row}").json["same"]


def test_the_program_on_the_page_makes_the_same_pixels(moved):
    folders, weights = moved
    answers = answers_of(folders)
    row = len(answers.shown.table) - 1
    program = client_of(answers).get(f"/person/{row}").json["program"].replace("FOLDER", str(weights))
    known = {}
    exec(program, known)
    wanted = rg.regenerate(
        answers.shown.crops,
        row,
        weights=load_makers([weights], device="cpu"),
        sources=rg.load_dataset("reidgen", root=folders[0]),
    )
    assert np.array_equal(known["pixels"], wanted)


def test_without_weights_it_is_said_which_are_missing(moved):
    told = client_of(answers_of(moved[0])).post("/again/30")
    assert told.status_code == 422 and "weights that are not given" in told.json["error"]


def test_a_file_of_weights_and_one_that_is_none(moved, tmp_path):
    file = moved[1] / "translator.safetensors"
    (opened,) = load_makers([file], device="cpu")
    assert opened.hash == load_makers([moved[1]], device="cpu")[0].hash
    with pytest.raises(WeightsError):
        load_makers([tmp_path], device="cpu")
