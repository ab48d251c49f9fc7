"""The examples run as they stand."""

import json
import runpy
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidgen.data.readers.load import SAMPLE
from reidgen.data.table import ReidTable
from reidgen.engine.runs.run import read_run
from reidgen.quickstart import SHIPPED_GENERATOR
from tests.factories import write_crop
from tests.forked import python, run_forked

EXAMPLES = Path(__file__).parents[1] / "examples"
ARMS = ("none", "sources", "ours", "light")
QUICKSTART = "from reidgen.cli import main; main()"
EXAMPLE = """
import runpy, sys
from reidgen.models import resnet
resnet.WIDTHS = (8, 8, 8, 8)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def said(example, *arguments):
    """What an example prints, run as a program."""
    done = run_forked(EXAMPLE, example, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_did_it_help(tmp_path):
    sizes = ["--people", "0", "3", "--variants", "2", "--seeds", "1", "--kimg", "0.05", "--steps", "2"]
    command = [EXAMPLES / "did_it_help.py", "--data", SAMPLE, "--out", tmp_path / "help", *sizes]
    first = said(*command)
    assert "3 generated people, seed 0: mAP" in first
    page = (tmp_path / "help" / "page-3" / "index.html").read_text()
    assert "a single run" in page
    again = said(*command)
    assert again == first


@pytest.mark.slow
def test_another_camera(tmp_path):
    sizes = ["--translator-steps", "2", "--translator-width", "4", "--translator-batch", "2", "--seeds", "0", "1"]
    reid = ["--reid.steps", "2", "--reid.batch", "4", "--reid.size", "32", "16"]
    command = [EXAMPLES / "another_camera.py", "--data", SAMPLE, "--cameras", "1", "2", "--labelled", "1"]
    command += ["--arms", "paste", "camstyle", *sizes, *reid]
    first = said(*command, "--out", tmp_path / "camera")
    rows = [line.split(" | ") for line in first.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows] == ["| arm", "| labelled alone", "| all labels", "| paste", "| camstyle"]
    assert [row[1] for row in rows[1:]] == ["0", "0", "90", "90"]  # each crop of camera 1 in the style of camera 2
    for arm in ("paste", "camstyle"):
        page = (tmp_path / "camera" / f"page-{arm}-0-1" / "index.html").read_text()
        assert "Beside what the thesis on pairs of cameras published: one camera has labels" in page
        assert "as camera 2" in page and "c6+G3, background" in page
    assert said(*command, "--out", tmp_path / "camera") == first


@pytest.mark.slow
@pytest.mark.parametrize("cameras", [["1", "7"], ["1"], ["1", "2", "--labelled", "3"]])
def test_another_camera_that_is_not_there(cameras, tmp_path):
    command = [EXAMPLES / "another_camera.py", "--data", SAMPLE, "--out", tmp_path / "camera", "--cameras", *cameras]
    told = run_forked(EXAMPLE, *command)
    assert told.returncode == 1 and told.stderr.startswith("--cameras are two or more of [1, 2, 3, 4]")
    assert not (tmp_path / "camera").exists()


def test_a_split_by_hand():
    split_of = runpy.run_path(str(EXAMPLES / "continuity.py"))["split_of"]
    pixels, person = np.zeros((4, 6, 3)), np.zeros((4, 6), bool)
    person[1:3, 2:4] = True
    pixels[1, :2], pixels[1, 4:], pixels[2, 5] = 10, 40, 20
    assert split_of(pixels, person) == (30 + 10) / 2
    person[1:3] = True
    assert np.isnan(split_of(pixels, person))


@pytest.mark.slow
def test_continuity(tmp_path):
    sizes = ["--steps", "2", "--width", "4", "--batch", "2", "--size", "32", "16", "--seeds", "0", "1"]
    cameras = ["--source", "1", "--target", "2"]
    told = said(EXAMPLES / "continuity.py", "--data", SAMPLE, "--out", tmp_path / "split", *cameras, *sizes)
    rows = [line.split(" | ")[0] for line in told.splitlines() if line.startswith("| ")]
    names = ["|", "| real crops of camera 2", "| model 4 as it is", "| --gap inpainted", "| --mask-blur 2"]
    assert rows == [*names, "| --gan-weight 5"] and told.count("±") == 12


@pytest.mark.slow
def test_readme_picture(tmp_path):
    sizes = ["--people", "12", "--variants", "3", "--steps", "2", "--seeds", "1"]
    quickstart = ["quickstart", "--out", tmp_path / "quickstart", *sizes]
    run_forked(QUICKSTART, *quickstart).check_returncode()
    picture = [EXAMPLES / "readme_picture.py", "--quickstart", tmp_path / "quickstart"]
    said(*picture, "--out", tmp_path / "strip.png")
    with Image.open(tmp_path / "strip.png") as image:
        assert image.width > image.height > 300
        assert len(np.unique(np.asarray(image.convert("RGB").resize((40, 10))).reshape(-1, 3), axis=0)) > 50


@pytest.mark.slow
def test_gpu_generators_in_parts(tmp_path):
    """Two presets, small, on a CPU: a call without time, one that is cut off, one to the end; the bytes of one call."""
    sizes = ["--size", "16", "8", "--channel-base", "64", "--channel-max", "8", "--batch", "4", "--kimg", "0.016"]
    calm = ["--precision", "float32", "--snapshot-kimg", "0.02", "--checkpoint-sec", "0", "--gamma", "0.1"]
    presets = ["--presets", "person-stylegan2", "market-stylegan3-r"]

    def call(folder, minutes):
        where = ["--data", SAMPLE, "--out", tmp_path / folder, "--minutes", minutes]
        command = [python(), EXAMPLES / "gpu_generators.py", *map(str, where), *presets, *sizes, *calm]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert call("parts", 0) == ["person-stylegan2: not begun", "market-stylegan3-r: not begun"]
    assert len(call("parts", 0.08)) == 2
    done = call("parts", None)
    assert [line.split(";")[0] for line in done] == [
        "person-stylegan2: done, 0.016 of 0.016 kimg",
        "market-stylegan3-r: done, 0.016 of 0.016 kimg",
    ]
    call("whole", None)
    for preset in presets[1:]:
        for name in ("generator.safetensors", "metrics.jsonl", "fakes-000000.016.png"):
            ours, whole = (tmp_path / folder / preset / name for folder in ("parts", "whole"))
            assert ours.read_bytes() == whole.read_bytes(), (preset, name)


@pytest.mark.slow
def test_does_it_still_hurt(tmp_path):
    sizes = ["--people", "18", "--crops", "2", "--variants", "4", "--added", "2", "--few-added", "1", "--steps", "1"]
    short = ["--judge-steps", "2", "--search-steps", "1", "--perceptual-weights", "None", "--detector", "None"]
    where = ["--data", SAMPLE, "--generator", SHIPPED_GENERATOR, "--out", tmp_path / "hurt"]
    command = [EXAMPLES / "does_it_still_hurt.py", *where, *sizes, *short, "--seeds"]
    one = said(*command, "0")
    arms = ["all-base-0", *(f"all-{a}-2" for a in ARMS), "few-base-0", *(f"few-{a}-1" for a in ARMS)]
    assert [line.split(":")[0] for line in one.splitlines() if ": mAP" in line] == [f"{arm}-0" for arm in arms]
    assert "1 seed, a single run" in one
    two = said(*command, "0", "1")
    assert [line for line in two.splitlines() if line in one.splitlines() and ": mAP" in line] == [
        line for line in one.splitlines() if ": mAP" in line
    ]
    points = json.loads((tmp_path / "hurt" / "results.json").read_text())["points"]
    assert [f"{p['reals']}-{p['arm']}-{p['asked']}" for p in points] == arms
    added = {f"{p['reals']}-{p['arm']}": p["by_seed"]["1"]["added"] for p in points}
    assert added["all-base"] == added["few-base"] == 0 and added["all-none"] == 2 and added["few-none"] == 1
    assert added["all-light"] == added["all-ours"] <= 2
    # a smaller weight is another training of the same crops
    runs = [read_run(tmp_path / "hurt" / f"reid-all-{arm}-2-0") for arm in ("ours", "light")]
    assert runs[0]["inputs"] == runs[1]["inputs"]
    assert [run["config"]["generated_weight"] for run in runs] == [1.0, 0.3]
    facts = [read_run(tmp_path / "hurt" / f"reid-{kind}-base-0-0")["summary"] for kind in ("all", "few")]
    assert [fact["people"] for fact in facts] == [18, 18] and facts[1]["images"] == 36 < facts[0]["images"]


@pytest.mark.slow
def test_sweeps(tmp_path):
    for pid in (1, 2, 3):
        for number in (1, 2):
            name = f"bounding_box_train/{pid:04d}_c{number}s1_000000_00.jpg"
            write_crop(tmp_path / "made" / name, size=(64, 32), seed=10 * pid + number)
    files = sorted((tmp_path / "made").rglob("*.jpg"))
    named = {"camid": 1, "split": "train", "origin": "generated"}
    rows = [
        {"file_name": str(path.relative_to(tmp_path / "made")), "pid": int(path.name[:4]), **named} for path in files
    ]
    ReidTable.from_rows(rows, root=tmp_path / "made").write_metadata(tmp_path / "made")
    sizes = ["--seeds", "1", "--steps", "1", "--axis", "people=0,3", "--only", "people", "crops", "--threads", "1"]
    tables = ["--data", SAMPLE, "--people", tmp_path / "made", "--out", tmp_path / "sweeps"]
    command = [EXAMPLES / "sweeps.py", *tables, *sizes]
    first = said(*command)
    assert "2 points (2 done)" in first and "crops: left out" in first
    assert "3 generated people" in (tmp_path / "sweeps" / "page-people" / "index.html").read_text()
    again = said(*command)
    assert again == first
