"""What one claim fetches is bounded.

A claim may take a thousand jobs, with arguments of up to 16 MB each. So it has a budget, shared by
all that it may take, and leaves out what is larger than that share. PostgreSQL tells the size of a
value as it is stored, which is compressed: a fourth of what is sent is allowed for.
"""

from __future__ import annotations

__all__ = ["inline_bytes"]

_BUDGET = 32 * 2**20
_COMPRESSED = 4
_LEAST = 256


def inline_bytes(room: int) -> int:
    """Return how many bytes, as stored, each of ``room`` jobs may have to come with its claim."""
    return max(_LEAST, _BUDGET // _COMPRESSED // max(room, 1))
