"""Checkpoints: any nesting of tensors and plain values in one safetensors file, written atomically.

Each knows the run that it belongs to and a hash of its own bytes, so that another run's, or a damaged one, is refused.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from reidgen.engine.foreign.file_kinds import head_of, what_is
from reidgen.engine.foreign.pickle_machine import shown
from reidgen.engine.opening import check_numbers
from reidgen.engine.runs.records import check_fields
from reidgen.engine.runs.run import RunFiles, RunFolder
from reidgen.errors import RunError, WeightsError, again, command, option
from reidgen.files import sha256, write_chunks

CHECKPOINT = "checkpoint.safetensors"  # of a training, in its run folder until it is done
SCHEMA_VERSION = "1"
STATE_VERSION = "2"  # since a state has the hash of its bytes
NO_HASH = "0" * 64  # what stands in its place while it is computed
CHUNK = 2**24  # bytes that are hashed at a time


def save_checkpoint(run: RunFolder | RunFiles, state: dict[str, Any]) -> None:
    """Write a training's checkpoint, with where its log stands."""
    save_state(run.path / CHECKPOINT, {**state, "metrics": run.metrics.mark()}, run=run.identity)


def load_checkpoint(run: RunFolder | RunFiles) -> dict[str, Any] | None:
    """The state of a training's checkpoint, None where there is none; the log is cut back to it.

    Raises:
        RunError: The checkpoint is another run's or damaged, or the log is not the one that it goes on from.
    """
    path = run.path / CHECKPOINT
    if not path.is_file():
        run.metrics.rewind(0)
        return None
    state = load_state(path, run=run.identity)
    check_fields(path, state, {"metrics": (int, dict)})
    run.metrics.go_back(state["metrics"], path)
    return state


def save_state(path: Path, state: Any, *, run: str = "") -> None:
    """Write nested dicts, lists, tuples, tensors, numbers, strings and None.

    Args:
        path: File to write; it is replaced in one step.
        state: The nesting. Dict keys are strings or ints. Numbers come back exactly.
        run: The `identity` of the run that it belongs to.
    """
    tensors: dict[str, torch.Tensor] = {}
    structure = json.dumps(_encode(state, "", tensors))
    metadata = {"schema_version": STATE_VERSION, "sha256": NO_HASH, "run": run, "structure": structure}
    length, header, data = _whole_file(tensors, metadata)
    own = sha256([length, header, data])
    write_chunks(path, [length, bytes(header).replace(NO_HASH.encode(), own.encode(), 1), data])


def load_state(path: Path, *, run: str | None = None) -> Any:
    """Read what `save_state` wrote; tensors come back on the CPU.

    A file of an earlier version, which has no hash, is read and said to be unchecked.

    Args:
        path: The file.
        run: The `identity` of the run that reads its own file; None reads any run's.

    Raises:
        WeightsError: The file is missing, cut off, changed since it was written, or no checkpoint.
        RunError: The same of a run's own file, or it is another run's.
    """
    try:
        tensors, metadata = _checked(path)
        state = _state_of(path, metadata["structure"], tensors)
    except WeightsError as error:
        if run is None:
            raise
        remove = f"{command('rm', path)}, and the same command makes it anew, a training from its start"
        raise again(RunError, error.parts, fix=remove) from error
    if run is not None and metadata.get("run", run) != run:
        raise RunError(
            f"{path} belongs to another run.",
            got=f"run {metadata['run'][:12] or 'unknown'}",
            allowed=f"run {run[:12]}, whose run.json is in the same folder",
            fix=f"put the run's own file back; or {command('rm', path)}, and the same command makes it anew",
        )
    return state


def _checked(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a state whose bytes are those that were written."""
    tensors, metadata = load_tensors(path)
    if "structure" not in metadata:
        raise _no_checkpoint(path, "a safetensors file without structure")
    if metadata.get("schema_version") == SCHEMA_VERSION:
        sys.stderr.write(f"{path} is of an earlier version of reidgen and has no hash: it is taken unchecked.\n")
    elif _hash(path, metadata.get("sha256", "")) != metadata.get("sha256"):
        raise WeightsError(
            f"{path} is damaged.",
            got="other bytes than were written: their SHA-256 is not the one in the file",
            allowed="the file as it was written",
            fix=f"a whole copy of it, or the run that wrote it again in another {option('out')}",
        )
    return tensors, metadata


def _state_of(path: Path, structure: str, tensors: dict[str, torch.Tensor]) -> Any:
    try:
        return _decode(json.loads(structure), tensors)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:  # of a file without a hash
        raise _no_checkpoint(path, f"a structure that is none ({type(error).__name__}: {error})") from error


def _no_checkpoint(path: Path, got: str) -> WeightsError:
    return WeightsError(f"{path} is not a checkpoint.", got=got, allowed="a checkpoint of a reidgen run")


def _hash(path: Path, own: str) -> str:
    """SHA-256 of a state's bytes with zeros in the place of its own hash."""
    with path.open("rb") as stream:
        length = stream.read(8)
        header = stream.read(int.from_bytes(length, "little")).replace(own.encode(), NO_HASH.encode(), 1)
        return sha256(itertools.chain([length, header], iter(lambda: stream.read(CHUNK), b"")))


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


def load_trained(
    path: Path | str, kind: str, *, name: str, verb: str, fix: str
) -> tuple[Path, dict[str, torch.Tensor], dict[str, Any]]:
    """The file that a path means, its tensors in float32, and what it says of itself.

    Args:
        path: Run folder, or a file.
        kind: What the network is, as the file has it in `kind`.
        name: The file's name in a run folder.
        verb: The command that writes such files.
        fix: What helps where there is no file.

    Raises:
        WeightsError: The file is missing, damaged, or of another kind.
    """
    file = Path(path) / name if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise WeightsError(
            f"There is no {file}.",
            got="a folder without it" if file.parent.is_dir() else "nothing there",
            allowed=f"the folder of a finished {verb}, or a {kind}'s .safetensors file",
            fix=fix,
        )
    tensors, described = load_weights(file)
    if described.get("kind") != kind:
        raise WeightsError(
            f"{file} holds another network than a {kind}.",
            got=f"kind {shown(str(described.get('kind', 'not given')))}",
            allowed=f"kind {kind}",
            fix=f"a file that reidgen {verb} wrote",
        )
    return file, {key: one.float() if one.is_floating_point() else one for key, one in tensors.items()}, described


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
    length of 8 bytes, then JSON, padded to a multiple of 8) is written here.
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
