"""What a file is that was taken for weights: told from how it begins."""

from pathlib import Path

HEAD = 512
_AGAIN = "download it again; what came is not the file"
# How a file begins, in lower case -> what it is, what to do.
_KINDS: dict[bytes, tuple[str, str]] = {
    b"version https://git-lfs": ("a Git LFS pointer, which stands for the file", "git lfs pull, or download the file"),
    b"<!doctype html": ("a web page, as sites answer that ask for a login or have a quota", _AGAIN),
    b"<html": ("a web page, as sites answer that ask for a login or have a quota", _AGAIN),
    b"<?xml": ("an XML document, as sites answer that refuse a download", _AGAIN),
    b"\x1f\x8b": ("a gzip archive", "unpack it first"),
    b"bzh": ("a bzip2 archive", "unpack it first"),
    b"\xfd7zxz": ("an xz archive", "unpack it first"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it first"),
    b"rar!": ("a RAR archive", "unpack it first"),
    b"\x89hdf\r\n": ("an HDF5 file, as Keras writes it", "the weights as PyTorch has them"),
    b"\x93numpy": ("a NumPy array", "the weights as PyTorch has them"),
    b"\xff\xd8\xff": ("a picture", "the path of the weight file"),
    b"\x89png": ("a picture", "the path of the weight file"),
    b"par1": ("a Parquet table", "the path of the weight file"),
}


def what_is(data: bytes) -> tuple[str, str] | None:
    """What a file is, and what to do about it; None where it may be a weight file.

    Args:
        data: How it begins, `HEAD` bytes or more.
    """
    if not data:
        return "an empty file", _AGAIN
    begin = data[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for start, words in _KINDS.items() if begin.startswith(start)), None)


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins so has the layout of safetensors: a length, then JSON."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def head_of(path: Path) -> bytes:
    """The first `HEAD` bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD)
