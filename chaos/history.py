"""What a process writes down about itself, outside the database: a line before and after each deed.

Each line is one ``write`` to a file opened for appending: a process that is killed leaves whole
lines, and the deed it was at without an end. Times are monotonic, which is one clock for all
processes of a machine, and no fault of the clock touches it.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["History"]

_encode = msgspec.json.Encoder().encode


class History:
    """The history file of one process."""

    def __init__(self, home: Path | str, role: str) -> None:
        name = f"{role}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        self.path = Path(home) / name
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **fields: Any) -> None:
        """Append a line; ``t`` is the monotonic time in seconds."""
        fields["t"] = round(time.monotonic(), 5)
        os.write(self._fd, _encode(fields) + b"\n")

    def close(self) -> None:
        os.close(self._fd)
