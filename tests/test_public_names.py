"""What users write is typed: `mypy --strict` on the examples and on the README's program; docstring examples run."""

import doctest
import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import reidgen as rg

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = (
    "reidgen.config.sweep.arms",
    "reidgen.config.sweep.axes",
    "reidgen.data.provenance",
    "reidgen.data.provenance.rendering",
    "reidgen.data.table",
    "reidgen.engine.devices.device",
    "reidgen.errors",
    "reidgen.generators.people.mixing",
    "reidgen.losses.reid.cross_entropy",
    "reidgen.losses.reid.triplet",
    "reidgen.metrics.clusters.clustering",
    "reidgen.metrics.distance",
    "reidgen.metrics.fidelity.frechet",
    "reidgen.metrics.ranking",
    "reidgen.metrics.reranking.rerank",
    "reidgen.metrics.ssim",
    "reidgen.report.statistics.significance",
    "reidgen.report.statistics.spread",
    "reidgen.report.statistics.worth",
)


def test_every_public_name_is_what_the_stub_says():
    for name in rg.__all__:
        assert getattr(rg, name) is not None, name
    assert isinstance(rg.metrics, types.ModuleType)
    assert not isinstance(rg.extend, types.ModuleType)
    assert not isinstance(rg.regenerate, types.ModuleType)
    assert rg.errors is importlib.import_module("reidgen.errors"), "modules that are not public names stay modules"


@pytest.mark.slow
def test_examples_and_the_program_of_the_readme_are_typed(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import reidgen as rg\nrg.ReidConfig(lr='high')\nrg.load_reid(3).nothing()\n")
    (tmp_path / "readme.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", ROOT / ".mypy_cache"]
    files = [*sorted((ROOT / "examples").glob("*.py")), tmp_path / "readme.py", wrong]
    told = subprocess.run(
        [*command, *files],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        check=False,
    )
    errors = [line for line in told.stdout.splitlines() if ": error:" in line]
    assert [line for line in errors if "wrong.py" not in line] == []
    assert len(errors) == 3, errors  # a wrong option, a wrong argument, a name that there is not: nothing is Any


def test_examples_import_the_package_alone():
    for path in (ROOT / "examples").glob("*.py"):
        assert not re.search(r"^\s*(from|import) reidgen\.", path.read_text(), re.MULTILINE), path.name


def test_docstring_examples():
    counts = {}
    for name in WITH_EXAMPLES:
        failed, counts[name] = doctest.testmod(importlib.import_module(name))
        assert not failed, name
    assert all(counts.values()), counts
    assert sum(counts.values()) >= 20
