"""How much memory a process and its own children use: resident pages, as /proc says.

The address space (RLIMIT_AS) is no measure of it: libraries reserve gigabytes that they never use.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CAN_MEASURE", "used_by"]

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")

CAN_MEASURE = (_PROC / "self" / "statm").exists()
"""False where there is no /proc, as on macOS: a limit of memory does not hold there."""


def used_by(pid: int) -> int:
    """Return the bytes that are resident of a process and of all that it started; 0: it is gone."""
    size, left = 0, [pid]
    while left:
        one = _PROC / str(left.pop())
        try:
            size += int((one / "statm").read_text().split()[1]) * _PAGE
            for thread in (one / "task").iterdir():
                left += map(int, (thread / "children").read_text().split())
        except (OSError, IndexError):
            continue  # it has ended meanwhile, or the kernel does not list children
    return size
