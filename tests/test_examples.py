"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

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
