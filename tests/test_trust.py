"""No pickle is executed, and the core needs no torchvision."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / "src" / "reidgen").rglob("*.py"))
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "torchvision", "shelve", "marshal"}


def faults(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in FORBIDDEN)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.hub.load", "np.load", "numpy.load"):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            safe = given.get("allow_pickle", "False") == "False" if "np" in ast.unparse(node.func) or "numpy" in ast.unparse(node.func) \
                else given.get("weights_only") == "True"
            if not safe:
                yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_can_execute_a_pickle(path):
    assert list(faults(ast.parse(path.read_text()))) == []


def test_the_check_finds_faults():
    text = "import pickle\nfrom torchvision import models\ntorch.load('x')\ntorch.load('x', weights_only=True)\nnp.load('x', allow_pickle=True)"
    assert len(list(faults(ast.parse(text)))) == 4


def test_no_file_is_too_long_to_read_in_one_sitting():
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
