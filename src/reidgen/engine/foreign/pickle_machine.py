"""The pickle format read as data: a stack, a memo, a short list of what may be made; nothing is imported or run.

Python's own unpickler looks up any function that a file names and calls it. This one knows the opcodes alone; what a
file may ask to be made is given to it as a `Vocabulary` of our own functions, and any other name ends the reading.
"""

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import Any

from reidgen.engine.foreign.pickle_budget import Budget, Refused

CALL = 500  # bytes of an object that is made
MAX_INT_BYTES = 64
MAX_KEY = 2**31  # larger ints as dict keys can be chosen to collide
MAX_KEY_LETTERS = 1000  # long texts that are equal take long to compare
MAX_PROTOCOL = 5
_SHOWN = 80


@dataclass(frozen=True)
class Global:
    """A function or class that the file names, and that the vocabulary knows."""

    name: str


@dataclass(frozen=True)
class Vocabulary:
    """Everything that a stream may ask for.

    Attributes:
        makers: "module.name" -> our function of the arguments' tuple that stands for a call of it.
        names: Further names that may be mentioned, and not called.
        build: Our function that gives an object its state.
        persistent: Our function of a persistent id (a torch storage); None where there is none.
        explain: Name -> better words than the name alone for why it is refused, or None.
    """

    makers: Mapping[str, Callable[[tuple[Any, ...]], Any]]
    names: frozenset[str]
    build: Callable[[Any, Any], None]
    persistent: Callable[[Any], Any] | None = None
    explain: Callable[[str], str | None] = lambda name: None


def run(data: bytes, start: int, vocabulary: Vocabulary, budget: Budget) -> tuple[Any, int]:
    """Read one pickle stream.

    Args:
        data: A whole file.
        start: Where the stream begins in it.
        vocabulary: What it may ask for.
        budget: What it may cost.

    Returns:
        The value, and the position after the stream.

    Raises:
        Refused: It is damaged, asks for something else, or costs too much.
    """
    machine = _Machine(vocabulary, budget)
    stream = BytesIO(data)
    stream.seek(start)
    while True:
        budget.spend("opcodes", 1)
        name, argument = _next(stream)
        if argument is not None:
            budget.pay(argument)
        if name == "STOP":
            return machine.result(), stream.tell()
        _STEPS[name](machine, argument)


_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_MARK = object()


def _next(stream: BytesIO) -> tuple[str, Any]:
    code = stream.read(1)
    if not code:
        raise Refused("it ends in the middle")
    opcode = _OPCODES.get(code[0])
    if opcode is None:
        raise Refused(f"no opcode of the pickle format: byte {code[0]:#04x}")
    if opcode.arg is None:
        return opcode.name, None
    if opcode.name in _LINES:  # the reader of pickletools warns of odd escapes
        return opcode.name, _LINES[opcode.name](stream)
    try:
        return opcode.name, opcode.arg.reader(stream)
    except (ValueError, OverflowError, struct.error) as error:
        where = stream.tell()
        ended = stream.seek(0, SEEK_END) == where
        raise Refused("it ends in the middle" if ended else f"a damaged argument of {opcode.name}") from error


def _line(stream: BytesIO) -> str:
    line = stream.readline()
    if line[-1:] != b"\n":
        raise Refused("it ends in the middle")
    return line[:-1].decode("latin-1")


def _lines(stream: BytesIO) -> tuple[str, str]:
    return _line(stream), _line(stream)


def _quoted(stream: BytesIO) -> str:
    """The argument of STRING, which only protocol 0 of Python 2 writes: a literal in quotes."""
    text = _line(stream).strip()
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        raise Refused("a damaged argument of STRING")
    if "\\" in text:
        raise Refused("a text with escapes, as only Python 2 writes it")
    return text[1:-1]


_LINES: dict[str, Callable[[BytesIO], Any]] = {"STRING": _quoted, "PERSID": _line, "GLOBAL": _lines, "INST": _lines}


def shown(text: str) -> str:
    """A text of the file, short and printable, for a message."""
    safe = text if text.isprintable() else ascii(text)
    return safe if len(safe) <= _SHOWN else safe[:_SHOWN] + "..."


class _Machine:
    """Stack and memo of one stream."""

    def __init__(self, vocabulary: Vocabulary, budget: Budget) -> None:
        self.vocabulary, self.budget = vocabulary, budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1 or self.marks:
            raise Refused("a stack that does not come out even")
        return self.stack[0]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refused("an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise Refused("no mark on the stack")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # -- values --------------------------------------------------------------------------------------------------------

    def protocol(self, version: int) -> None:
        if version > MAX_PROTOCOL:
            raise Refused(f"pickle protocol {version}")

    def integer(self, value: int) -> None:
        if value.bit_length() > 8 * MAX_INT_BYTES:
            raise Refused("a number of more than 64 bytes")
        self.push(value)

    def literal(self, value: Any) -> None:
        self.push(value)

    def drop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def drop_to_mark(self, _: Any) -> None:
        self.pop_mark()

    def to_list(self, _: Any) -> None:
        self.push(self.pop_mark())

    def to_tuple(self, _: Any) -> None:
        self.push(tuple(self.pop_mark()))

    def to_dict(self, _: Any) -> None:
        items = self.pop_mark()
        self.push({})
        self._put_items(items)

    def to_frozenset(self, _: Any) -> None:
        self.push(frozenset(keys(self.pop_mark())))

    def take(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(count)]))

    # -- growing containers --------------------------------------------------------------------------------------------

    def append(self, _: Any) -> None:
        self._extend([self.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise Refused(f"items for {_kind(target)}, which is not a list")
        target.extend(items)

    def set_item(self, _: Any) -> None:
        self._put_items(list(self.take(2)))

    def set_items(self, _: Any) -> None:
        self._put_items(self.pop_mark())

    def _put_items(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, dict):
            raise Refused(f"keys for {_kind(target)}, which is not a dict")
        if len(items) % 2:
            raise Refused("a key without a value")
        target.update(zip(keys(items[::2]), items[1::2], strict=True))

    def add_items(self, _: Any) -> None:
        items = self.pop_mark()
        target = self.top()
        if not isinstance(target, set):
            raise Refused(f"members for {_kind(target)}, which is not a set")
        target.update(keys(items))

    # -- memo ----------------------------------------------------------------------------------------------------------

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Refused(f"a reference to nothing (memo {index})")
        self.push(self.memo[index])

    # -- names, and what is made of them -------------------------------------------------------------------------------

    def name(self, lines: tuple[str, str]) -> None:
        self._name(*lines)

    def stack_name(self, _: Any) -> None:
        module, name = self.take(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("a name that is not text")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in self.vocabulary.makers and full not in self.vocabulary.names:
            raise Refused(self.vocabulary.explain(full) or f"it asks for {shown(full)}")
        self.push(Global(full))

    def reduce(self, _: Any) -> None:
        self._make(*self.take(2))

    def new_with_keywords(self, _: Any) -> None:
        what, arguments, keywords = self.take(3)
        if not isinstance(keywords, dict) or keywords:
            raise Refused("an object made with keyword arguments")
        self._make(what, arguments)

    def make_object(self, _: Any) -> None:
        what, *arguments = self.pop_mark() or [None]
        self._make(what, tuple(arguments))

    def make_instance(self, lines: tuple[str, str]) -> None:
        arguments = tuple(self.pop_mark())
        self.name(lines)
        self._make(self.pop(), arguments)

    def _make(self, what: Any, arguments: Any) -> None:
        if not isinstance(what, Global):
            raise Refused(f"a call of {_kind(what)}")
        if what.name not in self.vocabulary.makers:
            raise Refused(f"a call of {what.name}")
        if not isinstance(arguments, tuple):
            raise Refused(f"a call of {what.name} with odd arguments")
        self.budget.spend("memory", CALL)
        self.budget.pay(*arguments)  # looked at, and often copied
        made = self.vocabulary.makers[what.name](arguments)
        self.budget.pay(made)
        self.push(made)

    def build(self, _: Any) -> None:
        state = self.pop()
        self.budget.pay(state, *(state if isinstance(state, tuple) else ()))
        self.vocabulary.build(self.top(), state)

    def persistent(self, _: Any) -> None:
        self.persistent_id(self.pop())

    def persistent_id(self, value: Any) -> None:
        if self.vocabulary.persistent is None:
            raise Refused("an object kept outside of the file (persistent id)")
        self.push(self.vocabulary.persistent(value))

    def extension(self, code: int) -> None:
        raise Refused(f"it asks for number {code} of Python's extension registry")

    def out_of_band(self, _: Any) -> None:
        raise Refused("a buffer kept outside of the file")


def keys(values: list[Any]) -> list[Any]:
    """The values as keys of a dict or members of a set; texts and smaller ints alone, which hash fast and apart."""
    for value in values:
        if not isinstance(value, str) and not (isinstance(value, int) and abs(value) < MAX_KEY):
            raise Refused(f"{_kind(value)} as a key")
        if isinstance(value, str) and len(value) > MAX_KEY_LETTERS:
            raise Refused(f"a text of {len(value):,} letters as a key")
    return values


def _kind(value: Any) -> str:
    return value.name if isinstance(value, Global) else f"a value of type {type(value).__name__}"


_M = _Machine
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _M.protocol,
    "FRAME": lambda machine, length: None,
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), _M.integer),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"), _M.literal),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _M.literal),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _M.literal),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _M.literal),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": _M.mark,
    "POP": _M.drop,
    "POP_MARK": _M.drop_to_mark,
    "DUP": lambda machine, _: machine.push(machine.top()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "TUPLE1": lambda machine, _: machine.push(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.take(3)),
    "TUPLE": _M.to_tuple,
    "LIST": _M.to_list,
    "DICT": _M.to_dict,
    "FROZENSET": _M.to_frozenset,
    "APPEND": _M.append,
    "APPENDS": _M.appends,
    "SETITEM": _M.set_item,
    "SETITEMS": _M.set_items,
    "ADDITEMS": _M.add_items,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _M.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _M.get),
    "MEMOIZE": _M.memoize,
    "GLOBAL": _M.name,
    "STACK_GLOBAL": _M.stack_name,
    "REDUCE": _M.reduce,
    "NEWOBJ": _M.reduce,
    "NEWOBJ_EX": _M.new_with_keywords,
    "OBJ": _M.make_object,
    "INST": _M.make_instance,
    "BUILD": _M.build,
    "PERSID": _M.persistent_id,
    "BINPERSID": _M.persistent,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _M.extension),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), _M.out_of_band),
}
