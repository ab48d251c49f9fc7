"""Checkpoints: any nesting of tensors and plain values in one safetensors file, written atomically."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from reidgen.engine.file_kinds import head_of, what_is
from reidgen.engine.opening import check_numbers
from reidgen.errors import WeightsError
from reidgen.files import write_chunks

SCHEMA_VERSION = "1"


def save_state(path: Path, state: Any) -> None:
    """Write nested dicts, lists, tuples, tensors, numbers, strings and None.

    Args:
        path: File to write; it is replaced in one step.
        state: The nesting. Dict keys are strings or ints. Numbers come back exactly.
    """
    tensors: dict[str, torch.Tensor] = {}
    structure = _encode(state, "", tensors)
    write_chunks(path, _whole_file(tensors, {"schema_version": SCHEMA_VERSION, "structure": json.dumps(structure)}))


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; tensors come back on the CPU.

    Raises:
        WeightsError: The file is missing, cut off, or no checkpoint.
    """
    tensors, metadata = load_tensors(path)
    if "structure" not in metadata:
        raise WeightsError(
            f"{path} is no checkpoint.",
            got="a safetensors file without structure",
            allowed="a checkpoint of a reidgen run",
        )
    return _decode(json.loads(metadata["structure"]), tensors)


def save_weights(path: Path, weights: dict[str, torch.Tensor], *, config: dict[str, Any]) -> None:
    """Write a network's tensors with its config as JSON metadata."""
    clean = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    write_chunks(path, _whole_file(clean, {"schema_version": SCHEMA_VERSION, "config": json.dumps(config)}))


def load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and config from a file of `save_weights`; other safetensors files give an empty config.

    Raises:
        WeightsError: The file is missing, cut off, not in the safetensors format, or holds numbers that are not finite.
    """
    tensors, metadata = load_tensors(path)
    check_numbers(tensors, path)
    try:
        config = json.loads(metadata.get("config", "{}"))
    except (ValueError, RecursionError):  # another program's idea of the same word, or one that means harm
        config = {}
    return tensors, config if isinstance(config, dict) else {}


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors and the metadata of a safetensors file.

    Raises:
        WeightsError: The file is missing, cut off, or not in the safetensors format.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.", allowed="a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        got, fix = what_is(head_of(path)) or (str(error), "download or write the file again")
        raise WeightsError(
            f"{path} is damaged or no safetensors file.", got=got, allowed="a whole .safetensors file", fix=fix
        ) from error


def _whole_file(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> list[bytes | memoryview]:
    """A safetensors file whose bytes depend on its content alone, in parts, so that it is not in memory twice.

    The package writes several metadata entries in an order that changes from process to process, so the header (a
    length
    of 8 bytes, then JSON, padded to a multiple of 8) is written here.
    """
    plain = save(tensors)
    end = 8 + int.from_bytes(plain[:8], "little")
    header = json.dumps({"__metadata__": metadata, **json.loads(plain[8:end])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return [len(header).to_bytes(8, "little"), header, memoryview(plain)[end:]]


def _encode(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _encode(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_encode(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]}
    assert value is None or isinstance(value, (bool, int, float, str)), f"{name}: {type(value)} cannot be stored"
    return {"value": value}


def _decode(node: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_decode(item, tensors) for item in content]
        return items if kind == "list" else tuple(items)
    return content
