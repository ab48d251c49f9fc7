"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidgen.data.load import SAMPLE

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_did_it_help(tmp_path):
    sizes = ["--people", "0", "3", "--variants", "2", "--seeds", "1", "--kimg", "0.05", "--steps", "2"]
    command = [sys.executable, EXAMPLES / "did_it_help.py", "--data", SAMPLE, "--out", tmp_path / "help", *sizes]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "3 generated people, seed 0: mAP" in first.stdout
    page = (tmp_path / "help" / "page-3" / "index.html").read_text()
    assert "a single run" in page
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout


@pytest.mark.slow
def test_readme_picture(tmp_path):
    sizes = ["--generator-kimg", "0.05", "--people", "12", "--variants", "3", "--steps", "2", "--seeds", "1"]
    quickstart = [sys.executable, "-m", "reidgen", "quickstart", "--out", tmp_path / "quickstart", *sizes]
    subprocess.run(quickstart, check=True, capture_output=True)
    picture = [sys.executable, EXAMPLES / "readme_picture.py", "--quickstart", tmp_path / "quickstart"]
    subprocess.run([*picture, "--out", tmp_path / "strip.png"], check=True, capture_output=True)
    with Image.open(tmp_path / "strip.png") as image:
        assert image.width > image.height > 300
        assert len(np.unique(np.asarray(image.convert("RGB").resize((40, 10))).reshape(-1, 3), axis=0)) > 50
