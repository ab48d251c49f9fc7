"""Weight files as other programs write them: real pickles of stand-in classes, some of them meant to do harm."""

import pickle
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parent / "golden"


def golden(name):
    """Weights under the reference's names, and the inputs and outputs that go with them."""
    tensors = load_file(GOLDEN / f"{name}.safetensors")
    numbers = {name: tensors.pop(name) for name in list(tensors) if name.startswith("_")}
    return tensors, numbers


class EasyDict(dict):
    """A dict with attribute access, pickled under the name that NVIDIA's has."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _reconstruct_persistent_obj(meta):
    raise AssertionError("the reader called the file's function")


class Persistent:
    """An object that pickles as a call of NVIDIA's function with its class's name, source and state."""

    def __init__(self, class_name, state, source="raise SystemExit('run')"):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return _reconstruct_persistent_obj, (EasyDict(self.meta),)


@contextmanager
def upstream_modules():
    """While this is open, the stand-ins can be pickled by the names that they have upstream."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")
    persistence._reconstruct_persistent_obj, util.EasyDict = _reconstruct_persistent_obj, EasyDict
    added = {
        "torch_utils": types.ModuleType("torch_utils"),
        "torch_utils.persistence": persistence,
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.util": util,
    }
    saved = EasyDict.__module__, _reconstruct_persistent_obj.__module__
    sys.modules.update(added)
    EasyDict.__module__, _reconstruct_persistent_obj.__module__ = "dnnlib.util", "torch_utils.persistence"
    try:
        yield
    finally:
        EasyDict.__module__, _reconstruct_persistent_obj.__module__ = saved
        for name in added:
            del sys.modules[name]


def upstream_pickle(content, *, protocol=4):
    """The bytes of a pickle whose persistent objects and EasyDicts have their upstream names."""
    with upstream_modules():
        return pickle.dumps(content, protocol=protocol)


def module(weights, class_name="Generator", *, buffers=(), **kwargs):
    """A network as nn.Module keeps it: nested persistent objects with _parameters, _buffers and _modules.

    Args:
        weights: Tensors by dotted names.
        class_name: Of the outermost object.
        buffers: Last parts of names that are buffers; the others are parameters.
        kwargs: What the network was built with.
    """
    state = {
        "training": False,
        "_parameters": {},
        "_buffers": {},
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": {},
        "_modules": {},
        "_init_args": (),
        "_init_kwargs": EasyDict(kwargs),
    }
    below = {}
    for name, value in weights.items():
        head, _, tail = name.partition(".")
        if tail:
            below.setdefault(head, {})[tail] = value
        elif head in buffers:
            state["_buffers"][head] = value
        else:
            state["_parameters"][head] = torch.nn.Parameter(value, requires_grad=False)
    for name, inner in below.items():
        state["_modules"][name] = module(inner, "FullyConnectedLayer", buffers=buffers)
    return Persistent(class_name, state)


class Call:
    """An object whose pickle calls a function, as the known malicious pickles do."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        result = (self.function, self.arguments)
        return result if self.state is None else (*result, self.state)
