"""Grow a person re-identification training set with generated people, and measure honestly whether it helped."""

import ast
import importlib
import sys
import types
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def _declared() -> dict[str, str]:
    """Public name -> module that defines it, from the stub that type checkers read: there is one list for both."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    found = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in found for alias in node.names}


_PUBLIC = _declared()  # loaded on first use, so that `reidgen --help` imports no torch
__all__ = ["__version__", *_PUBLIC]


class _Package(types.ModuleType):
    """Keeps `reidgen.extend` the function: importing the module of that name would put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _PUBLIC or _PUBLIC[name] == __name__ or not isinstance(value, types.ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reidgen' has no attribute {name!r}")
    if _PUBLIC[name] == __name__:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
