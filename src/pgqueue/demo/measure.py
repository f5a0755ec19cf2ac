"""What is measured of a file: size, lines, compressed size, digest."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

__all__ = ["Measured", "measure"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """Sizes are bytes; ``digest`` is SHA-256; ``lines`` counts newlines, as ``wc -l`` does."""

    bytes: int
    lines: int
    compressed: int
    digest: bytes


def measure(path: str) -> Measured:
    """Read a file, however large, in little memory. Raises OSError if it cannot be read."""
    size = lines = compressed = 0
    digest = hashlib.sha256()
    squeeze = zlib.compressobj()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            lines += chunk.count(b"\n")
            digest.update(chunk)
            compressed += len(squeeze.compress(chunk))
    compressed += len(squeeze.flush())
    return Measured(size, lines, compressed, digest.digest())
