"""No pickle is executed, and the core needs no torchvision."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / "src" / "reidgen").rglob("*.py"))
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "torchvision", "shelve", "marshal"}
LOADERS = {  # function -> (option, its value when not given, its only safe value)
    "torch.load": ("weights_only", "not said", "True"),
    "torch.hub.load": ("weights_only", "not said", "no value is safe"),
    "np.load": ("allow_pickle", "False", "False"),
    "numpy.load": ("allow_pickle", "False", "False"),
}


def needs_encoding(call):
    """Whether a call reads or writes text in the encoding of the locale, unless it says another."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    where = {"open": call.args[isinstance(call.func, ast.Name) :], "fdopen": call.args[1:]}.get(name, [])
    modes = [one.value for one in where[:1] if isinstance(one, ast.Constant)]
    texts = [mode for mode in modes if isinstance(mode, str) and mode.strip("rwaxt+") == ""]
    return (name == "read_text" and isinstance(call.func, ast.Attribute)) or bool(texts)


def faults(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] in FORBIDDEN)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOADERS:
            option, default, safe = LOADERS[ast.unparse(node.func)]
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get(option, default) != safe:
                yield ast.unparse(node)
        if isinstance(node, ast.Call) and needs_encoding(node) and not {"encoding"} & {k.arg for k in node.keywords}:
            yield ast.unparse(node)
        opens = isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open"
        if opens and not any(keyword.arg == "formats" for keyword in node.keywords):  # else an EPS starts Ghostscript
            yield ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_can_execute_a_pickle(path):
    assert list(faults(ast.parse(path.read_text()))) == []


def test_the_check_finds_faults():
    bad = ["import pickle", "from torchvision import models", "torch.load('x')", "np.load('x', allow_pickle=True)"]
    bad += ["Image.open(path)", "path.read_text()", "path.open('a')", "open(path, 'w')", "os.fdopen(1, 'w')"]
    good = ["path.open('rb')", "path.read_text(encoding='utf-8')", "read_text(path)", "CropStore.open(table)"]
    good += ["import torch", "torch.load('x', weights_only=True)", "np.load('x')", "np.load('x', allow_pickle=False)"]
    assert all(list(faults(ast.parse(line))) for line in bad)
    assert not any(list(faults(ast.parse(line))) for line in good)


def test_no_file_is_too_long_to_read():
    lengths = {path.name: len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
