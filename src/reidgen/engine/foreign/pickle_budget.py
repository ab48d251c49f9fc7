"""What reading a pickle may cost, and what it may give beside plain values: inert records."""

import sys
from dataclasses import dataclass, field
from typing import Any

MAX_OPCODES = 1_000_000  # a StyleGAN file has some ten thousand, a ResNet-50 with Adam's state a hundred thousand
SPARE_MEMORY = 64 * 2**20


class Refused(Exception):
    """The file is damaged, or asks for something that is not read; the text says what."""


@dataclass
class Record:
    """An object of a foreign class as inert data.

    Attributes:
        name: The class, as the file says.
        state: Its attributes.
    """

    name: str
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Budget:
    """What a whole file may cost, shared by the streams inside streams.

    With these a file of L bytes takes a few seconds and 400 MB at most, and 15 times L where it is large: a step makes
    or moves one small object (300 bytes), and whatever grows with its content is paid by bytes.

    Attributes:
        storage: Bytes of numbers that may still be made; L at the start.
        nested: Bytes of streams inside streams that may still be read; L at the start.
        memory: Bytes of texts, and of what is given to makers and made by them; 64 MiB and 8 L at the start.
        opcodes: Steps of the machine that are left; a million at the start.
    """

    storage: int
    nested: int
    memory: int
    opcodes: int = MAX_OPCODES

    @classmethod
    def of(cls, length: int) -> "Budget":
        """What a file of a length in bytes may cost."""
        return cls(storage=length, nested=length, memory=SPARE_MEMORY + 8 * length)

    def spend(self, what: str, amount: int) -> None:
        """Take from an account, and refuse where nothing is left."""
        left = getattr(self, what) - amount
        if left < 0:
            raise Refused(f"more {what} than a file of its length can hold")
        setattr(self, what, left)

    def pay(self, *values: Any) -> None:
        """Take from `memory` what values weigh."""
        self.spend("memory", sum(sys.getsizeof(one.state if isinstance(one, Record) else one) for one in values))
