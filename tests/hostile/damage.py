"""Ways to damage the bytes of a file, and values that nobody expects."""

import random
from typing import Any

ODD = (
    *(None, True, False, -1, 0, 1, 3, 2**31, 2**62, 2**63, 10**30, -(10**30), 0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "x" * 3000, "\x1b[31m", "timm:", "\0", "../../secret.txt", "/etc/passwd", "日本", "\ud800"),
    *([], [[]], [64], [None, None], [2**40, 2**40], {}, {"a": {}}, [0] * 5000),
)
PAGES = (
    b"<!DOCTYPE html><html>quota</html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    b"",
)


def flip(data: bytes, rng: random.Random) -> bytes:
    """One to eight bytes are others."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(changed)


def flip_early(data: bytes, rng: random.Random) -> bytes:
    """The same near the beginning, where headers are."""
    return flip(data[:400], rng) + data[400:]


def cut(data: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) or 1)]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """A part comes several times."""
    start = rng.randrange(len(data) or 1)
    end = min(start + rng.randint(1, 500), len(data))
    return data[:end] + data[start:end] * rng.randint(1, 50) + data[end:]


def insert(data: bytes, rng: random.Random) -> bytes:
    """Bytes that are not of the file."""
    at = rng.randrange(len(data) or 1)
    return data[:at] + rng.randbytes(rng.randint(1, 50)) + data[at:]


def zero(data: bytes, rng: random.Random) -> bytes:
    """A part is all zeros or all ones, as after a power failure."""
    at = rng.randrange(len(data) or 1)
    size = min(rng.randint(1, 2000), len(data) - at)
    return data[:at] + bytes([rng.choice((0, 255))]) * size + data[at + size :]


def page(data: bytes, rng: random.Random) -> bytes:
    """What a failed download leaves."""
    return rng.choice(PAGES)


BYTES = (flip, flip_early, cut, repeat, insert, zero, page)


def edited(tree: Any, rng: random.Random) -> Any:
    """A value of nested JSON replaced, left out, or put in; the deeper places as often as the others."""
    if not isinstance(tree, dict) or not tree:
        return rng.choice(ODD)
    name = rng.choice(list(tree))
    inner = [key for key in tree if isinstance(tree[key], dict) and tree[key]]
    if inner and rng.random() < 0.8:
        name = rng.choice(inner)
        return {**tree, name: edited(tree[name], rng)}
    if rng.random() < 0.1:
        return {key: value for key, value in tree.items() if key != name}
    return {**tree, "unknown" if rng.random() < 0.05 else name: rng.choice(ODD)}
