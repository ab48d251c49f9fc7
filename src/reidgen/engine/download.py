"""Downloading a weight file once, into the cache, with its size and hash checked."""

import hashlib
import sys
import urllib.request
from pathlib import Path

from reidgen.engine.cache import writing_cache
from reidgen.errors import WeightsError, command
from reidgen.files import file_sha256, read_regular, write_bytes

TIMEOUT_SEC = 30
CHUNK_BYTES = 2**20


def download(url: str, path: Path, *, what: str, fix: str) -> None:
    """Download a file whole, or leave nothing.

    Args:
        url: A constant https address.
        path: Where the file shall be.
        what: What it is, for the error.
        fix: What else the user may type.

    Raises:
        WeightsError: There is no connection, or it broke.
    """
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SEC) as stream:  # noqa: S310 - a constant https address
            sys.stderr.write(f"downloading {url}\n")
            while chunk := stream.read(CHUNK_BYTES):
                content += chunk
    except OSError as error:  # urllib's own errors are such
        raise WeightsError(
            f"{what} {path.name} cannot be downloaded.",
            got=str(getattr(error, "reason", error)),
            allowed=f"a connection to {url}",
            fix=f"download that address elsewhere and put the file at {path}, or {fix}",
        ) from error
    with writing_cache(path.parent, what):
        write_bytes(path, bytes(content))


def check_digest(path: Path, digest: str) -> None:
    """Raise `WeightsError` unless the file has a digest such as "sha256:3d5f..." or begins with its digits."""
    kind, digits = digest.split(":")
    found = file_sha256(path) if kind == "sha256" else hashlib.new(kind, read_regular(path)).hexdigest()
    if not found.startswith(digits):
        raise WeightsError(
            f"{path} is not the file that was published.",
            got=f"{kind} {found[:16]}...",
            allowed=f"{kind} {digits[:16]}...",
            fix=f"{command('rm', path)}, then the same command again",
        )
