"""Checkpoints: any nesting of tensors and plain values in one safetensors file, written atomically."""

import json
import textwrap
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from reidgen.errors import WeightsError
from reidgen.files import write_chunks

SCHEMA_VERSION = "1"
REASON = 200  # letters of a list of tensors that do not fit


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
        WeightsError: The file is missing, cut off, or not in the safetensors format.
    """
    tensors, metadata = load_tensors(path)
    try:
        config = json.loads(metadata.get("config", "{}"))
    except json.JSONDecodeError:  # another program's idea of the same word
        config = {}
    return tensors, config if isinstance(config, dict) else {}


def fill_network(network: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put a file's tensors into a network, all of them and no others.

    Raises:
        WeightsError: A tensor is missing, has another shape, or belongs to no parameter.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reasons = "; ".join(textwrap.shorten(line, REASON, placeholder=" ...") for line in str(error).splitlines()[1:3])
        raise WeightsError(
            f"{path} does not fit the network that its own config describes.",
            got=reasons,
            allowed="all tensors of that network and no others",
            fix="download or write the file again",
        ) from error


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
        raise WeightsError(
            f"{path} is damaged or no safetensors file.",
            got=str(error),
            allowed="a whole .safetensors file",
            fix="download or write the file again",
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
