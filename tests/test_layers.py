"""No circle of files: no module imports, however indirectly, what imports it; imports inside functions count."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def modules():
    names = {}
    for path in (SOURCE / "reidgen").rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(path, known):
    """The modules of ours that a file imports anywhere, but for type checkers alone."""
    tree = ast.parse(path.read_text())
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_circle_of_files():
    known = modules()
    graph = {
        name: {one for one in imports(path, known) if one in known and one != name} for name, path in known.items()
    }
    assert len(graph) > 200
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_every_folder_of_modules_is_a_package():
    """Without its __init__ a folder is left out of what is linted here; one that git ignores, of what is installed."""
    folders = {path.parent for path in (SOURCE / "reidgen").rglob("*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_no_file_is_too_long_to_read():
    lengths = {path: len(path.read_text().splitlines()) for path in (SOURCE / "reidgen").rglob("*.py")}
    assert not {str(path): length for path, length in lengths.items() if length > 400}


def test_no_folder_has_more_than_a_dozen_modules_and_rooms():
    """The package's own folder, which is the list of rooms, is excepted."""
    folders = {path.parent for path in (SOURCE / "reidgen").rglob("*.py")} - {SOURCE / "reidgen"}
    sizes = {
        folder: len([path for path in folder.iterdir() if path.suffix == ".py" or path in folders]) - 1
        for folder in folders  # less one: its __init__.py
    }
    assert not {str(folder): size for folder, size in sizes.items() if size > 12}
