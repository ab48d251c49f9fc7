"""The verbs about pairs of cameras, from the command line."""

import pytest

from reidgen.cli import main
from reidgen.data.table import ReidTable
from tests.generators.translation.conftest import write_people


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    write_people(folder, cameras=(1, 2, 3))
    return folder


def run(capsys, *arguments):
    main([str(one) for one in arguments])
    return capsys.readouterr().out


def test_pairs(people, tmp_path, capsys):
    told = run(capsys, "pairs", "--data", people, "--out", tmp_path)
    assert "camera 3 from camera 1: 12 pairs; 0 crops of camera 1 have no partner" in told
    assert (tmp_path / "pairs.csv").read_text().splitlines()[:2] == ["source,target,pairs,test,new", "1,2,12,0,0"]


SMALL = ("--size", 32, 16, "--width", 4, "--steps", 2, "--batch", 2, "--device", "cpu")


def test_a_translator_and_its_crops(people, tmp_path, capsys):
    named = ("--preset", "pix2pix-pose", "--source", 1, "--target", 3)
    told = run(capsys, "train-translator", "--data", people, *named, *SMALL, "--out", tmp_path / "one")
    assert told == f"translator: {tmp_path / 'one' / 'translator.safetensors'}\n"
    asked = ("--translator", tmp_path / "one", "--data", people, "--outputs", 2)
    told = run(capsys, "generate", "translate", *asked, "--out", tmp_path / "made")
    assert told == f"24 crops of 6 people in {tmp_path / 'made'}\n"
    assert set(ReidTable.read(tmp_path / "made").camids) == {3}


def test_all_pairs_of_cameras(people, tmp_path, capsys):
    told = run(capsys, "train-translator", "--data", people, "--preset", "camstyle", *SMALL, "--out", tmp_path / "all")
    assert told == f"3 translators in {tmp_path / 'all'}\n"
    asked = ("--translator", tmp_path / "all", "--data", people)
    told = run(capsys, "generate", "translate", *asked, "--out", tmp_path / "made")
    assert told == f"72 crops of 6 people in {tmp_path / 'made'}\n", "36 crops, in the style of two other cameras each"


def test_a_user_who_names_no_cameras(people, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train-translator", "--data", str(people), "--out", str(tmp_path / "one")])
    told = capsys.readouterr().err
    assert "--preset background moves people from one camera to another" in told
    assert "try: --source 1 --target 2" in told
