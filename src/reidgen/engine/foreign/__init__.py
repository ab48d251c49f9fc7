"""Weight files of other programs (.pkl, .pt, .pth), read as data: tensors, arrays, plain values, and inert records.

A pickle is a program; here it is read by a machine of our own (`pickle_machine`) that runs nothing, and whatever a file
asks for beyond the list of `values` ends the reading with its name. What a file may cost in steps, memory and depth is
bounded by its length (`Budget`, `MAX_DEPTH`). Formats: plain pickles with tensors in them, NVIDIA's among them, whose
objects carry their own source (it is dropped); both formats of torch.save.
"""

import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from torch import Tensor

from reidgen.engine.foreign.file_kinds import is_safetensors, what_is
from reidgen.engine.foreign.pickle_budget import Budget, Record, Refused
from reidgen.engine.foreign.pickle_machine import Vocabulary, run, shown
from reidgen.engine.foreign.values import MAKERS, MAX_BYTES, MAX_NESTING, NAMES, Storage, build, storage_of, tensor
from reidgen.errors import WeightsError

MAX_TENSORS = 100_000
MAX_LETTERS = 2**25  # of all names of a network
MAX_DEPTH = 100  # of containers in containers; a StyleGAN file has thirty
_BEGIN = b"\x80"  # of a pickle of protocol 2 or later
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how a legacy stream of torch.save begins
_MAX_STREAMS = 2  # a pickle, and the stream of torch.save inside it
_ZIP_ERRORS = (  # what the standard library's reader was seen to raise on damaged archives, and what it says it raises
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, OverflowError, KeyError, NotImplementedError, RuntimeError),
)
_NETWORKS = ("torch.nn.", "torchvision.models.", "torchreid.models.", "timm.models.")
_ALLOWED = "tensors, arrays, plain values and containers, in a pickle of StyleGAN2-ADA or 3 or in a file of torch.save"


def read_foreign(path: Path | str) -> Any:
    """Read a .pkl, .pt or .pth file without running anything that is in it.

    Args:
        path: A pickle, or a file of torch.save in either of its formats.

    Returns:
        What was pickled: dicts, lists, tuples, sets, texts, bytes, numbers, None; torch tensors; numpy arrays; and a
        `Record` (class name, attributes) for each of NVIDIA's persistent objects.

    Raises:
        WeightsError: The file is missing, damaged, of another format, or asks for anything else, which is then named.
    """
    path = Path(path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing there"
        what = f"There is no weight file {path}."
        raise WeightsError(what, got=got, allowed="a .pkl, .pt or .pth file", fix="the path of the file itself")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Refused(f"{size:,} bytes, more than any such network has")
        return _read(path.read_bytes())
    except Refused as refusal:
        raise WeightsError(
            f"{path} is not read.",
            got=str(refusal),
            allowed=_ALLOWED,
            fix="download or copy the file again, if it should be one of these; nothing in it was run",
        ) from refusal


def module_tensors(module: Any) -> dict[str, Tensor]:
    """The state dict of a network that was pickled whole: its parameters and buffers, by dotted names.

    Raises:
        Refused: The record is not a network, or nests or counts beyond reason.
    """
    found: dict[str, Tensor] = {}
    todo: list[tuple[str, Any, int]] = [("", module, 0)]
    visited = letters = 0
    while todo:
        prefix, record, depth = todo.pop()
        groups = {name: _group(record, name, prefix) for name in ("_parameters", "_buffers", "_modules")}
        members = sum(len(group) for group in groups.values())
        visited, letters = visited + 1 + members, letters + len(prefix) * (1 + members)
        if depth > MAX_NESTING or visited > MAX_TENSORS or letters > MAX_LETTERS:
            raise Refused("a network nested beyond reason")
        for group in ("_parameters", "_buffers"):
            found.update(_tensors_of(groups[group], prefix))
        children = groups["_modules"]
        todo.extend((f"{prefix}{name}.", child, depth + 1) for name, child in children.items() if child is not None)
    return found


def _tensors_of(members: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    for name, value in members.items():
        if not (value is None or isinstance(value, Tensor)):
            raise Refused(f"{shown(prefix + name)}, which should be a tensor, is of type {type(value).__name__}")
    return {f"{prefix}{name}": value for name, value in members.items() if value is not None}


def _group(record: Any, name: str, prefix: str) -> dict[str, Any]:
    members = record.state.get(name) if isinstance(record, Record) else None
    if not isinstance(members, dict) or not all(isinstance(key, str) and len(key) < 256 for key in members):
        what = f"class {shown(record.name)}" if isinstance(record, Record) else f"type {type(record).__name__}"
        raise Refused(f"an object of {what} where a network should be{f' ({shown(prefix[:-1])})' if prefix else ''}")
    return members


def _read(data: bytes) -> Any:
    if (known := what_is(data)) is not None:
        raise Refused("; ".join(known))
    if is_safetensors(data, len(data)):
        raise Refused("a safetensors file, which holds no code and needs no conversion; reidgen reads its own")
    budget = Budget.of(len(data))
    value = _read_zip(data, budget) if data[:4] == b"PK\x03\x04" else _read_stream(data, budget)
    _height(value, known={})
    return value


def _height(value: Any, known: dict[int, int], depth: int = 0) -> int:
    """How deep containers lie in a container; refused beyond `MAX_DEPTH`, so that whoever reads on may descend.

    Args:
        value: What was read.
        known: By identity, of containers that several others hold.
        depth: How deep the value itself lies.
    """
    inside = value.state if isinstance(value, Record) else value
    items = inside.values() if isinstance(inside, dict) else inside
    if not isinstance(inside, (dict, list, tuple)):
        return 0
    if depth < MAX_DEPTH and id(value) not in known:
        known[id(value)] = 1 + max((_height(item, known, depth + 1) for item in items), default=0)
    if depth + known.get(id(value), 1) > MAX_DEPTH:
        raise Refused("containers nested beyond reason")
    return known[id(value)]


def _read_stream(data: bytes, budget: Budget) -> Any:
    try:
        value, end = run(data, 0, _vocabulary(budget), budget)
    except Refused as refusal:
        if data[:1] == _BEGIN:
            raise
        raise Refused(f"{refusal}; it does not begin as the pickles of these programs do") from refusal
    if _is(value, _MAGIC):
        value, end = _read_legacy(data, end, budget, streams=1)
    if end != len(data):
        raise Refused(f"{len(data) - end:,} bytes after the end")
    return value


def _read_zip(data: bytes, budget: Budget) -> Any:
    """The format of torch.save since 1.6: an uncompressed zip archive of one pickle and one file a storage."""
    entries = _entries(data)
    pickles = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise Refused("a zip archive that is not a file of torch.save (no data.pkl in it)")
    folder = pickles[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and order != sys.byteorder.encode():
        raise Refused("numbers in another byte order")
    made: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        key, storage = storage_of(identity)
        data = entries.get(f"{folder}data/{key}")
        storage.data = None if data is None else memoryview(data)
        return made.setdefault(key, storage)

    pickle = entries[pickles[0]]
    value, end = run(pickle, 0, _vocabulary(budget, persistent), budget)
    if end != len(pickle):
        raise Refused(f"{len(pickle) - end:,} bytes after the end of its pickle")
    return value


def _entries(data: bytes) -> dict[str, bytes]:
    """The files of an archive by name, each once, none compressed, and together no larger than the archive."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            infos = archive.infolist()
            if any("/code/" in info.filename for info in infos):
                raise Refused("a TorchScript archive, which is code; save its state dict instead")
            if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
                raise Refused("a compressed or encrypted zip archive, which torch.save does not write")
            if sum(info.file_size for info in infos) > len(data) or len({i.filename for i in infos}) < len(infos):
                raise Refused("a zip archive whose table of contents is wrong")
            return {info.filename: archive.read(info) for info in infos}
    except _ZIP_ERRORS as error:
        raise Refused("a damaged zip archive") from error


def _read_legacy(data: bytes, start: int, budget: Budget, *, streams: int) -> tuple[Any, int]:
    """The older format of torch.save, after its magic number: four pickles, then the storages' bytes."""
    plain = _vocabulary(budget, streams=streams)
    protocol, at = run(data, start, plain, budget)
    system, at = run(data, at, plain, budget)
    if not _is(protocol, _PROTOCOL) or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("a stream of torch.save of another version or byte order")
    made: dict[str, Storage] = {}
    later: list[Callable[[], None]] = []

    def persistent(identity: Any) -> Storage:
        key, storage = storage_of(identity)
        return made.setdefault(key, storage)

    value, at = run(data, at, _vocabulary(budget, persistent, streams=streams, later=later), budget)
    order, at = run(data, at, plain, budget)
    if not isinstance(order, list) or not all(isinstance(key, str) for key in order) or sorted(order) != sorted(made):
        raise Refused("a stream of torch.save whose table of storages is wrong")
    for key in order:
        at = _fill(made[key], data, at)
    for view in later:
        view()
    return value, at


def _fill(storage: Storage, data: bytes, at: int) -> int:
    """Give a storage the numbers that stand behind a legacy stream: their count in 8 bytes, then themselves."""
    end = at + 8 + storage.nbytes
    if data[at : at + 8] != storage.count.to_bytes(8, "little") or end > len(data):
        raise Refused("a stream of torch.save that ends in the middle of its numbers")
    storage.data = memoryview(data)[at + 8 : end]
    return end


def _load_from_bytes(arguments: tuple[Any, ...], budget: Budget, streams: int) -> Storage:
    """A storage that was pickled by plain pickle: a legacy stream of torch.save in a byte string."""
    match arguments:
        case (bytes(data),) if streams < _MAX_STREAMS:
            budget.spend("nested", len(data))
            magic, at = run(data, 0, _vocabulary(budget, streams=streams + 1), budget)
            if _is(magic, _MAGIC):
                value, at = _read_legacy(data, at, budget, streams=streams + 1)
                if isinstance(value, Storage) and at == len(data):
                    return value
    raise Refused("it asks for torch.storage._load_from_bytes with odd arguments")


def _is(value: Any, number: int) -> bool:
    return type(value) is int and value == number


def _vocabulary(
    budget: Budget,
    persistent: Callable[[Any], Any] | None = None,
    *,
    streams: int = 1,
    later: list[Callable[[], None]] | None = None,
) -> Vocabulary:
    """All that a stream may ask for: the lists of `foreign_values`, and what needs the stream's own state."""

    def view(arguments: tuple[Any, ...]) -> Tensor:
        return tensor(arguments, budget, later)

    makers = {
        **MAKERS,
        **dict.fromkeys((f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")), view),
        "torch.storage._load_from_bytes": lambda arguments: _load_from_bytes(arguments, budget, streams),
    }
    return Vocabulary(makers, NAMES, build, persistent, _explain)


def _explain(name: str) -> str | None:
    if name.startswith("dnnlib.tflib."):
        return (
            f"a network of StyleGAN's TensorFlow version ({shown(name)}), which holds no tensors of torch; turn it "
            "into a PyTorch pickle with the tools of stylegan2-ada-pytorch first, on a machine that may run it"
        )
    if name.startswith(_NETWORKS):
        return f"a network that was pickled whole, with its code ({shown(name)}); save network.state_dict() instead"
    return None
