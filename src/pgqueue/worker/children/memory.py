"""How much memory a process and its own children use: resident pages, as /proc says.

A page that processes share counts once. To know that costs some milliseconds, so it is asked only
where the sum of all resident pages is beyond the limit.

The address space (RLIMIT_AS) is no measure of it: libraries reserve gigabytes that they never use.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CAN_MEASURE", "used_by"]

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PSS = re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)

CAN_MEASURE = (_PROC / "self" / "statm").exists()
"""False where there is no /proc, as on macOS: a limit of memory does not hold there."""


def used_by(pid: int, limit: int = 0) -> int:
    """Return the bytes that are resident of a process and of all that it started; 0: it is gone.

    Up to ``limit``, pages that they share count for each of them.
    """
    processes = list(_family(pid))
    resident = sum(map(_resident, processes))
    return resident if resident <= limit else sum(map(_share, processes))


def _family(pid: int) -> Iterator[Path]:
    left = [pid]
    while left:
        one = _PROC / str(left.pop())
        yield one
        with contextlib.suppress(OSError):  # it has ended, or the kernel does not list children
            for thread in (one / "task").iterdir():
                left += map(int, (thread / "children").read_text().split())


def _resident(process: Path) -> int:
    try:
        return int((process / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _share(process: Path) -> int:
    """Its pages, and its part of those that it shares; all that are resident, if nobody says."""
    try:
        found = _PSS.search((process / "smaps_rollup").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else _resident(process)
