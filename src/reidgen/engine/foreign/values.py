"""What a foreign weight file may ask for: tensors, parameters, arrays, dicts, sets, inert records; each made here.

Arguments come from a file that may mean harm. They are compared with plain values only after their type is known, since
an array compared with a number is an array.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidgen.engine.foreign.pickle_budget import Budget, Record, Refused
from reidgen.engine.foreign.pickle_machine import MAX_KEY_LETTERS, Global, keys

MAX_BYTES = 8 * 2**30
MAX_NESTING = 64
_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
_STORAGES: dict[str, torch.dtype | None] = {f"torch.{name}Storage": dtype for name, dtype in _DTYPES.items()}
_STORAGES |= {f"torch.cuda.{name}Storage": dtype for name, dtype in _DTYPES.items()}
_STORAGES |= {"torch.storage.UntypedStorage": None, "torch.UntypedStorage": None}
_DTYPE_NAMES = {str(dtype): dtype for dtype in _DTYPES.values()}
_ARRAY_TYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16")


@dataclass
class Storage:
    """Numbers in a row, before a tensor says how to look at them.

    Attributes:
        dtype: Their format; None for plain bytes.
        count: How many.
        data: Their bytes; None until they are met behind the stream.
        whole: The same as a tensor, made at first use.
    """

    dtype: torch.dtype | None
    count: int
    data: memoryview | None = None
    whole: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Its length in bytes."""
        return self.count * (self.dtype or torch.uint8).itemsize


@dataclass
class ArrayType:
    """A numpy dtype before and after its byte order is known.

    Attributes:
        code: Kind and size, such as f4.
        order: Byte order: one of =, <, >, |.
    """

    code: str
    order: str = "="

    @property
    def dtype(self) -> np.dtype:
        """As numpy has it."""
        return np.dtype(self.order + self.code)


def storage_of(identity: Any) -> tuple[str, Storage]:
    """The key and the storage, still without its numbers, that torch.save means by a persistent id.

    Raises:
        Refused: It is none.
    """
    match identity:
        case (str(kind), Global(name), str(key), str(), int(count), *rest) if kind == "storage" and name in _STORAGES:
            if not 0 <= count <= MAX_BYTES or len(key) > MAX_KEY_LETTERS:
                raise Refused("a storage of no usable name or size")
            if not rest or (len(rest) == 1 and rest[0] is None):
                return key, Storage(_STORAGES[name], count)
    raise Refused("an object kept outside of the file (persistent id)")


def tensor(arguments: tuple[Any, ...], budget: Budget, later: list[Callable[[], None]] | None) -> Tensor:
    """A tensor as torch rebuilds it: storage, offset, size, stride, and more that does not matter here.

    Args:
        arguments: Of the call.
        budget: Pays for the numbers.
        later: None where the numbers are known already; else a list that takes a function to call when they are.

    Raises:
        Refused: The view leaves its storage, shows a number twice, or its numbers are missing.
    """
    match arguments:
        case (Storage() as storage, int(offset), tuple(size), tuple(stride), *rest):
            dtype = storage.dtype or (_named_dtype(rest[2]) if len(rest) > 2 else None)
            if dtype is not None and _fits(storage, dtype, offset, size, stride):
                if later is None:
                    return torch.as_strided(_whole(storage, dtype, budget), size, stride, offset)
                made = torch.empty(0, dtype=dtype)
                later.append(lambda: _set(made, _whole(storage, dtype, budget), offset, size, stride))
                return made
    raise Refused("a tensor whose description does not fit its numbers")


def _set(made: Tensor, whole: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    made.set_(whole, offset, size, stride)  # type: ignore[call-overload]


def _named_dtype(value: Any) -> torch.dtype | None:
    return _DTYPE_NAMES.get(value.name) if isinstance(value, Global) else None


def _fits(storage: Storage, dtype: torch.dtype, offset: int, size: tuple[Any, ...], stride: tuple[Any, ...]) -> bool:
    """Whether a view lies in its storage and has no more numbers than that."""
    if len(size) != len(stride) or len(size) > MAX_NESTING:
        return False
    if not all(isinstance(n, int) and 0 <= n <= MAX_BYTES for n in (offset, *size, *stride)):
        return False
    count, numel = storage.nbytes // dtype.itemsize, 1
    for length in size:
        numel *= length
        if numel > count and 0 not in size:
            return False
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    return offset <= count if 0 in size else last < count


def _whole(storage: Storage, dtype: torch.dtype, budget: Budget) -> Tensor:
    """The numbers of a storage as one tensor; copied once, so that they can be written to."""
    if storage.data is None or len(storage.data) < storage.nbytes:
        raise Refused("a tensor whose numbers are missing")
    if storage.whole is None:
        budget.spend("storage", len(storage.data))
        raw = bytearray(storage.data)
        storage.whole = torch.frombuffer(raw, dtype=torch.uint8) if raw else torch.empty(0, dtype=torch.uint8)
    usable = len(storage.whole) // dtype.itemsize * dtype.itemsize
    return storage.whole[:usable].view(dtype)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    match arguments:
        case (Tensor() as tensor, bool(), dict(), *rest) if len(rest) <= 1:
            return tensor
    raise Refused("a parameter with odd arguments")


def _persistent_object(arguments: tuple[Any, ...]) -> Record:
    """One of NVIDIA's objects: class name and attributes are kept, the source that it carries is not."""
    match arguments:
        case ({"type": str(kind), "class_name": str(name), "state": dict() | None as state},) if kind == "class":
            return Record(name, dict(_texts(state or {})))
    raise Refused(f"{_PERSISTENT} with odd arguments")


def _texts(state: dict[Any, Any]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in state):
        raise Refused("an object whose attributes have no names")
    return state


def _dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    match arguments:
        case ():
            return {}
        case (dict(items),):
            return dict(items)
        case (list(pairs),) if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            return dict(zip(keys([key for key, _ in pairs]), [value for _, value in pairs], strict=True))
    raise Refused("a dict with odd arguments")


def _reconstructed(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """How protocols 0 and 1 write a dict of another class: its class, dict, its content."""
    match arguments:
        case (Global(name), Global("builtins.dict" | "__builtin__.dict"), dict(items)) if MAKERS.get(name) is _dict:
            return dict(items)
    raise Refused("copyreg._reconstructor with odd arguments")


def _members(arguments: tuple[Any, ...]) -> set[Any]:
    match arguments:
        case (list(items),):
            return set(keys(items))
    raise Refused("a set with odd arguments")


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    """How protocol 2 writes bytes: as a text and the name latin1."""
    match arguments:
        case (str(text), str(coding)) if coding in ("latin1", "latin-1"):
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError as error:
                raise Refused("bytes that are not bytes") from error
    raise Refused("_codecs.encode with odd arguments")


def _bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise Refused("bytes with odd arguments")
    return b""


def _size(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    match arguments:
        case (tuple(size) | list(size),):
            return tuple(size)
    raise Refused("torch.Size with odd arguments")


def _array_type(arguments: tuple[Any, ...]) -> ArrayType:
    match arguments:
        case (str(code), *rest) if len(rest) <= 2 and _ARRAY_TYPE.fullmatch(code):
            return ArrayType(code)
    raise Refused("a numpy array of another type than numbers")


def _empty_array(arguments: tuple[Any, ...]) -> np.ndarray:
    match arguments:
        case (Global("numpy.ndarray"), tuple(), bytes() | str()):
            return np.empty(0, np.uint8)
    raise Refused("a numpy array with odd arguments")


def _scalar(arguments: tuple[Any, ...]) -> Any:
    match arguments:
        case (ArrayType() as kind, bytes(raw)) if len(raw) == kind.dtype.itemsize:
            return np.frombuffer(raw, kind.dtype)[0].item()
    raise Refused("a numpy number with odd arguments")


def _array_from_buffer(arguments: tuple[Any, ...]) -> np.ndarray:
    """How protocol 5 writes an array: its bytes, type, shape and order."""
    match arguments:
        case (bytes() | bytearray() as raw, ArrayType() as kind, tuple(shape), str(order)) if order in ("C", "F"):
            return _array(raw, kind, shape, fortran=order == "F")
    raise Refused("a numpy array with odd arguments")


def _array(raw: bytes | bytearray, kind: ArrayType, shape: tuple[Any, ...], *, fortran: bool) -> np.ndarray:
    if len(shape) > 32 or not all(isinstance(n, int) and 0 <= n <= MAX_BYTES for n in shape):
        raise Refused("a numpy array whose description does not fit its numbers")
    count = 1
    for length in shape:
        count *= length
    if count * kind.dtype.itemsize != len(raw):
        raise Refused("a numpy array whose description does not fit its numbers")
    return np.frombuffer(bytes(raw), kind.dtype, count=count).reshape(shape, order="F" if fortran else "C")


def build(target: Any, state: Any) -> None:
    """Give an object its state.

    Raises:
        Refused: It is not a record, array or dict, or the state is none of its kind.
    """
    match target, state:
        case Record(), dict():
            target.state.update(_texts(state))
        case ArrayType(), tuple() if (order := _byte_order(state)) is not None:
            target.order = order
        case np.ndarray(), (int(), tuple(shape), ArrayType() as kind, bool(fortran), bytes() | str() as raw):
            raw = raw if isinstance(raw, bytes) else _encoded((raw, "latin1"))
            array = _array(raw, kind, shape, fortran=fortran)
            target.__setstate__((1, array.shape, kind.dtype, fortran, raw))  # type: ignore[arg-type]
        case dict(), dict() | None:
            pass  # attributes of a dict, such as the version numbers of a state dict
        case _:
            raise Refused(f"a state for {target.name if isinstance(target, Global) else type(target).__name__}")


def _byte_order(state: tuple[Any, ...]) -> str | None:
    """The byte order in a numpy type's state, if that is the state of a plain number: no fields, no subarray."""
    match state:
        case (int(), str(order), None, None, None, int(), int(), int(), *_) if order in ("=", "<", ">", "|"):
            return order
    return None


MAKERS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
    _PERSISTENT: _persistent_object,
    **dict.fromkeys(("collections.OrderedDict", "dnnlib.util.EasyDict", "dnnlib.EasyDict"), _dict),
    "collections.Counter": _dict,  # milestones of a schedule, which torchreid keeps beside the weights
    **dict.fromkeys(("copyreg._reconstructor", "copy_reg._reconstructor"), _reconstructed),
    **dict.fromkeys(("builtins.set", "__builtin__.set"), _members),
    **dict.fromkeys(("builtins.frozenset", "__builtin__.frozenset"), lambda arguments: frozenset(_members(arguments))),
    **dict.fromkeys(("builtins.bytes", "__builtin__.bytes"), _bytes),
    "_codecs.encode": _encoded,
    "torch.Size": _size,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "numpy.dtype": _array_type,
    **{f"numpy.{core}.multiarray._reconstruct": _empty_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _array_from_buffer for core in ("core", "_core")},
}
NAMES = frozenset((*_STORAGES, *_DTYPE_NAMES, "numpy.ndarray", "builtins.dict", "__builtin__.dict"))
